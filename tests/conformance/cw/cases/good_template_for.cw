#! output pairs "0=a;1=b;"
#! output keys "a=1 b=2 "
#! output nested "[xy][z]"
output "pairs" { value = "%{ for i, x in ["a", "b"] }${i}=${x};%{ endfor }" }
output "keys" { value = "%{ for k, v in { b = 2, a = 1 } }${k}=${v} %{ endfor }" }
output "nested" { value = "%{ for row in [["x", "y"], ["z"]] }[%{ for c in row }${c}%{ endfor }]%{ endfor }" }
