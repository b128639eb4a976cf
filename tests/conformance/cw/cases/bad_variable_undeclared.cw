#! var prot=1
#! error cw-undeclared-variable 0:0
variable "port" { default = 1 }
