#! error cw-duplicate 2:46
output "x" { value = { for v in ["a", "a"] : v => 1 } }
