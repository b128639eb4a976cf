"""Any text can be read; what can be written comes back; cached and fresh readings agree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.diagnostics import SUMMARY_LIMIT
from clockwork_nb.intake.decode import Source, evaluate, read_configuration
from clockwork_nb.intake.expressions import EvaluationContext
from clockwork_nb.intake.lexer import number
from clockwork_nb.intake.names import nearest
from clockwork_nb.intake.nodes import walk
from clockwork_nb.intake.operators import equal, number_text, to_number
from clockwork_nb.intake.syntax import SyntaxCache, parse

FRAGMENTS = [
    "a", "b-c", "var.x", "box", "=", "==", "{", "}", "[", "]", "(", ")", '"', '"x"', "${", "%{", "~}", "}", "\n", "\n  ",
    "\r\n", " ", "1", "1.5e3", "for", "in", "if", "else", "endif", "endfor", "<<EOT\n", "<<-EOT\n", "\nEOT\n", "#", "//",
    "/*", "*/", "\\", "\\n", "\\u00e9", "$", "%", "$${", "?", ":", "...", ".", "*", ",", "=>", "!", "-", "+", "&&", "||",
    "true", "null", "locals {\n", 'variable "v" {\n', "}\n", "x = 1\n", "é", "\u0301", "😀", "'", ";", "::",
]  # fmt: skip
text_like = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)
anything = st.one_of(text_like, st.text(max_size=200))


def _check_places(document: Any, found: Any, size: int) -> None:
    for d in found:
        assert d.subject is not None
        assert 0 <= d.subject.start <= d.subject.end <= len(d.subject.source.text)
        assert d.subject.begin.line >= 1 and d.subject.begin.column >= 1
    for item, origin in document.items:
        for node in walk(item):
            place = origin.range(node)
            assert 0 <= place.start <= place.end <= size


@given(anything)
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_and_all_places_lie_in_it(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    document, found = parse(data, filename="x")
    _check_places(document, found, len(text))


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read(data: bytes) -> None:
    document, found = parse(data, filename="x")
    _check_places(document, found, len(data))


class Nothing(Mapping[str, Any]):
    """A registry without types."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


@given(anything)
@settings(max_examples=200, deadline=None)
def test_any_text_is_evaluated_without_an_exception(text: str) -> None:
    source = Source("x", "x", text.encode("utf-8", "surrogatepass"))
    configuration, _ = read_configuration([source], types=Nothing())
    evaluate(configuration, types=Nothing(), inputs=(), context=EvaluationContext())


expression_like = st.recursive(
    st.sampled_from(
        ["1", "2.5", '"x"', '"a${1}"', "true", "null", "[]", "{}", "[1, 2]", "{ a = 1 }", "local.n", "local.l"]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%", "==", "<", "&&", "||"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
        st.lists(inner, max_size=3).map(lambda v: f"[{', '.join(v)}]"),
        inner.map(lambda v: f"[for x in {v} : x]"),
        inner.map(lambda v: f"{{ for k, x in {v} : k => x... }}"),
        inner.map(lambda v: f"({v})[*]"),
        inner.map(lambda v: f"({v})[0]"),
        inner.map(lambda v: f"({v}).a"),
        inner.map(lambda v: f'"<${{{v}}}>"'),
        st.tuples(
            st.sampled_from(
                ["upper", "length", "jsonencode", "flatten", "keys", "toset", "tostring", "sum", "try", "can"]
            ),
            inner,
        ).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from(["merge", "concat", "coalesce", "format", "max", "setunion"]), inner, inner).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]})"
        ),
    ),
    max_leaves=12,
)


@given(expression_like)
@settings(max_examples=300, deadline=None)
def test_any_expression_has_a_value_or_one_error_with_a_place(expression: str) -> None:
    text = f'locals {{\n  n = 3\n  l = ["p", "q"]\n}}\noutput "x" {{\n  value = {expression}\n}}\n'
    configuration, found = read_configuration([Source("x", "x", text.encode())], types=Nothing())
    assert not found, [d.summary for d in found]
    desired, found = evaluate(configuration, types=Nothing(), inputs=(), context=EvaluationContext())
    assert len(found) == 1 - len(desired.outputs)
    for d in found:
        assert d.subject is not None and d.subject.end <= len(text)
        assert len(d.summary) <= SUMMARY_LIMIT


