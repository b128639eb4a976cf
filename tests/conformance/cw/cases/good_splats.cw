#! output full [1, 3]
#! output attribute [1, 2]
#! output null_is_empty []
#! output single ["x"]
#! output nested [[1, 2], [3]]
output "full" { value = [{ a = [1, 2] }, { a = [3] }][*].a[0] }
output "attribute" { value = [{ a = [1, 2] }, { a = [3] }].*.a[0] }
output "null_is_empty" { value = null[*] }
output "single" { value = "x"[*] }
output "nested" { value = [{ a = [{ b = 1 }, { b = 2 }] }, { a = [{ b = 3 }] }][*].a[*].b }
