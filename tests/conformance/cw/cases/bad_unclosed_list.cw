#! error cw-syntax 4:3
locals {
  a = [1, 2
  b = 3
}
