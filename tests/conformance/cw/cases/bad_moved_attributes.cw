#! error cw-missing-attribute 8:1
#! error cw-missing-attribute 8:1
#! error cw-missing-attribute 9:1
#! error cw-unknown-attribute 13:3
#! error cw-unknown-attribute 14:3
#! error cw-block-labels 16:1
#! error cw-block-labels 20:1
moved {}
moved { from = box.b }
moved {
  from = box.c
  to   = box.a
  form = box.d
  lifecycle {}
}
moved "here" {
  from = box.e
  to   = box.a
}
import "box" {
  to = box.a
  id = "a"
}
box "a" { path = "a" }
