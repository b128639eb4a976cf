#! error cw-evaluation 11:11
#! error cw-evaluation 12:7
#! error cw-evaluation 13:11
#! error cw-evaluation 14:11
#! error cw-unknown-reference 15:17
#! error cw-evaluation 16:17
#! error cw-evaluation 17:17
#! error cw-evaluation 18:7
#! error cw-evaluation 19:7
locals {
  a = 1 / 0
  b = true + 1
  c = "x${null}"
  d = "x${[1]}"
  e = { a = 1 }.b
  f = { a = 1 }["b"]
  g = [for x in 5: x]
  h = 1 ? 2 : 3
  i = true ? 1 : [1]
}
