#! error cw-not-built 8:1
#! error cw-not-built 9:1
#! error cw-not-built 10:1
#! error cw-not-built 11:1
#! error cw-not-built 12:1
#! error cw-not-built 13:1
#! error cw-not-built 14:1
data "env" "home" {}
module "x" {}
moved {}
import {}
removed {}
policy {}
job "nightly" {}
