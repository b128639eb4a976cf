#! error cw-syntax 4:7
#! error cw-syntax 5:7
locals {
  a = “x”
  b = 'x'
}
