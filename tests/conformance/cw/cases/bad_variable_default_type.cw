#! error cw-wrong-type 4:13
variable "port" {
  type    = number
  default = "x"
}
