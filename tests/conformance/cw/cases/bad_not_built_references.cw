#! error cw-not-built 4:12
#! error cw-not-built 4:22
output "x" {
  value = [each.key, data.env.home.value]
}
