#! output list [1, "a", [true]]
#! output object {"a": 1, "b c": 2, "k1": 3, "5": 4}
#! output lines {"a": 1, "b": 2}
locals {
  k = "k1"
}
output "list" {
  value = [
    1, "a",
    [true],
  ]
}
output "object" {
  value = { a = 1, "b c" : 2, (local.k) = 3, 5 = 4 }
}
output "lines" {
  value = {
    a = 1
    b = 2,
  }
}
