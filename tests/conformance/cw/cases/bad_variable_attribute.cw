#! error cw-unknown-attribute 3:3
variable "port" {
  dafault = 1
}
