#! var port=8080
#! output port 8080
variable "port" { type = "number" }
output "port" { value = var.port }
