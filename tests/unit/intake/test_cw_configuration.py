"""Whole configurations: several texts, dependencies, cycles, marks in resources, what a cell declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clockwork_nb.intake.decode import Source, declared, evaluate, read_configuration
from clockwork_nb.intake.expressions import EvaluationContext
from clockwork_nb.intake.limits import Limits
from clockwork_nb.intake.syntax import SyntaxCache
from clockwork_nb.intake.values import Unknown
from clockwork_nb.intake.variables import VariableInput
from clockwork_nb.secrets import Sensitive

if TYPE_CHECKING:
    from tests.unit.intake.conftest import Language


def test_texts_are_one_configuration_in_any_order(cw: Language) -> None:
    texts = {
        "b": 'box "b" {\n  path = "${local.root}/b"\n}\n',
        "a": "locals {\n  root = box.a.path\n}\n",
        "c": 'box "a" {\n  path = "r"\n}\n',
    }
    one = cw.run(texts)
    other = cw.run(dict(reversed(texts.items())))
    assert not one.found
    assert one.desired.resources["box.b"].config["path"] == "r/b"
    assert one.desired.resources["box.b"].dependencies == ("box.a",)
    assert one.desired.resources["box.b"].declared_in == "b"
    assert one.desired.loaded == {"a", "b", "c"}
    assert one.desired.digest == other.desired.digest
    assert list(one.desired.resources) == ["box.b", "box.a"]
    assert list(other.desired.resources) == ["box.a", "box.b"]


def test_the_digest_follows_keys_and_bytes(cw: Language) -> None:
    digests = {
        cw.run(texts).desired.digest
        for texts in ({"a": ""}, {"a": "\n"}, {"b": ""}, {"a": "", "b": ""}, {"a": "# x"}, {"a": "# x"})
    }
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('box "a" {\n  path = "x"\n}\n', 'resource "crate" "a" {\n  path = "x"\n}\n'),
        ('variable "a" {\n  default = 1\n}\n', 'variable "a" {\n}\n'),
        ("locals {\n  a = 1\n}\n", "locals {\n  a = 2\n}\n"),
        ('output "a" {\n  value = 1\n}\n', 'output "a" {\n  value = 1\n}\n'),
    ],
)
def test_a_second_declaration_names_both_places(cw: Language, first: str, second: str) -> None:
    (found,) = cw.run({"one": first, "two": "\n" + second}).found
    assert found.code == "cw-duplicate"
    assert found.subject is not None and found.subject.file == "cell two"
    ((_, place),) = found.trail
    assert place is not None and place.file == "cell one"


def test_a_cycle_is_named_once_by_its_shortest_path(cw: Language) -> None:
    text = (
        'box "api" {\n  path = box.db.path\n}\n'
        'box "db" {\n  path = local.seed\n  size = box.far.size\n}\n'
        'box "far" {\n  path = "x"\n  size = box.further.size\n}\n'
        'box "further" {\n  path = "x"\n  size = box.db.size\n  depends_on = [box.api]\n}\n'
        "locals {\n  seed = box.api.id\n}\n"
    )
    (found,) = cw.run(text).found
    assert (found.code, found.summary) == ("cw-cycle", "these resources need each other")
    assert [(t, p.begin.line if p else 0) for t, p in found.trail] == [
        ("box.api  needs  box.db", 2),
        ("box.db  needs  local.seed", 5),
        ("local.seed  needs  box.api", 18),
    ]
    assert found.detail == "Break one of the three."


def test_separate_cycles_are_each_named(cw: Language) -> None:
    text = "locals {\n  a = local.b\n  b = local.a\n  c = local.c\n  d = local.a\n}\n"
    found = cw.run(text).found.sorted()
    assert [(d.code, d.summary) for d in found] == [
        ("cw-cycle", "these values need each other"),
        ("cw-cycle", "this value needs itself"),
    ]


def test_a_large_knot_is_one_diagnostic(cw: Language) -> None:
    count = 1_500
    lines = "".join(f"  l{i} = local.l{(i + 1) % count}\n" for i in range(count))
    (found,) = cw.run("locals {\n" + lines + "}\n").found
    assert len(found.trail) == count


def test_a_chain_of_100000_references(cw: Language) -> None:
    count = 100_000
    lines = "".join(f"  l{i} = local.l{i + 1}\n" for i in range(count))
    text = f'locals {{\n{lines}  l{count} = box.a.size\n}}\nbox "a" {{\n  path = "x"\n}}\noutput "x" {{\n  value = local.l0\n}}\n'
    assert cw.run(text).output("x") == 1


def test_dependencies_come_through_locals_and_depends_on(cw: Language) -> None:
    text = """
