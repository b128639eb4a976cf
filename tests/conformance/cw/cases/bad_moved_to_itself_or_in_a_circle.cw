#! error cw-cycle 4:1
#! error cw-cycle 8:1
#! error cw-cycle 12:1
moved {
  from = box.a
  to   = crate.a
}
moved {
  from = box.b
  to   = box.c
}
moved {
  from = box.c
  to   = box.b
}
box "a" { path = "a" }
