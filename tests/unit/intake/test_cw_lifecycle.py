"""The ``lifecycle`` block: what each setting becomes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest


def box(name: str, settings: str = "", more: str = "") -> str:
    return f'box "{name}" {{\n  path = "{name}"\n{more}  lifecycle {{\n{settings}\n  }}\n}}\n'


def test_without_a_block_nothing_is_asked_for(cw: Any) -> None:
    made = cw.run('box "a" { path = "a" }\n').desired.resources["box.a"]
    assert (made.prevent_destroy, made.ignore_changes, made.create_before_destroy, made.triggers) == (
        False,
        (),
        None,
        (),
    )


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ('"true"', True)])
def test_create_before_destroy_is_told_from_its_absence(cw: Any, text: str, value: bool) -> None:
    result = cw.run(box("a", f"create_before_destroy = {text}\nprevent_destroy = {text}"))
    made = result.desired.resources["box.a"]
    assert not result.found
    assert made.create_before_destroy is value and made.prevent_destroy is value


@pytest.mark.parametrize("value", ["var.x", "box.b.size == 1", "null", "[true]", '"perhaps"'])
def test_flags_are_constants(cw: Any, value: str) -> None:
    result = cw.run(box("a", f"prevent_destroy = {value}") + 'variable "x" { default = true }\n')
    assert result.found.has_errors


def test_ignore_changes_names_attributes_or_all(cw: Any) -> None:
    made = cw.run(box("a", 'ignore_changes = [size, "env"]')).desired.resources["box.a"]
    assert made.ignore_changes == ("size", "env")
    made = cw.run(box("a", "ignore_changes = all")).desired.resources["box.a"]
    assert made.ignore_changes == ("env", "path", "ports", "probe", "size")
    assert cw.run(box("a", "ignore_changes = []")).desired.resources["box.a"].ignore_changes == ()


def test_an_ignored_attribute_that_there_is_none_of_is_told_with_the_nearest(cw: Any) -> None:
    (found,) = cw.run(box("a", "ignore_changes = [sise]")).found.sorted()
    assert (found.code, found.note) == ("cw-unknown-attribute", 'did you mean "size"?')
    (found,) = cw.run(box("a", "ignore_changes = [env.A]")).found.sorted()
    assert found.code == "cw-wrong-type" and "Parts of an attribute" in found.detail


def test_triggers_are_resources_or_their_attributes_and_dependencies_too(cw: Any) -> None:
    text = box("a", "replace_triggered_by = [crate.b, box.c.size]") + box("b") + box("c")
    made = cw.run(text).desired.resources["box.a"]
    assert made.triggers == (("box.b", ""), ("box.c", "size"))
    assert made.dependencies == ("box.b", "box.c")


def test_one_trigger_needs_no_list(cw: Any) -> None:
    assert cw.run(box("a", "replace_triggered_by = box.b") + box("b")).desired.resources["box.a"].triggers == (
        ("box.b", ""),
    )


def test_triggers_in_a_circle_are_a_circle(cw: Any) -> None:
    result = cw.run(box("a", "replace_triggered_by = [box.b]") + box("b", "replace_triggered_by = [box.a]"))
    assert {code for code, _, _ in result.errors} == {"cw-cycle"}


@pytest.mark.parametrize("item", ["box.nope", "var.x", '"box.b"', "box", "box.b.path.x", "box.b.id"])
def test_what_cannot_be_a_trigger_is_refused(cw: Any, item: str) -> None:
    result = cw.run(box("a", f"replace_triggered_by = [{item}]") + box("b") + 'variable "x" { default = 1 }\n')
    assert result.found.has_errors and result.errors[0][1] == 4


def test_a_setting_that_there_is_none_of_is_told(cw: Any) -> None:
    (found,) = cw.run(box("a", "prevent_destory = true")).found.sorted()
    assert found.code == "cw-unknown-attribute" and found.note == 'did you mean "prevent_destroy"?'
    assert cw.run(box("a", "precondition {\n}")).errors == [("cw-not-built", 4, 1)]
