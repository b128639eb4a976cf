#! error cw-syntax 3:6
locals {
  a =
}
