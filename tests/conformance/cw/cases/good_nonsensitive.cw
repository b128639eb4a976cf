#! var secret=hush
#! output length 4
variable "secret" {
  type      = string
  sensitive = true
}
output "length" { value = nonsensitive(length(var.secret)) }
