#! error cw-missing-attribute 2:1
box "a" {
}
