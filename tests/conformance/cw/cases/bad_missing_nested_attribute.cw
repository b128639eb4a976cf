#! error cw-missing-attribute 4:12
box "a" {
  path  = "a"
  ports = [{ internal = 1 }]
}
