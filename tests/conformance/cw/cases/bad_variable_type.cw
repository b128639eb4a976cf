#! var port=abc
#! error cw-wrong-type 3:1
variable "port" { type = number }
