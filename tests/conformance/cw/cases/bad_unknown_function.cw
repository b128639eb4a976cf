#! error cw-unknown-function 4:7
#! error cw-not-built 5:7
locals {
  a = uper("x")
  b = regex("a", "b")
}
