#! error cw-unknown-block 2:1
boks "a" {
  path = "a"
}
