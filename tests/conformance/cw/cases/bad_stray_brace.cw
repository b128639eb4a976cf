#! error cw-syntax 2:1
}
