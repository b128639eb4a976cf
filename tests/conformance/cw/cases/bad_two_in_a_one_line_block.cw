#! error cw-syntax 2:15
locals { a = 1, b = 2 }
