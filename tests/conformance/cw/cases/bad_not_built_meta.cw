#! error cw-not-built 6:3
#! error cw-not-built 7:3
#! error cw-not-built 9:5
#! error cw-not-built 10:5
box "a" {
  count    = 2
  for_each = {}
  lifecycle {
    create_before_destroy = true
    precondition {
    }
  }
}
