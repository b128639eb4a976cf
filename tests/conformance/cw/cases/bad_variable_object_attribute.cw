#! error cw-wrong-type 4:13
variable "o" {
  type    = object({ a = number })
  default = { a = 1, b = 2 }
}
