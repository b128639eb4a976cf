#! error cw-wrong-type 5:13
box "a" {
  path = "a"
  probe {
    url   = 5
  }
}
