#! error cw-unknown-reference 9:7
#! error cw-unknown-reference 10:7
#! error cw-unknown-reference 11:7
#! error cw-unknown-reference 12:15
#! error cw-unknown-reference 13:7
#! error cw-unknown-reference 14:7
variable "port" { default = 1 }
locals {
  a = var.prot
  b = local.zzz
  c = box.missing.path
  d = box.one.paht
  e = nothing
  f = var
}
box "one" {
  path = "one"
}
