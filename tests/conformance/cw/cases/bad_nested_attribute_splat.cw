#! error cw-syntax 2:30
output "x" { value = [1].*.a.*.b }
