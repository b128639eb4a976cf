#! file notes/a.txt hello ${name}\n
#! output text "hello ${name}\n"
#! output there [true, false]
#! output template "hello you\n"
#! output time "2026-01-02T03:04:05Z"
#! output port 20000
output "text" { value = file("notes/a.txt") }
output "there" { value = [fileexists("notes/a.txt"), fileexists("notes/b.txt")] }
output "template" { value = templatefile("notes/a.txt", { name = "you" }) }
output "time" { value = timestamp() }
output "port" { value = free_port("web") }
