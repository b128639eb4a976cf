#! resource box.a {"path": "a", "size": 1, "ports": [], "env": {}, "probe": null}
#! resource box.b {"path": "b", "size": 1, "ports": [], "env": {}, "probe": null}
#! needs box.b box.a
moved {
  from = box.older
  to   = box.old
}
moved {
  from = "box.old"
  to   = crate.a
}
import {
  to = box.b
  id = "b"
}
removed {
  from = box.gone
  lifecycle {
    destroy = false
  }
}
removed { from = box.lost }
box "a" {
  path = "a"
  lifecycle {
    create_before_destroy = true
    prevent_destroy       = true
  }
}
box "b" {
  path = "b"
  lifecycle {
    ignore_changes       = all
    replace_triggered_by = [box.a.path, crate.a]
  }
}
