#! error cw-evaluation 5:12
#! error cw-evaluation 6:12
#! error cw-evaluation 7:12
locals {
  a = file("../secret")
  b = file("/etc/passwd")
  c = file("missing.txt")
}
