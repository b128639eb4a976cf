#! error cw-not-constant 3:13
variable "a" {
  default = local.x
}
locals {
  x = 1
}
