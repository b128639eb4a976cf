#! resource box.a {"path": "a", "size": 1, "ports": [{"external": 80, "internal": 8080}, {"external": 81, "internal": 80}], "env": {"A": "1"}, "probe": {"url": "/x", "tries": 3}}
box "a" {
  path = "a"
  ports {
    external = 80
    internal = 8080
  }
  ports {
    external = 81
  }
  probe {
    url = "/x"
  }
  env = { A = "1" }
}
