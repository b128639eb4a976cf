#! error cw-missing-attribute 7:1
#! error cw-unknown-reference 10:1
#! error cw-wrong-type 16:8
#! error cw-duplicate 22:1
#! error cw-not-constant 28:8
#! error cw-unknown-reference 31:8
import {
  to = box.a
}
import {
  to = box.nowhere
  id = "x"
}
import {
  to = box.a
  id = ""
}
import {
  to = box.b
  id = "b"
}
import {
  to = crate.b
  id = "c"
}
import {
  to = box.c
  id = var.which
}
import {
  to = "box"
  id = "x"
}
variable "which" { default = "c" }
box "a" { path = "a" }
box "b" { path = "b" }
box "c" { path = "c" }
