#! error cw-not-built 5:1
#! error cw-not-built 6:1
#! error cw-not-built 7:1
#! error cw-not-built 8:1
data "env" "home" {}
module "x" {}
policy {}
job "nightly" {}
