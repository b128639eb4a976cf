#! output paths ["./x", "./y"]
output "paths" { value = ["${path.root}/x", "${path.module}/y"] }
