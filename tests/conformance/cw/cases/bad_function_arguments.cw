#! error cw-evaluation 6:7
#! error cw-evaluation 7:13
#! error cw-evaluation 8:17
#! error cw-evaluation 9:11
locals {
  a = upper()
  b = upper([1])
  c = join(",", {})
  d = sum(concat([1], [null]))
}
