#! var count=3
#! var flag=true
#! var names=["a", "b"]
#! var shape={ x = 1, y = "2" }
#! output all [3, true, ["a", "b"], {"x": 1, "y": 2}, "untyped", {"a": 1, "b": 5}, ["1", "x"]]
variable "count" { type = number }
variable "flag" { type = bool }
variable "names" { type = list(string) }
variable "shape" { type = object({ x = number, y = number }) }
variable "plain" { default = "untyped" }
variable "options" {
  type    = object({ a = number, b = optional(number, 5) })
  default = { a = 1 }
}
variable "mixed" {
  type    = tuple([string, string])
  default = [1, "x"]
}
output "all" { value = [var.count, var.flag, var.names, var.shape, var.plain, var.options, var.mixed] }
