#! error cw-syntax 2:25
output "x" { value = "${}" }
