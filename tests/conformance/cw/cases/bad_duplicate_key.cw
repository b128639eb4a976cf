#! error cw-duplicate 2:31
output "x" { value = { a = 1, a = 2 } }
