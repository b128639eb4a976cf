#! error cw-validation 3:13
variable "port" {
  default = 80
  validation {
    condition     = var.port > 1024
    error_message = "a port above 1024 is needed, not ${var.port}"
  }
}
