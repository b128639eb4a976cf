#! error cw-syntax 2:1
/* never
locals {}
