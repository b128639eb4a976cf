#! output format "a 3 \"x\" [1,{\"a\":2}] 03.14 true %"
#! output padded "    a|b    |00042|ff|1.234568e+04|b a"
#! output lists ["a-x", "b-x"]
#! output title "Hello WORLD Foo-Bar"
#! output substr ["éllo", "ll", "ello"]
#! output trims ["xx", "x", "a", "bc", "ab"]
#! output split [["a", "b"], [""]]
#! output indent "a\n  b\n  c"
#! output rest ["a-b-c", "olléh", true, true, true, "abc"]
output "format" { value = format("%s %d %q %v %05.2f %t %%", "a", 3, "x", [1, { a = 2 }], 3.14159, true) }
output "padded" { value = format("%5s|%-5s|%05d|%x|%e|%[2]s %[1]s", "a", "b", 42, 255, 12345.678) }
output "lists" { value = formatlist("%s-%s", ["a", "b"], "x") }
output "title" { value = title("hello wORLD foo-bar") }
output "substr" { value = [substr("héllo", 1, -1), substr("hello", -3, 2), substr("hello", 1, 100)] }
output "trims" { value = [trim("  xx  ", " "), trimspace("\n x \t"), chomp("a\r\n\n"), trimprefix("abc", "a"), trimsuffix("abc", "c")] }
output "split" { value = [split(",", "a,b"), split(",", "")] }
output "indent" { value = indent(2, "a\nb\nc") }
output "rest" { value = [replace("a.b.c", ".", "-"), strrev("héllo"), startswith("ab", "a"), endswith("ab", "b"), strcontains("abc", "b"), lower("ABC")] }
