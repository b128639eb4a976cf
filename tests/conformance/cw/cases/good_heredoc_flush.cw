#! output smallest "    x\n\n  y a\nb z\n"
#! output blank_lines_do_not_count "  a\n   \nb\n"
#! output tab "     x\n\n   y\ntab\n"
#! output value_keeps_its_indent "a\n  x\n  y\n"
locals {
  ips = ["a", "b"]
}
output "smallest" {
  value = <<-EOT
      x

    y ${local.ips[0]}
  ${local.ips[1]} z
        EOT
}
output "blank_lines_do_not_count" {
  value = <<-EOT
    a
   
  b
  EOT
}
output "tab" {
  value = <<-EOT
      x

    y
	tab
      EOT
}
output "value_keeps_its_indent" {
  value = <<-EOT
    a
      ${"x\n  y"}
    EOT
}
