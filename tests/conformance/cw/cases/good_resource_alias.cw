#! resource box.a {"path": "a", "size": 1, "ports": [], "env": {}, "probe": null}
#! output id "box:a"
crate "a" {
  path = "a"
}
output "id" { value = crate.a.id }
