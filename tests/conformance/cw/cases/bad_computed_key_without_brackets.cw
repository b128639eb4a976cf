#! error cw-syntax 2:24
output "x" { value = { a.b = 1 } }
