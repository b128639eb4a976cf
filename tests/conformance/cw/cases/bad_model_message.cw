#! error cw-invalid-value 3:10
box "a" {
  path = "forbidden"
}
