#! output json "{\"a\":\"\\u003c\\u0026\\u003e\",\"b\":1,\"c\":[1.5,null,true]}"
#! output back {"a": 1.5, "b": [100]}
#! output base64 ["aMOp", "hé"]
#! output url "a+b%26c%2F%C3%A9~%2A"
#! output csv [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
#! output hashes ["0cc175b9c0f1b6a831c399e269772661", "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=", "cfbff0d1-9375-5685-968c-48ce8b15ae17"]
#! output paths ["a/b", "c.txt", "."]
output "json" { value = jsonencode({ b = 1, a = "<&>", c = [1.5, null, true] }) }
output "back" { value = jsondecode("{\"a\":1.50,\"b\":[1e2]}") }
output "base64" { value = [base64encode("hé"), base64decode("aMOp")] }
output "url" { value = urlencode("a b&c/é~*") }
output "csv" { value = csvdecode("a,b\n1,2\n3,4") }
output "hashes" { value = [md5("a"), base64sha256("a"), uuidv5("dns", "example.com")] }
output "paths" { value = [dirname("a/b/c.txt"), basename("a/b/c.txt/"), dirname("a")] }
