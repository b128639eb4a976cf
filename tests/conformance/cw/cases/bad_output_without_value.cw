#! error cw-missing-attribute 2:1
output "x" {}
