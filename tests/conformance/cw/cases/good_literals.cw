#! output n 42
#! output d 1.25
#! output t "text"
#! output b true
#! output z null
locals {
  n = 42
  d = 1.250
}
output "n" { value = local.n }
output "d" { value = local.d }
output "t" { value = "text" }
output "b" { value = true }
output "z" { value = null }
