#! error cw-syntax 2:26
output "x" { value = [1].0.1 }
