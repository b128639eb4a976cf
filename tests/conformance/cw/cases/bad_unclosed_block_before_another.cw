#! error cw-syntax 3:1
#! error cw-unknown-attribute 9:3
box "a" {
  path = "a"


box "b" {
  path = "b"
  pth = 1
}
