#! error cw-syntax 2:11
box "a" { probe { url = "x" } }