locals {
  one  = box.a.path
  both = [local.one, box.b.id]
}
box "a" {
  path = "a"
}
box "b" {
  path = "b"
}
box "c" {
  path       = join("", local.both)
  depends_on = ["box.d"]
}
box "d" {
  path = local.one
}
"""
    resources = cw.run(text).desired.resources
    assert resources["box.c"].dependencies == ("box.a", "box.b", "box.d")
    assert resources["box.d"].dependencies == ("box.a",)
    assert resources["box.a"].dependencies == ()


def test_lifecycle(cw: Language) -> None:
    text = 'box "a" {\n  path = "x"\n  lifecycle {\n    prevent_destroy = true\n    ignore_changes = [env, "size"]\n  }\n}\n'
    box = cw.run(text).desired.resources["box.a"]
    assert (box.prevent_destroy, box.ignore_changes) == (True, ("env", "size"))
    all_of_it = cw.run(text.replace('[env, "size"]', "all")).desired.resources["box.a"]
    assert set(all_of_it.ignore_changes) == set(all_of_it.config)
    (found,) = cw.run(text.replace("env", "emv")).found
    assert (found.code, found.note) == ("cw-unknown-attribute", 'did you mean "env"?')
    (found,) = cw.run(text.replace("= true", "= maybe")).found
    assert found.code == "cw-not-constant"


def test_a_failed_block_makes_no_noise_where_it_is_used(cw: Language) -> None:
    text = """
variable "v" {
}
box "a" {
  path = "x${var.v}"
  nope = 1
}
box "b" {
  path = box.a.path
  size = "wrong"
}
output "x" {
  value = [box.b.id, local.l]
}
locals {
  l = 1 / 0
}
"""
    assert cw.run(text).errors == [
        ("cw-missing-variable", 2, 1),
        ("cw-unknown-attribute", 6, 3),
        ("cw-wrong-type", 10, 10),
        ("cw-evaluation", 16, 11),
    ]


def test_names_in_a_text_that_could_not_be_read_are_not_called_unknown(cw: Language) -> None:
    texts = {"bad": 'box "a" [\n  path = "x"\n}\n', "good": "locals {\n  x = box.a.path\n  y = local.gone\n}\n"}
    assert {d.code for d in cw.run(texts).found} == {"cw-syntax"}
    broken = {"bad": 'box "a" {\n  path = = "x"\n}\n', "good": "locals {\n  x = box.a.path\n  y = local.gone\n}\n"}
    assert sorted(d.code for d in cw.run(broken).found) == ["cw-syntax", "cw-unknown-reference"]


def test_limit_of_all_texts_together(cw: Language) -> None:
    limits = Limits(total_bytes=20)
    assert not cw.run({"a": "#" * 10, "b": "#" * 10}, limits=limits).found
    (found,) = cw.run({"a": "#" * 10, "b": "#" * 11}, limits=limits).found
    assert found.code == "cw-limit" and found.subject is not None and found.subject.file == "cell b"


def test_limit_of_all_blocks_together(cw: Language) -> None:
    text = {"a": "locals {\n}\n" * 2, "b": "locals {\n}\n" * 2}
    assert not cw.run(text, limits=Limits(blocks=4)).found
    assert [d.code for d in cw.run(text, limits=Limits(blocks=3)).found] == ["cw-limit"]


# --- marks in resources -----------------------------------------------------------------------------------------------

SECRET = 'variable "s" {\n  sensitive = true\n  default = "hush"\n}\n'


def test_a_sensitive_leaf_is_marked_again_after_the_model(cw: Language) -> None:
    text = SECRET + 'box "a" {\n  path = var.s\n  env = { A = "x", B = "p-${var.s}" }\n}\n'
    config = cw.run(text).desired.resources["box.a"].config
    assert config["path"] == Sensitive("hush")
    assert config["env"] == {"A": "x", "B": Sensitive("p-hush")}
    assert config["size"] == 1


def test_a_sensitive_part_that_the_model_rearranges_marks_the_whole_attribute(cw: Language) -> None:
    text = 'variable "s" {\n  sensitive = true\n  default = 8080\n}\nbox "a" {\n  path = "x"\n  ports = { external = var.s }\n}\n'
    config = cw.run(text).desired.resources["box.a"].config
    assert config["ports"] == Sensitive([{"external": 8080, "internal": 80}])


def test_a_misfitting_sensitive_value_is_not_shown(cw: Language) -> None:
    text = SECRET.replace("hush", "forbidden") + 'box "a" {\n  path = var.s\n  size = var.s\n}\n'
    found = cw.run(text).found.sorted()
    assert [d.code for d in found] == ["cw-invalid-value", "cw-wrong-type"]
    for d in found:
        assert "forbidden" not in f"{d.summary}{d.note}{d.detail}"


def test_unknown_values_pass_and_the_rest_is_checked(cw: Language) -> None:
    text = 'box "a" {\n  path = "x"\n}\nbox "b" {\n  path = "y${box.a.pid}"\n  env = { P = box.a.pid }\n  size = 5\n}\n'
    config = cw.run(text).desired.resources["box.b"].config
    assert isinstance(config["path"], Unknown)
    assert config["env"] == {"P": Unknown()}
    assert (config["size"], config["ports"]) == (5, [])
    assert cw.run(text.replace("size = 5", 'size = "5"')).errors == [("cw-wrong-type", 7, 10)]


def test_exports_of_other_resources_are_exact_numbers(cw: Language) -> None:
    text = 'box "a" {\n  path = "x"\n  size = 8080\n}\noutput "x" {\n  value = "${box.a.size + 0.5} ${box.a.id}"\n}\n'
    assert cw.run(text).output("x") == "8080.5 box:x"


# --- time -------------------------------------------------------------------------------------------------------------


def test_what_depends_on_the_time_is_volatile(cw: Language) -> None:
    text = """
