#! output guarded [false, true]
locals {
  none = null
}
output "guarded" { value = [local.none != null && local.none.x == 1, local.none == null || local.none.x == 1] }
