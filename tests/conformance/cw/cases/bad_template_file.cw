#! file t.tpl hello ${nmae}\n
#! error cw-unknown-reference 1:9
output "x" { value = templatefile("t.tpl", { name = 1 }) }
