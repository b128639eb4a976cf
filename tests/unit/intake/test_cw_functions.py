"""The table of functions: every one is callable, errors have a place, nothing ambient, nothing unbounded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.expressions import EvaluationContext
from clockwork_nb.intake.functions import FUNCTION_NAMES, FUNCTIONS, NOT_BUILT

if TYPE_CHECKING:
    from tests.unit.intake.conftest import Language

CASES = Path(__file__).parents[2] / "conformance" / "cw" / "cases"


def test_there_are_enough_functions() -> None:
    assert len(FUNCTION_NAMES) >= 95
    assert not FUNCTION_NAMES & NOT_BUILT.keys()


def test_every_function_is_used_in_a_test() -> None:
    text = "".join(p.read_text() for p in CASES.glob("good_*.cw")) + Path(__file__).read_text()
    used = set(re.findall(r"\b([a-z_0-9]+)\(", text))
    assert FUNCTION_NAMES - used == set()


@pytest.mark.parametrize("name", sorted(NOT_BUILT))
def test_what_is_not_built_says_what_to_do_instead(cw: Language, name: str) -> None:
    result = cw.run(f'output "x" {{\n  value = {name}("a")\n}}\n')
    (found,) = result.found
    assert found.code == "cw-not-built"
    assert found.detail.endswith(".")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_odd_arguments_give_an_error_not_an_exception(cw: Language, name: str) -> None:
    arguments = [
        "",
        "null",
        "1",
        '"x"',
        "[]",
        "{}",
        "-1.5",
        '"x", "y"',
        "[1], 2",
        "{}, []",
        "[null], 0, 0",
        '"", "", ""',
        "true",
    ]
    for given in arguments:
        result = cw.run(f'output "x" {{\n  value = {name}({given})\n  sensitive = true\n}}\n')
        for d in result.found:
            assert d.code in {"cw-evaluation", "cw-limit", "cw-unknown-reference"}, d
            assert d.subject is not None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sha1(\"a\")", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        ("sha256(\"\")", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("substr(sha512(\"a\"), 0, 8)", "1f40fc92"),
        ("substr(base64sha512(\"a\"), 0, 8)", "H0D8ktok"),
        ("urldecode(\"a+b%C3%A9\")", "a bé"),
        ("uuidv5(\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\", \"example.com\")", "cfbff0d1-9375-5685-968c-48ce8b15ae17"),
        ("upper(\"ß\")", "SS"),
        ("upper(1.50)", "1.5"),
        ("replace(\"aaa\", \"a\", \"bb\")", "bbbbbb"),
        ("length(\"👩‍👩‍👧\")", 1),
        ("strrev(\"a👍🏽\")", "👍🏽a"),
        ("substr(\"noe\u0308l\", 0, 3)", "noe\u0308"),
        ("format(\"%+d|% d|%#x|%X|%o|%b\", 5, 5, 255, 255, 8, 5)", "+5| 5|0xff|FF|10|101"),
        ("format(\"%*d|%.2s|%-4t|\", 5, 1, \"abc\", true)", "    1|ab|true|"),
        ("format(\"%g %G %e\", 1e100, 0.5, 0)", "1e+100 0.5 0.000000e+00"),
        ("format(\"%v %v %v %#v\", \"a\", null, 1.5, \"a\")", "a null 1.5 \"a\""),
        ("formatlist(\"%d\", [])", []),
        ("formatdate(\"YYYY-MM-DD'T'hh:mm:ssZ 'o''clock' ZZZZ ZZZZZ aa H\", \"2020-01-02T03:04:05+02:00\")",
         "2020-01-02T03:04:05+02:00 o'clock +0200 +02:00 am 3"),
        ("timeadd(\"2020-03-01T00:00:00.5Z\", \"-24h0.5s\")", "2020-02-29T00:00:00Z"),
        ("range(1, 2, 0.25)", None),
        ("sort([\"b\", 10, 9])", ["10", "9", "b"]),
        ("toset([3, 1, 2, 1])", [1, 2, 3]),
        ("toset([1, \"1\"])", ["1"]),
        ("merge()", {}),
        ("concat()", []),
        ("coalesce(null, 1)", 1),
        ("one([])", None),
        ("chunklist([1], 0)", [[1]]),
        ("cidrsubnet(\"fd00::/8\", 8, 1)", "fd01::/16"),
        ("pow(2, -1)", None),
        ("log(10, 10)", 1),
        ("parseint(\"-z\", 36)", -35),
        ("csvdecode(\"a\\n\\\"x,\\\"\\\"y\\\"\\n\")", [{"a": 'x,"y'}]),
        ("jsondecode(\"null\")", None),
        ("type([1])", "list"),
        ("basename(\"/\")", "/"),
        ("trim(\"xxaxx\", \"x\")", "a"),
        ("split(\"\", \"ab\")", ["a", "b"]),
        ("title(\"it's o'clock\")", "It's O'clock"),
        ("distinct([1, \"1\", 1.0])", [1, "1"]),
        ("issensitive(sensitive(1))", True),
        ("nonsensitive(sensitive(1))", 1),
    ],
)  # fmt: skip
def test_results(cw: Language, expression: str, value: object) -> None:
    found = cw.value(expression)
    if expression.startswith("range"):
        value = [1, 1.25, 1.5, 1.75]
    if expression.startswith("pow"):
        value = 0.5
    assert found == value


@pytest.mark.parametrize(
    ("expression", "marked"),
    [
        ("join(\",\", [1], [[]])", "[[]]"),
        ("zipmap([\"a\"], [])", "zipmap([\"a\"], [])"),
        ("slice([1], 0, 2)", "0"),
        ("element([], 0)", "[]"),
        ("index([1], 2)", "2"),
        ("formatdate(\"QQ\", timestamp())", "\"QQ\""),
        ("formatdate(\"'\", timestamp())", "\"'\""),
        ("timeadd(\"today\", \"1h\")", "\"today\""),
        ("timeadd(timestamp(), \"soon\")", "\"soon\""),
        ("timecmp(timestamp(), \"x\")", "\"x\""),
        ("cidrhost(\"10.0.0.0\", 1)", "\"10.0.0.0\""),
        ("cidrsubnets(\"10.0.0.0/30\", 1, 1, 1)", "1"),
        ("format(\"%z\", 1)", "\"%z\""),
        ("format(\"%\")", "\"%\""),
        ("format(\"%s\")", "\"%s\""),
        ("format(\"x\", 1)", "1"),
        ("format(\"%d\", \"x\")", "\"x\""),
        ("jsondecode(\"{\")", "\"{\""),
        ("jsondecode(\"NaN\")", "\"NaN\""),
        ("base64decode(\"%%\")", "\"%%\""),
        ("base64decode(\"/w==\")", "\"/w==\""),
        ("csvdecode(\"a,a\\n1,2\")", "\"a,a\\n1,2\""),
        ("csvdecode(\"a,b\\n1\")", "\"a,b\\n1\""),
        ("uuidv5(\"x\", \"y\")", "\"x\""),
        ("parseint(\"9\", 8)", "\"9\""),
        ("parseint(\"9\", 99)", "99"),
        ("range(1, 5, -1)", "-1"),
        ("one([1, 2])", "[1, 2]"),
        ("sum([])", "[]"),
        ("tolist(1)", "1"),
        ("indent(-1, \"x\")", "-1"),
        ("upper(null)", "null"),
        ("templatefile(\"x\")", "templatefile(\"x\")"),
        ("replace(\"x\", \"/x/\", \"y\")", "\"/x/\""),
    ],
)  # fmt: skip
def test_errors_mark_the_argument(cw: Language, expression: str, marked: str) -> None:
    assert cw.error(expression)[1] == marked


@pytest.mark.parametrize(
    "expression",
    [
        "range(10000000)",
        "indent(100000000, \"\\n\")",
        "format(\"%99999999999d\", 1)",
        "format(\"%*d\", 99999999, 1)",
        "pow(10, 10000)",
        "join(format(\"%900000s\", \"x\"), range(1000))",
        "replace(format(\"%9000s\", \"\"), \" \", format(\"%9000s\", \"\"))",
        "setproduct(range(1000), range(1000), range(1000))",
        "jsondecode(join(\"\", [for i in range(200) : \"[\"]))",
        "1e999 * 1e999",
        "formatlist(\"%d\", concat(range(600000), range(600000)))",
        "jsonencode([for i in range(20) : [for j in range(1000) : format(\"%1000s\", \"x\")]])",
    ],
)  # fmt: skip
def test_large_results_are_refused_quickly(cw: Language, expression: str) -> None:
    code, _ = cw.error(expression)
    assert code in {"cw-limit", "cw-evaluation"}


def test_nothing_comes_from_the_surroundings(cw: Language) -> None:
    assert cw.error('file("x")')[0] == "cw-evaluation"
    assert cw.error('fileexists("x")')[0] == "cw-evaluation"
    assert cw.error('free_port("x")')[0] == "cw-evaluation"
    assert cw.value("timestamp()") == "1970-01-01T00:00:00Z"


class Files(dict[str, bytes]):
    def read(self, name: str) -> bytes:
        if name == "locked":
            raise PermissionError(13, "Permission denied")
        if name == "link":
            raise InvalidInputError("link is outside the project", hint="Copy it.")
        if name == "folder":
            raise IsADirectoryError(21, "Is a directory")
        if name not in self:
            raise FileNotFoundError(name)
        return self[name]


def test_files_come_from_the_reader_alone(cw: Language) -> None:
    files = Files(
        {
            "a.txt": "é".encode(),
            "b.bin": b"\xff",
            "t.tpl": b"%{ for x in xs ~}\n${x},\n%{ endfor ~}\n",
            "loop": b'${templatefile("loop", {})}',
        }
    )
    context = EvaluationContext(read_file=files.read)
    assert cw.value('file("./sub/../a.txt")', context=context) == "é"
    assert cw.value('filebase64("b.bin")', context=context) == "/w=="
    assert cw.value('filesha256("a.txt") == sha256("é")', context=context) is True
    assert cw.value('filemd5("a.txt") == md5("é")', context=context) is True
    assert cw.value('[fileexists("a.txt"), fileexists("zz"), fileexists("folder")]', context=context) == [
        True,
        False,
        False,
    ]
    assert cw.value('templatefile("t.tpl", { xs = [1, 2] })', context=context) == "1,\n2,\n"
    for bad in (
        "b.bin",
        "locked",
        "link",
        "missing",
        "../a.txt",
        "/a.txt",
        "a/../../x",
        "~/x",
        "",
        "x\\u0000y",
        "folder",
    ):
        code, marked = cw.error(f'file("{bad}")', context=context)
        assert (code, marked) == ("cw-evaluation", f'"{bad}"')
    assert cw.error('fileexists("link")', context=context)[0] == "cw-evaluation"
    assert cw.error('templatefile("loop", {})', context=context) == ("cw-evaluation", 'templatefile("loop", {})')


def test_free_ports_are_asked_for_by_name_and_remembered(cw: Language) -> None:
    asked: list[str] = []

    def free_port(name: str) -> int:
        asked.append(name)
        return 20000 + len(name)

    result = cw.run(
        'output "x" {\n  value = [free_port("web"), free_port("db"), free_port("web")]\n}\n',
        context=EvaluationContext(free_port=free_port),
    )
    assert result.output("x") == [20003, 20002, 20003]
    assert result.desired.ports == {"db": 20002, "web": 20003}
