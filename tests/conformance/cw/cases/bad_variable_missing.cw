#! error cw-missing-variable 2:1
variable "port" {}
