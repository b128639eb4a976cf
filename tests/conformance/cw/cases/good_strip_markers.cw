#! output loop "    server a\n    server b\n  end\n"
#! output both "  amid\n     b\n"
#! output directive "      yes\n    end\n"
#! output quoted "a  b yz"
locals {
  ips = ["a", "b"]
}
output "loop" {
  value = <<EOT
%{ for ip in local.ips ~}
    server ${ip}
%{ endfor ~}
  end
EOT
}
output "both" {
  value = <<EOT
  a ${~ "mid" ~}

     b
EOT
}
output "directive" {
  value = <<-EOT
    %{ if true ~}
      yes
    %{ else ~}
      no
    %{ endif ~}
    end
    EOT
}
output "quoted" { value = "a %{ if false }x%{ endif } b %{ if true ~} y %{~ endif }z" }
