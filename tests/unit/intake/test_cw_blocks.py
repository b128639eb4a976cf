"""What blocks may say about themselves, and the codes of everything that can be wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clockwork_nb.intake as intake
from clockwork_nb.intake.codes import CODES
from clockwork_nb.intake.nodes import walk
from clockwork_nb.intake.syntax import parse

if TYPE_CHECKING:
    from tests.unit.intake.conftest import Language

CASES = Path(__file__).parents[2] / "conformance" / "cw" / "cases"


def test_every_code_is_in_the_catalogue_and_in_use() -> None:
    folder = Path(intake.__file__).parent
    texts = [p.read_text() for p in sorted(folder.glob("*.py")) if p.name != "codes.py"]
    used = set(re.findall(r'"(cw-[a-z-]+)"', "".join(texts)))
    assert used == set(CODES)


def test_every_code_has_a_case() -> None:
    shown = set(re.findall(r"#! error (cw-[a-z-]+)", "".join(p.read_text() for p in CASES.glob("bad_*.cw"))))
    # Encoding needs bytes that are no text (test_cw_syntax), a machine its facts (test_cw_facts).
    assert set(CODES) - shown == {"cw-encoding", "cw-machine"}


def test_every_node_of_the_corpus_lies_in_its_parent() -> None:
    kinds = set()
    for path in CASES.glob("good_*.cw"):
        document, found = parse(path.read_bytes(), filename=path.name)
        assert not found
        for item, _ in document.items:
            for node in walk(item):
                kinds.add(type(node).__name__)
                assert item.start <= node.start <= node.end <= item.end
    assert kinds >= {
        "Literal", "Reference", "Traversal", "AttributeStep", "IndexStep", "SplatStep", "Template", "TemplateIf",
        "TemplateFor", "List", "Object", "ObjectItem", "ForExpression", "Call", "Conditional", "Unary", "Chain",
        "Attribute", "Block",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "marked"),
    [
        ('variable "v" {\n  description = 5\n  sensitive = "maybe"\n}', "cw-wrong-type", '"maybe"'),
        ('variable "v" {\n  nullable = null\n}', "cw-wrong-type", "null"),
        ('variable "v" {\n  description = []\n}', "cw-wrong-type", "[]"),
        ('variable "v" {\n  description = "a${var.x}"\n}', "cw-not-constant", "var.x"),
        ('variable "v" {\n  ephemeral = true\n}', "cw-not-built", "ephemeral"),
        ('variable "v" {\n  validations {\n  }\n}', "cw-unknown-attribute", "validations"),
        ('variable "v" {\n  default = 1\n  validation {\n    condition = true\n  }\n}', "cw-missing-attribute", "validation"),
        ('variable "v" {\n  default = 1\n  validation {\n    x = 1\n    condition = true\n    error_message = ""\n  }\n}',
         "cw-unknown-attribute", "x"),
        ('variable "v" {\n  type = object({ (a) = string })\n  default = {}\n}', "cw-wrong-type", "a"),
        ('variable "v" {\n  type = object\n  default = 1\n}', "cw-wrong-type", "object"),
        ('variable "v" {\n  type = list(string, string)\n  default = 1\n}', "cw-wrong-type", "list(string, string)"),
        ('variable "v" {\n  type = 5\n  default = 1\n}', "cw-wrong-type", "5"),
        ('variable "v" {\n  type = lst(string)\n  default = 1\n}', "cw-wrong-type", "lst"),
        ('output "v" {\n  value = 1\n  vlaue = 2\n}', "cw-unknown-attribute", "vlaue"),
        ('output "v" {\n  value = 1\n  description = 5\n  sensitive = 5\n}', "cw-wrong-type", "5"),
        ('output "v" {\n  value = 1\n  depends_on = [box.gone]\n}', "cw-unknown-reference", "box.gone"),
        ('output "v" {\n  value = 1\n  precondition {\n  }\n}', "cw-not-built", "precondition"),
        ("locals {\n  a {\n  }\n}", "cw-unknown-block", "a"),
        ('box "a" {\n  path = "x"\n  depends_on = box.b\n}', "cw-unknown-reference", "box.b"),
        ('box "a" {\n  path = "x"\n  lifecycle {\n    prevent_destory = true\n  }\n}', "cw-unknown-attribute", "prevent_destory"),
        ('box "a" {\n  path = "x"\n  lifecycle {\n    ignore_changes = [env["A"]]\n  }\n}', "cw-wrong-type", 'env["A"]'),
        ('box "a" {\n  path = "x"\n  provisioner "local" {\n  }\n}', "cw-not-built", "provisioner"),
        ('box "a" {\n  path = "x"\n  assert {\n  }\n}', "cw-not-built", "assert"),
        ('box "a b" {\n  path = "x"\n}', "cw-block-labels", '"a b"'),
        ("locals {\n  a = path.home\n}", "cw-unknown-reference", "path.home"),
        ("locals {\n  a = box\n}", "cw-unknown-reference", "box"),
        ("locals {\n  a = self.x\n}", "cw-not-built", "self.x"),
        ("locals {\n  a = vra.x\n}", "cw-unknown-reference", "vra.x"),
        ('locals {\n  a = f("x" 1)\n}', "cw-syntax", "1"),
        ("locals {\n  a = [for 5 in x : x]\n}", "cw-syntax", "5"),
        ("locals {\n  a = [for x on y : x]\n}", "cw-syntax", "on"),
        ("locals {\n  a = a.b(1)\n}", "cw-syntax", "a.b"),
        ("locals {\n  a = a::1\n}", "cw-syntax", "1"),
        ("locals {\n  a = a::b\n}", "cw-syntax", "\n"),
        ("locals {\n  a = {5 5}\n}", "cw-syntax", "5"),
        ("locals {\n  a = {[] = 5}\n}", "cw-syntax", "["),
        ("locals {\n  a = f(1..., 2)\n}", "cw-syntax", ","),
        ("locals {\n  a.b = 1\n}", "cw-syntax", "a.b"),
        ("a ${x} {\n}", "cw-syntax", "$"),
        ('a "x${1}" {\n}', "cw-syntax", '"x${1}"'),
        ('a "x" = 1', "cw-syntax", "="),
        ("a + 1", "cw-syntax", "+"),
        ("locals { a = 1 } locals {}", "cw-syntax", "locals"),
        ("locals {\n} x", "cw-syntax", "x"),
        ("locals {\n  x = <<\n}", "cw-syntax", "<<"),
    ],
)  # fmt: skip
def test_mistakes_have_a_code_and_a_place(cw: Language, text: str, code: str, marked: str) -> None:
    first = cw.run(text + "\n").found.sorted()[0]
    assert first.subject is not None
    assert (first.code, first.subject.source.text[first.subject.start : first.subject.end]) == (code, marked)


def test_labels_may_be_written_in_all_ways(cw: Language) -> None:
    for head in ('box "a" {', "box a {", 'resource box "a" {', 'box "\\u0061" {', 'box   "a"   { # note'):
        result = cw.run(f'{head}\n  path = "x"\n}}\n')
        assert list(result.desired.resources) == ["box.a"], head


def test_a_suggestion_for_a_bare_name(cw: Language) -> None:
    (found,) = cw.run('variable "port" {\n  default = 1\n}\nlocals {\n  a = port\n}\n').found
    assert found.note == 'did you mean "var.port" (declared in main.cw, line 1)?'
    (found,) = cw.run('locals {\n  port = 1\n}\noutput "x" {\n  value = var.port\n}\n').found
    assert found.note == 'did you mean "local.port" (declared in main.cw, line 2)?'


def test_outputs_follow_what_they_depend_on(cw: Language) -> None:
    text = 'output "x" {\n  value = 1\n  depends_on = [box.a]\n  description = "d"\n}\nbox "a" {\n  path = "forbidden"\n}\n'
    result = cw.run(text)
    assert [d.code for d in result.found] == ["cw-invalid-value"]
    good = cw.run(text.replace("forbidden", "x")).desired.outputs[0]
    assert (good.name, good.value, good.description) == ("x", 1, "d")


def test_an_unknown_block_is_told_all_that_there_are(cw: Language) -> None:
    (found,) = cw.run("mvoed {\n}\n").found
    assert found.code == "cw-unknown-block" and "moved" in found.note
    assert all(word in found.detail for word in ("variable", "locals", "output", "moved", "import", "removed", "box"))
