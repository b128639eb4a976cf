#! error cw-syntax 3:9
locals {
  a = 1 }
