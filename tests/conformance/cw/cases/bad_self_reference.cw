#! error cw-cycle 3:10
box "a" {
  path = box.a.id
}
