#! error cw-syntax 2:1
box "a" {
  path = "a"
