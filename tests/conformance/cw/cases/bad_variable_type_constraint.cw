#! error cw-wrong-type 3:26
#! error cw-wrong-type 4:31
variable "a" { type    = nubmer }
variable "b" { type    = list(strin) }
