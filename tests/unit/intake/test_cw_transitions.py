"""``moved``, ``import`` and ``removed``: what they say, in which words they are refused, and where."""

from __future__ import annotations

from typing import Any

import pytest

BOX = 'box "new" { path = "p" }\n'


def moved(old: str, new: str) -> str:
    return f"moved {{\n  from = {old}\n  to   = {new}\n}}\n"


def test_a_chain_of_moves_ends_at_the_last_address_and_the_latest_comes_first(cw: Any) -> None:
    text = moved("box.a", "box.z") + moved("box.z", "box.m") + moved("box.m", "box.new") + BOX
    result = cw.run(text)
    assert not result.found
    assert result.desired.moves == {"box.new": ("box.m", "box.z", "box.a")}
    assert [result.configuration.destination(a) for a in ("box.a", "box.m", "box.new", "box.x")] == [
        "box.new",
        "box.new",
        "box.new",
        "box.x",
    ]


def test_moves_do_not_depend_on_the_order_of_their_blocks(cw: Any) -> None:
    first, second = moved("box.a", "box.b"), moved("box.b", "box.new")
    assert cw.run(first + second + BOX).desired.moves == cw.run(second + first + BOX).desired.moves


def test_a_long_chain_of_moves_is_read_without_recursion(cw: Any) -> None:
    text = "".join(moved(f"box.a{i}", f"box.a{i + 1}") for i in range(1500))
    result = cw.run(text + 'box "a1500" { path = "p" }\n')
    assert not result.found
    assert result.configuration.destination("box.a0") == "box.a1500"


def test_a_circle_of_moves_has_no_destination(cw: Any) -> None:
    result = cw.run(moved("box.a", "box.b") + moved("box.b", "box.a"))
    assert [code for code, _, _ in result.errors] == ["cw-cycle", "cw-cycle"]
    assert result.configuration.destination("box.a") == "" and result.configuration.moved_from() == {}


@pytest.mark.parametrize("address", ["box.old", '"box.old"', "crate.old", '"crate.old"'])
def test_an_address_is_a_reference_or_a_text_and_its_type_has_its_proper_name(cw: Any, address: str) -> None:
    assert cw.run(moved(address, "crate.new") + BOX).desired.moves == {"box.new": ("box.old",)}


@pytest.mark.parametrize(
    "address", ["box", "box.a.path", "var.x", '"box"', '"box.a.b"', '""', '"nope.a"', "1", "box[0]", '"box.${var.x}"']
)
def test_what_is_no_address_is_refused(cw: Any, address: str) -> None:
    codes = {code for code, line, _ in cw.run(moved(address, "box.new") + BOX).errors}
    assert "cw-unknown-reference" in codes


def test_what_moved_to_the_same_place_names_the_other_block(cw: Any) -> None:
    result = cw.run(moved("box.a", "box.new") + moved("box.b", "box.new") + BOX)
    (found,) = result.found.sorted()
    assert (found.code, found.summary) == ("cw-duplicate", "two resources are moved to box.new")
    assert found.trail[0][1].begin.line == 1


def test_an_undeclared_destination_names_the_nearest_one_and_how_to_declare_it(cw: Any) -> None:
    (found,) = cw.run(moved("box.old", "box.nwe") + BOX).found.sorted()
    assert found.summary == "box.nwe is not declared" and found.note == 'did you mean "box.new"?'
    assert found.detail == 'Declare it: box "nwe" { … }'


def test_with_a_file_that_cannot_be_read_an_undeclared_destination_is_no_further_mistake(cw: Any) -> None:
    result = cw.run({"a.cw": moved("box.old", "box.elsewhere"), "b.cw": 'box "elsewhere" {\n  path = \n}\n'})
    assert [code for code, _, _ in result.errors if code == "cw-unknown-reference"] == []
    assert result.found.has_errors


def test_moves_may_stand_in_another_file_than_the_resource(cw: Any) -> None:
    assert not cw.run({"a.cw": moved("box.old", "box.new"), "b.cw": BOX}).found


def test_an_import_says_id_and_place_and_may_call_functions(cw: Any) -> None:
    result = cw.run('import {\n  to = crate.new\n  id = join("/", ["a", "b"])\n}\n' + BOX)
    ((import_id, place),) = result.desired.imports.values()
    assert not result.found and list(result.desired.imports) == ["box.new"]
    assert import_id == "a/b" and place.begin.line == 1


@pytest.mark.parametrize("value", ['""', "null", "[]", "{}"])
def test_an_import_without_a_proper_id_is_refused_and_never_ignored(cw: Any, value: str) -> None:
    result = cw.run(f"import {{\n  to = box.new\n  id = {value}\n}}\n{BOX}")
    assert result.found.has_errors and result.errors[0][1] == 3


def test_removed_says_whether_the_thing_goes_too(cw: Any) -> None:
    text = "removed { from = box.a }\nremoved {\n  from = box.b\n  lifecycle {\n    destroy = false\n  }\n}\n"
    result = cw.run(text)
    assert not result.found
    assert result.desired.removals == {"box.a": True, "box.b": False}


def test_what_is_moved_and_removed_says_two_things_at_once(cw: Any) -> None:
    result = cw.run(moved("box.old", "box.new") + "removed { from = box.old }\n" + BOX)
    assert [(d.code, d.summary) for d in result.found.sorted()] == [("cw-duplicate", "box.old is moved and removed")]


@pytest.mark.parametrize("kind", ["moved", "import", "removed"])
@pytest.mark.parametrize("body", ["", "from", "from =", "from = box.a to = box.b", '"x" = 1', "\0", "to = box.a[*]"])
def test_broken_blocks_are_mistakes_with_a_place_and_never_crash(cw: Any, kind: str, body: str) -> None:
    result = cw.run(f"{kind} {{\n{body}\n}}\n{BOX}")
    assert result.found.has_errors
    assert all(d.subject is not None for d in result.found.sorted())
