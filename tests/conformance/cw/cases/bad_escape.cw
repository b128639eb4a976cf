#! error cw-syntax 5:9
#! error cw-syntax 6:8
#! error cw-syntax 7:8
locals {
  a = "x\q"
  b = "\u12"
  c = "\ud800"
}
