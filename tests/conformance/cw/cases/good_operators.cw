#! output precedence 7
#! output left 1
#! output unary [-2, 6, false]
#! output remainder [2, -2, 1.5]
#! output equal [true, true, false, false, true, true, false]
#! output logic [true, false, true]
#! output compare [true, false, true]
output "precedence" { value = 1 + 2 * 3 }
output "left" { value = 8 / 4 / 2 }
output "unary" { value = [-2, -2 * -3, !true] }
output "remainder" { value = [5 % -3, -5 % 3, 5.5 % 2] }
output "equal" { value = [1 == 1.0, "a" == "a", "1" == 1, true == "true", [1] == [1], { a = 1 } == { a = 1 }, 1 == null] }
output "logic" { value = [true || false, true && false, "true" && true] }
output "compare" { value = [1 < "2", 2 <= 1, 1 != 2] }
