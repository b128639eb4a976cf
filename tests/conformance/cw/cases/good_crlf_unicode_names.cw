#! output größe 1
locals {
  größe = 1
}
output "größe" { value = local.größe }
