#! output plain "  a\n$(date)\n\tb\n"
#! output empty ""
#! output marker_inside "EOTX\n x EOT\n"
#! output backslash "a\\nb \"q\"\n"
output "plain" {
  value = <<EOT
  a
$(date)
	b
EOT
}
output "empty" {
  value = <<EOT
EOT
}
output "marker_inside" {
  value = <<EOT
EOTX
 x EOT
  EOT
}
output "backslash" {
  value = <<EOT
a\nb "q"
EOT
}
