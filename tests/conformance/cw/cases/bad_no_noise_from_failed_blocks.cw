#! error cw-unknown-attribute 4:3
box "a" {
  path = "a"
  nope = 1
}
box "b" {
  path = box.a.path
}
output "x" { value = box.b.path }