locals {
  stamp = timestamp()
}
box "a" {
  path = "at ${local.stamp}"
  size = 1
  env  = { KEEP = "1" }
}
box "b" {
  path = box.a.path
}
box "c" {
  path = "x"
}
"""
    first = cw.run(text, context=EvaluationContext(now="2026-01-01T00:00:00Z")).desired.resources
    second = cw.run(text, context=EvaluationContext(now="2027-01-01T00:00:00Z")).desired.resources
    assert first["box.a"].config["path"] == "at 2026-01-01T00:00:00Z"
    assert set(first["box.a"].volatile) == {"path"}
    assert set(first["box.b"].volatile) == {"path"}
    assert first["box.c"].volatile == {}
    assert first["box.a"].volatile == second["box.a"].volatile
    changed = cw.run(text.replace("at $", "on $"), context=EvaluationContext(now="2026-01-01T00:00:00Z"))
    assert changed.desired.resources["box.a"].volatile != first["box.a"].volatile


# --- what a cell declares ---------------------------------------------------------------------------------------------


def test_declared(cw: Language) -> None:
    texts = {
        "settings": 'variable "port" {\n  default = 8080\n}\nvariable "need" {\n}\n'
        + SECRET
        + "locals {\n  a = 1\n}\n",
        "web": 'box "a" {\n  path = "x"\n}\noutput "url" {\n  value = 1\n}\n',
    }
    result = cw.run(texts, inputs=[VariableInput("need", "n", "--var")])
    document = declared(result.configuration)
    assert document["web"] == {"variables": [], "locals": [], "resources": ["box.a"], "outputs": ["url"]}
    assert document["settings"]["variables"] == [
        {"name": "port", "value": 8080, "source": "default"},
        {"name": "need"},
        {"name": "s", "sensitive": True},
    ]
    assert document["settings"]["locals"] == ["a"]
    evaluated = declared(result.configuration, result.desired)
    assert evaluated["settings"]["variables"][1] == {"name": "need", "value": "n", "source": "--var"}


# --- reading again ----------------------------------------------------------------------------------------------------


def test_reading_again_with_a_cache_gives_the_same(cw: Language) -> None:
    cache = SyntaxCache()
    before = "".join(f'box "b{i}" {{\n  path = "p{i}"\n  size = {i}\n}}\n' for i in range(50))
    after = before.replace('"p25"', '"q25"').replace('box "b3" {', '\n# moved\nbox "b3" {')
    for text in (before, after, before):
        cached, _ = read_configuration([Source("m", "m", text.encode())], types=cw.types, cache=cache)
        fresh, _ = read_configuration([Source("m", "m", text.encode())], types=cw.types)
        results: list[Any] = []
        for configuration in (cached, fresh):
            desired, found = evaluate(configuration, types=cw.types, inputs=(), context=EvaluationContext())
            assert not found
            results.append([(a, dict(r.config), r.range.begin) for a, r in desired.resources.items()])
        assert results[0] == results[1]
