#! error cw-block-labels 5:1
#! error cw-block-labels 7:1
#! error cw-block-labels 9:10
#! error cw-block-labels 10:1
resource "box" {
}
locals "x" {
}
variable "a b" {}
variable {}
