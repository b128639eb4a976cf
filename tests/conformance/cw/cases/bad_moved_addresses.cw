#! error cw-unknown-reference 7:10
#! error cw-unknown-reference 8:10
#! error cw-unknown-reference 11:10
#! error cw-unknown-reference 12:10
#! error cw-unknown-reference 15:10
moved {
  from = var.old
  to   = box
}
moved {
  from = "nothing.b"
  to   = box.a.path
}
moved {
  from = 3
  to   = box.a
}
box "a" { path = "a" }
