#! error cw-not-built 6:3
#! error cw-not-built 7:3
#! error cw-not-built 10:5
#! error cw-not-built 12:5
box "a" {
  count    = 2
  for_each = {}
  path     = "a"
  lifecycle {
    precondition {
    }
    postcondition {
    }
  }
}
