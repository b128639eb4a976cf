#! resource box.a {"path": "a", "size": 1, "ports": [], "env": {}, "probe": null}
#! resource box.b {"path": "b", "size": 2, "ports": [], "env": {}, "probe": null}
resource "box" "a" {
  path = "a"
}
box "b" {
  path = "b"
  size = 2
}
