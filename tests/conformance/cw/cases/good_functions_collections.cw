#! output a [5, 2, "b", {"a": 1, "b": 2}, [1, 2, 3], ["a", "b"]]
#! output b [["a"], true, false, ["a", "b"], [2, 1], {"a": 1, "b": 2}]
#! output c [[["a", 1], ["a", 2], ["b", 1], ["b", 2]], [0, 1, 2], [1, 4, 7], [5, 4, 3, 2], ["b"], ["10", "9", "a"]]
#! output d [[2, 1], 1, [[1, 2], [3]], "x", [1], 1, 3.5, true, true]
#! output e [{"x": ["a", "b"], "y": ["a"]}, ["b"], ["a", "b"], ["b"], ["a"], ["a", "1"], ["a", "b"], {"a": "1", "b": "x"}]
output "a" { value = [length("héllo"), lookup({ a = 1 }, "b", 2), element(["a", "b"], 5), merge({ a = 1 }, null, { b = 2 }), flatten([[1, [2]], [], 3]), distinct(["a", "b", "a"])] }
output "b" { value = [compact(["a", "", null]), contains([1, 2], 2), contains([1, 2], "2"), keys({ b = 1, a = 2 }), values({ b = 1, a = 2 }), zipmap(["a", "b"], [1, 2])] }
output "c" { value = [setproduct(["a", "b"], [1, 2]), range(3), range(1, 10, 3), range(5, 1), slice(["a", "b", "c"], 1, 2), sort(["a", "10", "9"])] }
output "d" { value = [reverse([1, 2]), index(["a", "b"], "b"), chunklist([1, 2, 3], 2), coalesce("", null, "x"), coalescelist([], [1]), one([1]), sum([1, 2.5]), alltrue([]), anytrue(["true"])] }
output "e" { value = [transpose({ a = ["x", "y"], b = ["x"] }), matchkeys(["a", "b"], ["x", "y"], ["y"]), setunion(["b"], ["a"]), setintersection(["a", "b"], ["b"]), setsubtract(["a", "b"], ["b"]), tolist(["a", 1]), toset(["b", "a", "b"]), tomap({ a = 1, b = "x" })] }
