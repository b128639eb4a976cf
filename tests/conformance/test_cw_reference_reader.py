"""Our reader against python-hcl2: the same texts are accepted, and plain values are the same.

Where the two differ, the HCL specification (and Terraform, which follows it) decides; the case is in `DIFFERENCES`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.intake.nodes import Attribute, Block, List, Literal, Object, Unary
from clockwork_nb.intake.syntax import parse

hcl2 = pytest.importorskip("hcl2")

CASES = Path(__file__).parent / "cw" / "cases"

# text: (we accept it, python-hcl2 accepts it)
SNIPPETS: dict[str, tuple[bool, bool]] = {
    "a = 1\n": (True, True),
    'a = "x"\n': (True, True),
    "a = 1.5e3\n": (True, True),
    'a "b" "c" {\n  d = true\n}\n': (True, True),
    "a b {\n}\n": (True, True),
    "a = [1, 2,]\n": (True, True),
    "a = {\n  b = 1\n  c : 2\n}\n": (True, True),
    "a = [for x in y : x if x > 1]\n": (True, True),
    "a = {for k, v in y : k => v...}\n": (True, True),
    'a = "${b.c[0].d[*].e}"\n': (True, True),
    "a = b ? c : d ? e : f\n": (True, True),
    "a = -b + !c * (d - 1) % 2\n": (True, True),
    "a = f(x, g(y)...)\n": (True, True),
    "a = <<EOT\nx ${y}\nEOT\n": (True, True),
    "a = <<-EOT\n  x\n  EOT\n": (True, True),
    "a = b.*.c\n": (True, True),
    "a = b.0\n": (True, True),
    "# c\n// d\n/* e */\na = 1 # f\n": (True, True),
    "a = (\n  1 +\n  2\n)\n": (True, True),
    "a = = 1\n": (False, False),
    "a = [1 2]\n": (False, False),
    "a = [1, 2\n": (False, False),
    "a {\n": (False, False),
    "}\n": (False, False),
    'a = "x\n': (False, False),
    "a = 1 +\n": (False, False),
    "a =\n": (False, False),
    "a = <<EOT\nx\n": (False, False),
    "a = 'x'\n": (False, False),
    "a = f(\n": (False, False),
}
DIFFERENCES: dict[str, tuple[bool, bool]] = {
    # python-hcl2 takes these although they are not HCL
    "a = 1\na = 2\n": (False, True),  # the second value would win without a word
    "a = 1 b = 2\n": (False, True),  # an attribute ends with its line
    'a = "\\o"\n': (False, True),  # no such escape
    "a {} b {}\n": (False, True),
    "a { b {} }\n": (False, True),
    'a "${b}" {}\n': (False, True),  # a label is a plain text
    "a = b.0.1\n": (False, True),
    "a = b.*.c.*.d\n": (False, True),
    'a = "%{ endif }"\n': (False, True),
    # python-hcl2 refuses these although they are HCL
    'a = "${~ b ~}"\n': (True, False),
    "größe = 1\n": (True, False),
    "a = b::c()\n": (True, False),
    # ours by choice
    "a = { b.c = 1 }\n": (False, True),  # a computed key needs brackets in Terraform too, at evaluation
    "a = { b = 1, b = 2 }\n": (False, True),  # the second value would win without a word
}


def reference(text: str) -> Any:
    """Return what python-hcl2 makes of *text*, or None when it refuses it."""
    from hcl2.utils import SerializationOptions

    gc.disable()  # half of its time goes to the collector
    try:
        return hcl2.loads(text, serialization_options=SerializationOptions(strip_string_quotes=True))
    except Exception:  # what it raises depends on the version: lark errors, RuntimeError, ValueError
        return None
    finally:
        gc.enable()


@pytest.mark.parametrize("text", [*SNIPPETS, *DIFFERENCES])
def test_both_accept_or_refuse_as_listed(text: str) -> None:
    ours, theirs = {**SNIPPETS, **DIFFERENCES}[text]
    _, found = parse(text.encode(), filename="x")
    assert (not found) is ours, [d.summary for d in found]
    assert (reference(text) is not None) is theirs


# Cases whose text python-hcl2 refuses although they are right; see DIFFERENCES for the reasons.
REFUSED_BY_REFERENCE = {
    "good_crlf_unicode_names",
}


def _plain(node: Any) -> Any:
    """Return the value of a literal, or a list or object of literals; Ellipsis for anything else."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Unary) and node.operator == "-" and isinstance(node.operand, Literal):
        return -node.operand.value
    if isinstance(node, List):
        items = [_plain(i) for i in node.items]
        return ... if ... in items else items
    if isinstance(node, Object) and all(isinstance(i.key, Literal) for i in node.items):
        values = {i.key.value: _plain(i.value) for i in node.items if isinstance(i.key, Literal)}
        return ... if ... in values.values() else values
    return ...


def _pairs(items: Any, theirs: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield plain values of both sides, block by block."""
    counts: dict[str, int] = {}
    for item in items:
        if isinstance(item, Attribute):
            yield _plain(item.value), theirs[item.name]
            continue
        assert isinstance(item, Block)
        position = counts.setdefault(item.kind, 0)
        counts[item.kind] += 1
        body = theirs[item.kind][position]
        for label in item.labels:
            body = body[label.value]
        yield from _pairs(item.body.items, body)


def _comparable(ours: Any, theirs: Any) -> bool:
    # Texts with escapes, templates and heredocs come back unprocessed from python-hcl2, fractions as floats.
    if ours is ... or isinstance(ours, Decimal):
        return False
    if isinstance(ours, str):
        plain = ours.isascii() and not any(c in ours for c in '\n\r\t\\"$%')
        return plain and isinstance(theirs, str) and not theirs.startswith("<<")
    if isinstance(ours, int) and not isinstance(ours, bool):
        return isinstance(theirs, int)
    if isinstance(ours, list):
        return isinstance(theirs, list) and all(_comparable(a, b) for a, b in zip(ours, theirs, strict=False))
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(_comparable(v, theirs.get(k)) for k, v in ours.items())
    return True


@pytest.mark.parametrize("path", sorted(CASES.glob("good_*.cw")), ids=lambda p: p.stem)
def test_plain_values_of_the_corpus_are_the_same(path: Path) -> None:
    data = path.read_bytes()
    document, found = parse(data, filename=path.name)
    assert not found
    theirs = reference(data.decode())
    assert (theirs is None) is (path.stem in REFUSED_BY_REFERENCE)
    if theirs is None:
        return
    pairs = [p for p in _pairs([item for item, _ in document.items], theirs) if _comparable(*p)]
    assert [mine for mine, _ in pairs] == [other for _, other in pairs]


def test_the_values_of_a_service_file_are_the_same() -> None:
    text = "".join(
        f'service "web{i}" {{\n  name = "web-{i}"\n  ports = [{{ external = {8000 + i}, internal = 80 }}]\n'
        f'  env = {{\n    A = "x"\n    "b c" = true\n  }}\n  health_check {{\n    path = "/health"\n    retries = -{i}\n  }}\n}}\n'
        for i in range(10)
    )
    document, _ = parse(text.encode(), filename="x")
    pairs = list(_pairs([item for item, _ in document.items], reference(text)))
    assert len(pairs) == 50
    assert [ours for ours, _ in pairs if not isinstance(ours, dict)] == [
        theirs for ours, theirs in pairs if not isinstance(ours, dict)
    ]
