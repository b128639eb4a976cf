#! error cw-duplicate 5:1
box "a" {
  path = "a"
}
crate "a" {
  path = "b"
}
