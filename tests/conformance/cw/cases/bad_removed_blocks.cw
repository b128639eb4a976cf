#! error cw-missing-attribute 7:1
#! error cw-duplicate 8:1
#! error cw-unknown-attribute 14:5
#! error cw-wrong-type 20:15
#! error cw-duplicate 23:1
#! error cw-unknown-attribute 28:3
removed {}
removed {
  from = box.a
}
removed {
  from = box.b
  lifecycle {
    prevent_destroy = true
  }
}
removed {
  from = box.c
  lifecycle {
    destroy = "maybe"
  }
}
removed {
  from = box.c
}
removed {
  from = box.d
  destroy = false
}
box "a" { path = "a" }
