#! output sum 0.3
#! output big "123456789012345678901234567890123"
#! output exponent 1500
#! output small "0.00015"
#! output third "0.3333333333333333"
output "sum" { value = 0.1 + 0.2 }
output "big" { value = tostring(123456789012345678901234567890123) }
output "exponent" { value = 1.5e3 }
output "small" { value = tostring(1.5e-4) }
output "third" { value = substr("${1 / 3}", 0, 18) }
