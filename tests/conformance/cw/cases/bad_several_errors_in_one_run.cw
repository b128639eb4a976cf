#! error cw-syntax 5:9
#! error cw-syntax 9:3
#! error cw-unknown-type 11:10
locals {
  a = 1 2
}

box "b" {
  $ = 1
}
resource "bx" "c" {
}
