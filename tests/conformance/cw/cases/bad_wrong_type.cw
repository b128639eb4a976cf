#! error cw-wrong-type 5:10
#! error cw-wrong-type 6:11
#! error cw-invalid-value 7:25
box "a" {
  path = 1
  size  = "two"
  ports = [{ external = 70000 }]
}
