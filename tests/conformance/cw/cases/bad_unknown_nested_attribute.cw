#! error cw-unknown-attribute 4:28
box "a" {
  path  = "a"
  ports = [{ external = 1, intrenal = 2 }]
}
