#! error cw-cycle 4:16
box "a" {
  path       = "a"
  size       = box.b.size
}
box "b" {
  path = "b"
  size = local.c
}
locals {
  c = box.a.size
}
