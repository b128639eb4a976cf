#! error cw-unknown-reference 5:17
#! error cw-unknown-reference 5:24
box "a" {
  path       = "a"
  depends_on = [box.b, local.x]
}
