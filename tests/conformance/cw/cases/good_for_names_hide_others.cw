#! output hidden ["var", "local"]
locals {
  x = "outer"
}
output "hidden" { value = [for local in [for var in ["var", "local"] : var] : local] }
