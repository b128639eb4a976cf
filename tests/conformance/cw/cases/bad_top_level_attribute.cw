#! error cw-unknown-attribute 2:1
port = 1
