#! error cw-syntax 5:10
#! error cw-syntax 6:8
#! error cw-syntax 7:11
locals {
  a = "x %{ if true }y"
  b = "%{ endif }"
  c = "%{ unless x }"
}
