#! error cw-unknown-attribute 5:5
box "a" {
  path = "a"
  probe {
    ulr = "x"
    url = "y"
  }
}
