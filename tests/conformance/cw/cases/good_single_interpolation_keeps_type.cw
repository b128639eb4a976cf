#! output list [1, 2]
#! output number 5
#! output text "5"
output "list" { value = "${[1, 2]}" }
output "number" { value = "${2 + 3}" }
output "text" { value = "${2 + 3}${""}" }
