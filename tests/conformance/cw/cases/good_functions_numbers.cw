#! output a [1, 3, 2, -2, 1.5, 1024, 3, -1, 255]
#! output b ["1.5", 100, true, "number", "fallback", false]
#! output c ["2020-01-02T04:34:05Z", 0, "Thursday, 02 Jan 20 13:4:5 PM"]
#! output d ["10.0.0.5", "10.0.0.255", "10.2.0.0/16", "255.240.0.0", ["10.0.0.0/12", "10.16.0.0/16"]]
output "a" { value = [min(1, 2.5), max(1, "3", 2), ceil(1.2), floor(-1.2), abs("-1.5"), pow(2, 10), log(8, 2), signum(-3), parseint("ff", 16)] }
output "b" { value = [tostring(1.50), tonumber("1e2"), tobool("true"), type(1), try(1 / 0, "fallback"), can(tonumber("x"))] }
output "c" { value = [timeadd("2020-01-02T03:04:05Z", "1h30m"), timecmp("2020-01-02T03:04:05Z", "2020-01-02T04:04:05+01:00"), formatdate("EEEE, DD MMM YY h:m:s AA", "2020-01-02T13:04:05Z")] }
output "d" { value = [cidrhost("10.0.0.0/8", 5), cidrhost("10.0.0.0/24", -1), cidrsubnet("10.0.0.0/8", 8, 2), cidrnetmask("10.0.0.0/12"), cidrsubnets("10.0.0.0/8", 4, 8)] }
