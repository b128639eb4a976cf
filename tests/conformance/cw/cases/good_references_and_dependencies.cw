#! resource box.b {"path": "a/b", "size": 1, "ports": [], "env": {}, "probe": null}
#! needs box.b box.a
#! needs box.c box.a box.b
locals {
  under = "${box.a.path}/b"
}
box "c" {
  path       = "c"
  depends_on = [box.b, "box.a"]
}
box "b" {
  path = local.under
}
box "a" {
  path = "a"
}
