#! error cw-unknown-attribute 4:3
box "a" {
  path = "a"
  pahts = 1
}
