#! output chosen ["a", "b", "c"]
#! output unified ["1", "true"]
#! output unused_error 1
#! output null_branch null
output "chosen" { value = [for n in [1, 2, 3] : n == 1 ? "a" : n == 2 ? "b" : "c"] }
output "unified" { value = [true ? 1 : "a", false ? "x" : true] }
output "unused_error" { value = true ? 1 : 1 / 0 }
output "null_branch" { value = true ? null : 1 }
