#! var secret=hush
#! error cw-sensitive-output 7:11
variable "secret" {
  sensitive = true
}
output "s" {
  value = "x${var.secret}"
}
