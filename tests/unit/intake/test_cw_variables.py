"""Values for variables: rank, conversion, types, and errors that say where the value came from."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clockwork_nb.errors import ConfigurationError
from clockwork_nb.intake.configuration import Source
from clockwork_nb.intake.variables import VariableInput, collect_variables, read_variable_file
from clockwork_nb.secrets import Sensitive

if TYPE_CHECKING:
    from tests.unit.intake.conftest import Language

ECHO = 'output "x" {{\n  value = var.v\n  sensitive = {secret}\n}}\nvariable "v" {{\n{body}\n}}\n'


def value(cw: Language, body: str, given: Any, *, raw: bool = False, secret: bool = False) -> Any:
    inputs = [] if given is ... else [VariableInput("v", given, "--var", raw=raw)]
    return cw.run(ECHO.format(body=body, secret=str(secret).lower()), inputs=inputs).output("x")


def problem(cw: Language, body: str, given: Any, *, raw: bool = False) -> tuple[str, str, str]:
    inputs = [] if given is ... else [VariableInput("v", given, "CW_VAR_v", raw=raw)]
    (found,) = cw.run(ECHO.format(body=body, secret="false"), inputs=inputs).found.sorted()
    return found.code, found.note, found.detail


@pytest.mark.parametrize(
    ("type_", "text", "result"),
    [
        ("string", "8080", "8080"),
        ("string", '"quoted"', '"quoted"'),
        ("number", "8080", 8080),
        ("number", "1.5", 1.5),
        ("bool", "true", True),
        ("list(number)", '[1, "2"]', [1, 2]),
        ("list(string)", "[1, true]", ["1", "true"]),
        ("set(string)", '["b", "a", "b"]', ["a", "b"]),
        ("map(string)", "{ a = 1 }", {"a": "1"}),
        ("object({ a = number, b = optional(string) })", "{ a = 1 }", {"a": 1, "b": None}),
        ("object({ a = optional(list(number), [7]) })", "{}", {"a": [7]}),
        ("tuple([number, string])", "[1, 2]", [1, "2"]),
        ("list(object({ a = number }))", '[{ a = "1" }]', [{"a": 1}]),
        ("any", "8080", "8080"),
        ("map(list(bool))", '{ a = ["true"] }', {"a": [True]}),
        ("list", "[1]", [1]),
        ('"number"', "1", 1),
    ],
)
def test_text_becomes_the_declared_type(cw: Language, type_: str, text: str, result: object) -> None:
    assert value(cw, f"  type = {type_}", text, raw=True) == result


@pytest.mark.parametrize(
    ("default", "text", "result"),
    [("8080", "9090", 9090), ("false", "true", True), ('"a"', "9090", "9090"), ("[1]", "[2]", [2]), ("8080", "x", "x")],
)
def test_without_a_type_the_default_says_what_text_becomes(
    cw: Language, default: str, text: str, result: object
) -> None:
    assert value(cw, f"  default = {default}", text, raw=True) == result


def test_python_values_are_taken(cw: Language) -> None:
    assert value(cw, "", {"a": (1, 2.5, None, True)}) == {"a": [1, 2.5, None, True]}
    assert value(cw, "  type = number", 2.0) == 2
    assert value(cw, "  type = number", Decimal("0.1")) == 0.1
    assert problem(cw, "", object())[:2] == ("cw-wrong-type", "a Python object is no value of the language")
    assert problem(cw, "", float("nan"))[0] == "cw-wrong-type"
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    assert problem(cw, "", deep)[0] == "cw-wrong-type"


@pytest.mark.parametrize(
    ("type_", "text", "note"),
    [
        ("number", "abc", "a number is needed, this text is none"),
        ("bool", "yes", 'true or false is needed, this text is neither "true" nor "false"'),
        ("list(number)", '[1, "x"]', "a number is needed, this text is none at [1]"),
        ("map(number)", "[1]", "a map is needed, this is a list"),
        ("list(string)", "{}", "a list is needed, this is an object"),
        ("tuple([string])", "[1, 2]", "1 elements are needed, here are 2"),
        ("object({ a = number })", "{}", 'the attribute "a" is missing'),
        (
            "object({ a = object({ b = bool }) })",
            "{ a = { b = 5 } }",
            "true or false is needed, this is a number at .a.b",
        ),
    ],
)
def test_a_misfit_says_what_and_where_from(cw: Language, type_: str, text: str, note: str) -> None:
    code, found, detail = problem(cw, f"  type = {type_}", text, raw=True)
    assert (code, found) == ("cw-wrong-type", note)
    assert "CW_VAR_v" in detail


def test_a_value_that_is_no_expression_is_an_error_in_that_text(cw: Language) -> None:
    inputs = [VariableInput("v", "[1, 2", "--var", raw=True)]
    (found,) = cw.run(ECHO.format(body="  type = list(number)", secret="false"), inputs=inputs).found.sorted()
    assert found.code == "cw-syntax"
    assert found.subject is not None and found.subject.file == "--var v"
    assert problem(cw, "  type = list(string)", "[a]", raw=True)[0] == "cw-not-constant"


def test_errors_about_a_sensitive_value_do_not_show_it(cw: Language) -> None:
    for text in ("geheim", "[geheim"):
        for type_ in ("number", "list(number)"):
            inputs = [VariableInput("v", text, "--var", raw=True)]
            body = f"  type = {type_}\n  sensitive = true"
            found = cw.run(ECHO.format(body=body, secret="true"), inputs=inputs).found
            assert found.has_errors
            for d in found:
                assert "geheim" not in f"{d.summary}{d.note}{d.detail}{d.subject.source.text if d.subject else ''}"


def test_sensitive_variables_give_sensitive_values(cw: Language) -> None:
    assert value(cw, "  sensitive = true", "x", secret=True) == Sensitive("x")
    result = cw.run('variable "v" {\n  sensitive = true\n  default = "d"\n}\n')
    (variable,) = result.desired.variables
    assert (variable.value, variable.source, variable.sensitive) == (Sensitive("d"), "default", True)


def test_null(cw: Language) -> None:
    assert value(cw, "  default = 1", None) is None
    assert value(cw, "  default = 1\n  nullable = false", None) == 1
    assert problem(cw, "  nullable = false", None)[0] == "cw-wrong-type"
    assert problem(cw, "  nullable = false\n  default = null", ...)[0] == "cw-wrong-type"


def test_missing_and_undeclared(cw: Language) -> None:
    assert problem(cw, "", ...)[0] == "cw-missing-variable"
    found = cw.run('variable "port" {\n  default = 1\n}\n', inputs=[VariableInput("prot", 1, "--var")]).found
    (d,) = found
    assert (d.code, d.note) == ("cw-undeclared-variable", 'did you mean "port"?')
    assert "--var" in d.detail
    assert not cw.run("", inputs=[VariableInput("prot", 1, "parameters", optional=True)]).found


def test_the_last_input_wins_and_only_it_is_checked(cw: Language) -> None:
    inputs = [VariableInput("v", "x", "a.cwvars"), VariableInput("v", "7", "--var", raw=True)]
    result = cw.run(ECHO.format(body="  type = number", secret="false"), inputs=inputs)
    assert result.output("x") == 7
    assert result.desired.variables[0].source == "--var"


def test_the_rank_of_all_sources() -> None:
    inputs, found = collect_variables(
        files=[Source("a", "a.cwvars", b"v = 1\nlist = [1, { a = 2 }]\n")],
        environment={"CW_VAR_v": "2", "HOME": "/root"},
        var_files=[Source("b", "b.cwvars", b"v = 3\n")],
        assignments=[("v", "4")],
        parameters={"v": 5},
        overrides={"v": "6"},
    )
    assert not found
    assert [(i.source, i.value, i.raw, i.optional) for i in inputs if i.name == "v"] == [
        ("a.cwvars", 1, False, False),
        ("CW_VAR_v", "2", True, True),
        ("b.cwvars", 3, False, False),
        ("--var", "4", True, False),
        ("parameters", 5, False, True),
        ("%cw_var", "6", True, False),
    ]
    assert [i.value for i in inputs if i.name == "list"] == [[1, {"a": 2}]]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"a = var.b\n", "cw-not-constant"),
        (b"a = b\n", "cw-not-constant"),
        (b"a {\n}\n", "cw-unknown-block"),
        (b"a = \n", "cw-syntax"),
        (b"a = 1\na = 2\n", "cw-duplicate"),
        (b"a = 1 / 0\n", "cw-evaluation"),
        (b"\xff", "cw-encoding"),
    ],
)
def test_mistakes_in_a_file_of_values(text: bytes, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_variable_file(text, name="x.cwvars")
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert collect_variables(files=[Source("x", "x.cwvars", text)])[1].has_errors


def test_a_file_of_values_knows_its_lines(cw: Language) -> None:
    inputs = read_variable_file(b'\nv = "x"\n', name="x.cwvars")
    (found,) = cw.run(ECHO.format(body="  type = number", secret="false"), inputs=inputs).found
    assert str(found.subject) == "x.cwvars, line 2, column 1"
    assert "x.cwvars" in found.detail


VALIDATED = """
variable "low" {
  default = 10
}
variable "v" {
  default = 5
  validation {
    condition     = var.v > var.low
    error_message = "it is ${var.v}, more than ${var.low} is needed\\nUse a larger one."
  }
  validation {
    condition     = var.v < 100
    error_message = "too large"
  }
}
output "x" {
  value = var.v
}
"""


def test_validation(cw: Language) -> None:
    assert cw.run(VALIDATED, inputs=[VariableInput("v", 50, "--var")]).output("x") == 50
    (found,) = cw.run(VALIDATED, inputs=[VariableInput("v", 7, "%cw_var")]).found
    assert (found.code, found.note) == ("cw-validation", "it is 7, more than 10 is needed")
    assert found.detail == "Use a larger one.\nThe value comes from %cw_var."
    assert found.trail[0][0] == "the condition"
    (found,) = cw.run(VALIDATED).found
    assert str(found.subject) == "main.cw, line 6, column 13"
    (found,) = cw.run(VALIDATED.replace("var.v > var.low", '"x"')).found
    assert found.code == "cw-evaluation"


def test_a_validation_does_not_show_a_sensitive_value(cw: Language) -> None:
    text = VALIDATED.replace("default = 5", "default = 5\n  sensitive = true").replace("value = var.v", "value = 1")
    (found,) = cw.run(text, inputs=[VariableInput("v", 7777, "--var")]).found.sorted()[:1]
    assert "7777" not in found.note
