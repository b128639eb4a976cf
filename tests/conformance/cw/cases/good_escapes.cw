#! output quote "a\"b\\c\n\t\r"
#! output unicode "é😀"
#! output dollar "${x} %{y} $x %y $$ %% $${z}"
output "quote" { value = "a\"b\\c\n\t\r" }
output "unicode" { value = "\u00e9\U0001F600" }
output "dollar" { value = "$${x} %%{y} $x %y $$ %% $$${z}" }
