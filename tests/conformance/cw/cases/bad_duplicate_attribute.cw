#! error cw-duplicate 4:3
locals {
  a = 1
  a = 2
}
