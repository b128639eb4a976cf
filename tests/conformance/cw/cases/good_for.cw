#! output list ["0a", "1b"]
#! output object {"1": "a", "2": "b"}
#! output grouped {"a": [1, 3], "b": [2]}
#! output filtered [2, 4]
#! output sorted ["a", "b"]
#! output of_set ["a=a", "b=b"]
output "list" { value = [for i, v in ["a", "b"] : "${i}${v}"] }
output "object" { value = { for k, v in { a = 1, b = 2 } : v => k } }
output "grouped" { value = { for p in [["a", 1], ["b", 2], ["a", 3]] : p[0] => p[1]... } }
output "filtered" { value = [for n in range(5) : n if n % 2 == 0 && n > 0] }
output "sorted" { value = [for k, v in { b = 1, a = 2 } : k] }
output "of_set" { value = [for k, v in toset(["b", "a"]) : "${k}=${v}"] }
