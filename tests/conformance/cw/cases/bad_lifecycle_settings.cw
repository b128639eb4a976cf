#! error cw-unknown-attribute 14:5
#! error cw-wrong-type 15:23
#! error cw-unknown-attribute 21:23
#! error cw-wrong-type 21:29
#! error cw-unknown-reference 27:29
#! error cw-unknown-reference 27:36
#! error cw-unknown-attribute 27:51
#! error cw-unknown-reference 27:57
#! error cw-unknown-attribute 33:5
#! error cw-cycle 40:29
box "a" {
  path = "a"
  lifecycle {
    prevent_destory = true
    prevent_destroy = "maybe"
  }
}
box "b" {
  path = "b"
  lifecycle {
    ignore_changes = [sise, env["A"]]
  }
}
box "c" {
  path = "c"
  lifecycle {
    replace_triggered_by = [var.x, "box.a", box.a.sise, box.nowhere]
  }
}
box "d" {
  path = "d"
  lifecycle {
    create_before_destroy {
    }
  }
}
box "e" {
  path = "e"
  lifecycle {
    replace_triggered_by = [box.e]
  }
}
