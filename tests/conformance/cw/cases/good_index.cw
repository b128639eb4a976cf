#! output values [1, 2, "x", 3]
#! output chain 7
output "values" { value = [[1, 2][0], [1, 2]["1"], { a = "x" }["a"], [1, 2, 3].2] }
output "chain" { value = { a = [{ b = { "c d" = 7 } }] }.a[0].b["c d"] }
