"""Values of expressions: marks, errors at their place, bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from clockwork_nb.intake.limits import LIMITS
from clockwork_nb.intake.values import Unknown
from clockwork_nb.intake.variables import VariableInput
from clockwork_nb.secrets import Sensitive

if TYPE_CHECKING:
    from tests.unit.intake.conftest import Language

SECRET = 'variable "s" {\n  sensitive = true\n}\n'
HUSH = [VariableInput("s", "hush", "--var")]


def sensitive(cw: Language, expression: str, **values: Any) -> Any:
    """Return the value of *expression*, which may use var.s ("hush" or what is given) and must be sensitive."""
    inputs = [VariableInput("s", values.get("s", "hush"), "--var")]
    text = f'{SECRET}output "x" {{\n  value = {expression}\n  sensitive = true\n}}\n'
    return cw.run(text, inputs=inputs).output("x")


def needs_sensitive(cw: Language, expression: str, s: Any = "hush") -> bool:
    """Return whether the value of *expression* carries the mark."""
    result = cw.run(f'{SECRET}output "x" {{\n  value = {expression}\n}}\n', inputs=[VariableInput("s", s, "--var")])
    codes = [d.code for d in result.found]
    assert codes in ([], ["cw-sensitive-output"]), codes
    return bool(codes)


@pytest.mark.parametrize(
    ("expression", "s"),
    [
        ("var.s", "x"),
        ('"a${var.s}"', "x"),
        ('var.s == "x"', "x"),
        ("[1, var.s]", "x"),
        ("{ a = var.s }", "x"),
        ("{ (var.s) = 1 }", "x"),
        ("[for v in var.s : v]", ["x"]),
        ("[for v in [1, 2] : v if v == var.s]", 1),
        ("{ for v in [1] : var.s => v }", "x"),
        ("var.s ? 1 : 2", True),
        ("true ? var.s : 2", 1),
        ("-var.s", 1),
        ("!var.s", True),
        ("1 + var.s", 1),
        ("true && var.s", True),
        ("var.s.a", {"a": 1}),
        ('var.s["a"]', {"a": 1}),
        ("[1, 2][var.s]", 1),
        ("var.s[*].a", [{"a": 1}]),
        ("upper(var.s)", "x"),
        ("jsonencode([var.s])", "x"),
        ("merge({}, { a = var.s })", "x"),
        ("concat([1], [var.s])", "x"),
        ("length(var.s)", "x"),
        ('join(",", ["a", var.s])', "x"),
        ('format("%s", var.s)', "x"),
        ("max([1, var.s]...)", 3),
        ("try(var.s, 1)", "x"),
        ("can(var.s)", "x"),
        ('"%{ if var.s }a%{ endif }"', True),
        ('"%{ for v in var.s }a%{ endfor }"', [1]),
        ("sensitive(1)", "x"),
        ("lookup({ a = 1 }, var.s)", "a"),
        ('contains([var.s], "x")', "x"),
    ],
)
def test_the_sensitive_mark_travels_through(cw: Language, expression: str, s: Any) -> None:
    assert needs_sensitive(cw, expression, s)


@pytest.mark.parametrize(
    "expression",
    [
        "nonsensitive(var.s)",
        "issensitive(var.s)",
        "length([var.s])",
        "keys({ a = var.s })",
        "element([1, var.s], 0)",
        "[1, var.s][0]",
        "{ a = 1, b = var.s }.a",
        "merge({ a = 1 }, { b = var.s }).a",
        "true ? 1 : var.s",
        'lookup({ a = 1, b = var.s }, "a", 2)',
    ],
)
def test_what_does_not_depend_on_it_is_not_marked(cw: Language, expression: str) -> None:
    assert not needs_sensitive(cw, expression)


def test_marked_values_are_right(cw: Language) -> None:
    assert sensitive(cw, '"a-${var.s}-b"').value == "a-hush-b"
    assert sensitive(cw, "{ a = [var.s, 1] }").value == {"a": [Sensitive("hush"), 1]}
    assert sensitive(cw, "var.s + 1", s=41).value == 42


def test_messages_do_not_show_sensitive_values(cw: Language) -> None:
    for expression, value in [
        ("tonumber(var.s)", "geheim"),
        ("upper([var.s])", "geheim"),
        ("{ a = 1 }[var.s]", "geheim"),
        ("jsondecode(var.s)", "geheim"),
        ('file("${var.s}.txt")', "geheim"),
        ("1 + var.s", "geheim"),
        ("format(var.s)", "geheim%"),
        ("lookup({ a = 1 }, var.s)", "geheim"),
        ("{ for v in [1, 2] : var.s => v }", "geheim"),
        ("{ (var.s) = 1, (var.s) = 2 }", "geheim"),
        ("{ a = 1 }[upper(var.s)]", "geheim"),
    ]:
        result = cw.run(
            f'{SECRET}output "x" {{\n  value = {expression}\n}}\n', inputs=[VariableInput("s", value, "--var")]
        )
        assert result.found.has_errors
        for d in result.found:
            for text in (d.summary, d.note, d.detail):
                assert "geheim" not in text.lower(), (expression, text)


BOX = 'box "a" {\n  path = "p"\n}\n'


@pytest.mark.parametrize(
    "expression",
    [
        "box.a.pid",
        '"x${box.a.pid}"',
        "box.a.pid + 1",
        "box.a.pid == 1",
        "!box.a.pid",
        "box.a.pid.deeper",
        "box.a.pid[0]",
        "[1][box.a.pid]",
        "box.a.pid[*]",
        "box.a.pid ? 1 : 2",
        "[for v in box.a.pid : v]",
        "[for v in [1] : v if box.a.pid]",
        "{ for v in [1] : box.a.pid => v }",
        "{ (box.a.pid) = 1 }",
        "upper(box.a.pid)",
        "jsonencode([box.a.pid])",
        "max(box.a.pid...)",
        "can(box.a.pid)",
        "try(box.a.pid, 1)",
        '"%{ if box.a.pid }x%{ endif }"',
        '"%{ for v in box.a.pid }x%{ endfor }"',
        "[1] == [box.a.pid]",
    ],
)
def test_what_depends_on_an_unknown_value_is_unknown(cw: Language, expression: str) -> None:
    value = cw.run(f'{BOX}output "x" {{\n  value = {expression}\n}}\n').output("x")
    assert isinstance(value, Unknown)


def test_unknown_elements_stay_inside_collections(cw: Language) -> None:
    text = f'{BOX}output "x" {{\n  value = [length([box.a.pid]), {{ a = box.a.pid, b = 1 }}.b, keys({{ k = box.a.pid }})]\n}}\n'
    assert cw.run(text).output("x") == [1, 1, ["k"]]


def test_unknown_and_sensitive_together(cw: Language) -> None:
    text = f'{SECRET}{BOX}output "x" {{\n  value = "${{var.s}}${{box.a.pid}}"\n  sensitive = true\n}}\n'
    value = cw.run(text, inputs=HUSH).output("x")
    assert isinstance(value, Sensitive) and isinstance(value.value, Unknown)


@pytest.mark.parametrize(
    ("expression", "code", "marked"),
    [
        ("1 + [2]", "cw-evaluation", "[2]"),
        ("[1, 2][2]", "cw-evaluation", "2"),
        ("[1][-1]", "cw-evaluation", "-1"),
        ("[1][0.5]", "cw-evaluation", "0.5"),
        ('"x".a', "cw-evaluation", "a"),
        ("(null).a", "cw-evaluation", "a"),
        ("toset([1])[0]", "cw-evaluation", "[0]"),
        ("[{ a = 1 }].a", "cw-evaluation", "a"),
        ("{ ([1]) = 1 }", "cw-evaluation", "[1]"),
        ("max(1...)", "cw-evaluation", "1"),
        ("try()", "cw-evaluation", "try()"),
        ("try(1 / 0, [0][1])", "cw-evaluation", "try(1 / 0, [0][1])"),
        ("can()", "cw-evaluation", "can()"),
        ("[for v in null : v]", "cw-evaluation", "null"),
        ('"%{ if 5 }x%{ endif }"', "cw-evaluation", "5"),
        ("true ? 1 : true", "cw-evaluation", "true ? 1 : true"),
        ('-"x"', "cw-evaluation", '"x"'),
        ("a::b(1)", "cw-unknown-function", "a::b"),
    ],
)
def test_errors_mark_what_is_wrong(cw: Language, expression: str, code: str, marked: str) -> None:
    assert cw.error(expression) == (code, marked)


def test_loops_are_bounded(cw: Language) -> None:
    limits = structs.replace(LIMITS, loop_steps=100)
    assert len(cw.value("[for x in range(100) : x]", limits=limits)) == 100
    assert cw.error("[for x in range(101) : x]", limits=limits)[0] == "cw-limit"
    assert cw.error("[for x in range(11) : [for y in range(10) : y]]", limits=limits)[0] == "cw-limit"


def test_texts_are_bounded(cw: Language) -> None:
    limits = structs.replace(LIMITS, text=10)
    assert cw.value('"${"12345"}${"12345"}"', limits=limits) == "1234512345"
    assert cw.error('"${"12345"}${"12345"}6"', limits=limits)[0] == "cw-limit"


def _doubling(last: int) -> str:
    return (
        "locals {\n  a0 = [1]\n"
        + "".join(f"  a{i} = [local.a{i - 1}, local.a{i - 1}]\n" for i in range(1, last))
        + "}\n"
    )


def test_values_that_double_are_stopped_not_built(cw: Language) -> None:
    result = cw.run(_doubling(64) + 'output "x" {\n  value = local.a63 == local.a62\n}\n')
    assert {d.code for d in result.found} == {"cw-limit"}
    texts = 'locals {\n  a0 = "0123456789"\n' + "".join(
        f'  a{i} = "${{local.a{i - 1}}}${{local.a{i - 1}}}"\n' for i in range(1, 40)
    )
    assert {d.code for d in cw.run(texts + "}\n").found} == {"cw-limit"}


def test_values_nested_too_deep_are_stopped(cw: Language) -> None:
    text = "locals {\n  a0 = 1\n" + "".join(f"  a{i} = [local.a{i - 1}]\n" for i in range(1, 120)) + "}\n"
    assert {d.code for d in cw.run(text).found} == {"cw-limit"}


def test_a_text_of_a_template_has_exact_numbers(cw: Language) -> None:
    assert cw.value('"${1.10} ${100000000000000000000.5} ${0.1 + 0.2} ${-0.0}"') == "1.1 100000000000000000000.5 0.3 0"
