#! error cw-duplicate 7:1
#! error cw-unknown-reference 11:1
#! error cw-duplicate 19:1
#! error cw-duplicate 27:1
#! error cw-duplicate 31:1

moved {
  from = box.a
  to   = box.b
}
moved {
  from = box.gone
  to   = box.nowhere
}
moved {
  from = box.twice
  to   = box.c
}
moved {
  from = box.twice
  to   = box.d
}
moved {
  from = box.first
  to   = box.e
}
moved {
  from = box.second
  to   = box.e
}
moved {
  from = box.left
  to   = box.f
}
removed {
  from = box.left
}
box "a" { path = "a" }
box "b" { path = "b" }
box "c" { path = "c" }
box "e" { path = "e" }
box "f" { path = "f" }
