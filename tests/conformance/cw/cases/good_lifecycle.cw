#! resource box.a {"path": "a", "size": 1, "ports": [], "env": {}, "probe": null}
box "a" {
  path = "a"
  lifecycle {
    prevent_destroy = true
    ignore_changes  = [size, "env"]
  }
}