def _value(text: str) -> Any:
    configuration, found = read_configuration([Source("x", "x", text.encode())], types=Nothing())
    assert not found, [d.summary for d in found]
    desired, found = evaluate(configuration, types=Nothing(), inputs=(), context=EvaluationContext())
    assert not found, [d.summary for d in found]
    return desired.outputs[0].value


def quoted(text: str) -> str:
    """Return *text* as HCL writes it."""
    out = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${").replace("%{", "%%{")
    return '"' + out.replace("\n", "\\n").replace("\r", "\\r") + '"'


plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@given(st.one_of(plain_text, st.lists(st.sampled_from(["$", "%", "{", "}", '"', "\\", "n", "\n", "~"])).map("".join)))
@settings(max_examples=300, deadline=None)
def test_a_quoted_text_comes_back(text: str) -> None:
    # A $ or % before an escaped sequence stays one: HCL has no way to escape the sign itself.
    assert _value(f'output "x" {{\n  value = {quoted(text)}\n}}\n') == text


@given(plain_text, plain_text, plain_text)
@settings(max_examples=100, deadline=None)
def test_interpolation_puts_texts_together(before: str, middle: str, after: str) -> None:
    text = f'"{quoted(before)[1:-1]}${{{quoted(middle)}}}{quoted(after)[1:-1]}"'
    if before.endswith(("$", "%")):
        return  # "$${" would be the escape
    assert _value(f'output "x" {{\n  value = {text}\n}}\n') == before + middle + after


lines_of_text = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="$%"), max_size=20),
    max_size=8,
)


@given(lines_of_text)
@settings(max_examples=150, deadline=None)
def test_a_heredoc_keeps_its_lines(lines: list[str]) -> None:
    if any(line.strip(" \t") == "EOT" for line in lines):
        return
    body = "".join(f"{line}\n" for line in lines)
    assert _value(f'output "x" {{\n  value = <<EOT\n{body}EOT\n}}\n') == body


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), plain_text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(plain_text, inner, max_size=4)),
    max_leaves=20,
)


def written(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {written(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_values_come_back_as_written(value: Any) -> None:
    assert equal(_value(f'output "x" {{\n  value = {written(value)}\n}}\n'), value)


@given(json_values)
@settings(max_examples=100, deadline=None)
def test_json_goes_there_and_back(value: Any) -> None:
    assert equal(_value(f'output "x" {{\n  value = jsondecode(jsonencode({written(value)}))\n}}\n'), value)


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**15), max_value=10**15)


@given(decimals)
def test_numbers_are_exact(value: Decimal) -> None:
    text = format(abs(value), "f")
    found = number(text)
    assert found is not None
    assert found == abs(value)
    assert to_number(number_text(found)) == found


@given(decimals, decimals)
def test_sums_are_exact(a: Decimal, b: Decimal) -> None:
    value = _value(f'output "x" {{\n  value = tostring({a:f} + {b:f})\n}}\n')
    assert Decimal(value) == a + b


blocks = st.lists(
    st.sampled_from(
        [
            "locals {\n  a = 1\n}\n",
            'variable "v" {\n  default = <<EOT\n}\nEOT\n}\n',
            "# comment\n",
            "\n",
            'output "o" {\n  value = [\n    1,\n  ]\n}\n',
            'output "p" { value = local.a }\n',
            "locals {\n  a = = 1\n}\n",
            "locals {\n  a = 1\n",
            "}\n",
            "x = 1\n",
        ]
    ),
    max_size=8,
).map("".join)


@given(blocks, blocks)
@settings(max_examples=150, deadline=None)
def test_a_cache_changes_nothing(first: str, second: str) -> None:
    cache = SyntaxCache()

    def facts(text: str, with_cache: SyntaxCache | None) -> Any:
        document, found = parse(text.encode(), filename="x", cache=with_cache)
        if with_cache is not None:
            with_cache.finish()
        nodes = [(type(n).__name__, origin.range(n).to_dict()) for item, origin in document.items for n in walk(item)]
        return nodes, [d.to_dict() for d in found], document.blocks

    for text in (first, second, first):
        assert facts(text, cache) == facts(text, None)


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=5))
def test_the_nearest_name_is_a_known_one(name: str, known: list[str]) -> None:
    assert nearest(name, known) in {"", *known}
    if len(name) > 1 and name in known:
        assert nearest(name, known).casefold() == name.casefold()
