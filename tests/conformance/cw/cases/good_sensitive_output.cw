#! var secret=hush
variable "secret" {
  type      = string
  sensitive = true
}
output "s" {
  value     = "x${var.secret}"
  sensitive = true
}
