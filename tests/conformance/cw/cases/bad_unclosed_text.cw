#! error cw-syntax 3:10
box "a" {
  path = "a
}
