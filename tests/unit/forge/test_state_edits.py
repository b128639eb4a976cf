"""Forgetting, renaming, tainting and replacing what is recorded: pure edits of a state document."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.assembly.prior import PriorState
from clockwork_nb.errors import ClockworkError, InvalidInputError, PlanStaleError, UnsafeOperationError
from clockwork_nb.forge.fold import new_state
from clockwork_nb.forge.state_edit import StateEdit, matching, move, push, remove, taint, untaint
from clockwork_nb.resources.registry import builtin_types

TYPES = builtin_types()


def entry(address: str, *needs: str, status: str = "ok") -> dict[str, Any]:
    return {
        "address": address, "type": address.partition(".")[0], "config": {"path": f"out/{address}"}, "identity": {},
        "declared_in": "main.cw", "dependencies": sorted(needs), "status": status,
    }  # fmt: skip


def state(*entries: dict[str, Any], serial: int = 7) -> dict[str, Any]:
    last = {"job": "job_x", "section": 1, "seq": 40}
    resources = sorted(entries, key=lambda e: str(e["address"]))
    return {**new_state("lin"), "serial": serial, "resources": resources, "last": last}


def addresses(edit: StateEdit) -> list[str]:
    return [e["address"] for e in edit.after["resources"]]


SITE = state(
    entry("directory.site"), entry("file.page[0]", "directory.site"), entry("file.page[1]", "directory.site"),
    entry('file.lang["de"]'), entry("file.motd"), entry("check.it", "file.motd", "file.page[0]"),
)  # fmt: skip
ALL = [e["address"] for e in SITE["resources"]]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("file.motd", ["file.motd"]),
        ("file.page", ["file.page[0]", "file.page[1]"]),
        ("file.page[1]", ["file.page[1]"]),
        ('file.lang["de"]', ['file.lang["de"]']),
        ("file.*", ['file.lang["de"]', "file.motd", "file.page[0]", "file.page[1]"]),
        ("file.page[?]", ["file.page[0]", "file.page[1]"]),
        ("*", ALL),
        ("fil", []),
        ("file.mot", []),
        ("file.m[o]td", []),
    ],
)
def test_a_pattern_means_an_address_its_instances_or_what_the_stars_allow(pattern: str, found: list[str]) -> None:
    assert matching(ALL, pattern, TYPES) == found


def test_an_alias_of_a_type_is_the_type() -> None:
    alias = next(name for name, kind in TYPES.items() if name != kind.name)
    name = f"{TYPES[alias].name}.x"
    assert matching([name], f"{alias}.x", TYPES) == [name]


def test_every_edit_raises_the_serial_and_leaves_no_log_to_roll_forward() -> None:
    before = copy.deepcopy(SITE)
    edits = [
        remove(SITE, ["file.motd"], TYPES),
        move(SITE, "file.motd", "file.welcome", TYPES),
        taint(SITE, "file.motd", TYPES),
        untaint(state(entry("file.a", status="tainted")), "file.a", TYPES),
        push(SITE, {**SITE, "resources": []}),
    ]
    for edit in edits:
        assert edit.after["serial"] == 8
        assert edit.after["last"] is None
        assert PriorState.from_document(edit.after).to_document() == edit.after
    assert before == SITE


def test_forgetting_takes_all_that_is_meant_and_nothing_else() -> None:
    edit = remove(SITE, ["file.page", "check.*"], TYPES, reason="gone")
    assert [(e.address, e.what) for e in edit.entries] == [
        ("check.it", "forget"), ("file.page[0]", "forget"), ("file.page[1]", "forget"),
    ]  # fmt: skip
    assert addresses(edit) == ["directory.site", 'file.lang["de"]', "file.motd"]
    assert edit.reason == "gone"


def test_what_means_nothing_is_refused_with_the_nearest_name() -> None:
    calls: list[Callable[[], StateEdit]] = [
        lambda: remove(SITE, ["file.motd", "file.mtod"], TYPES),
        lambda: taint(SITE, "file.mtod", TYPES),
        lambda: move(SITE, "file.mtod", "file.x", TYPES),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert caught.value.hint == "Did you mean file.motd?"
    with pytest.raises(InvalidInputError, match="means 2 resources"):
        taint(SITE, "file.page", TYPES)


def test_a_renamed_entry_keeps_all_it_has_and_others_need_it_under_the_new_name() -> None:
    edit = move(SITE, "file.motd", "file.aaa", TYPES)
    entries = {e["address"]: e for e in edit.after["resources"]}
    assert addresses(edit) == sorted(addresses(edit))
    assert entries["file.aaa"] == {**entry("file.motd"), "address": "file.aaa"}
    assert entries["check.it"]["dependencies"] == ["file.aaa", "file.page[0]"]
    back = move(edit.after, "file.aaa", "file.motd", TYPES)
    assert back.after["resources"] == SITE["resources"]


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        ("file.page[0]", UnsafeOperationError, "is recorded already"),
        ("directory.motd", UnsafeOperationError, "of the type file"),
        ("file", InvalidInputError, "is not an address"),
        ("file.a b", InvalidInputError, "is not an address"),
    ],
)
def test_a_target_that_cannot_be_is_refused(target: str, kind: type[ClockworkError], words: str) -> None:
    with pytest.raises(kind, match=words):
        move(SITE, "file.motd", target, TYPES)


def test_what_is_bound_to_its_address_is_not_renamed_and_the_way_out_is_told() -> None:
    bound: Any = {"thing": SimpleNamespace(name="thing", aliases=(), bound_to_address=True)}
    with pytest.raises(UnsafeOperationError, match="bound to its address") as caught:
        move(state(entry("thing.a")), "thing.a", "thing.b", bound)
    assert "clockwork destroy --target 'thing.a'" in caught.value.hint
    with pytest.raises(UnsafeOperationError, match="not installed here"):
        move(state(entry("thing.a")), "thing.a", "thing.b", TYPES)


def test_only_a_tainted_entry_is_untainted() -> None:
    tainted = taint(SITE, "file.motd", TYPES).after
    with pytest.raises(InvalidInputError, match="tainted already"):
        taint(tainted, "file.motd", TYPES)
    assert untaint(tainted, "file.motd", TYPES).after["resources"] == SITE["resources"]
    for status in ("ok", "failed", "unknown"):
        with pytest.raises(InvalidInputError, match=f"its status is {status}"):
            untaint(state(entry("file.a", status=status)), "file.a", TYPES)


# --- push --------------------------------------------------------------------------------------------------------


def pushed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SITE), **fields}


def test_what_was_pulled_and_edited_is_taken_and_the_difference_is_told() -> None:
    document = pushed(resources=[entry("file.new"), {**entry("file.motd"), "status": "tainted"}])
    edit = push(SITE, document, name="s.json")
    assert {(e.address, e.what) for e in edit.entries} >= {("file.new", "record"), ("file.motd", "change")}
    assert ("directory.site", "forget") in {(e.address, e.what) for e in edit.entries}
    assert addresses(edit) == ["file.motd", "file.new"]
    assert edit.after["serial"] == 8


def test_a_higher_serial_stays_the_higher_one_and_an_empty_workspace_takes_a_state() -> None:
    assert push(SITE, pushed(serial=90, resources=[])).after["serial"] == 91
    first = push(None, pushed())
    assert first.before is None
    assert first.serial_before == 0
    assert first.after["serial"] == 8
    assert {e.what for e in first.entries} == {"record"}


def test_another_lineage_and_a_lower_serial_need_force() -> None:
    with pytest.raises(UnsafeOperationError, match="another workspace"):
        push(SITE, pushed(lineage="other"))
    with pytest.raises(PlanStaleError, match="moved on"):
        push(SITE, pushed(serial=6, resources=[]))
    edit = push(SITE, pushed(serial=6, lineage="other"), force=True, reason="restore")
    assert edit.forced == "another lineage, serial 6 below 7"
    assert edit.after["serial"] == 8
    assert edit.after["lineage"] == "other"


def test_the_same_content_is_no_edit() -> None:
    with pytest.raises(InvalidInputError, match="recorded already"):
        push(SITE, pushed(serial=9))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schema": "clockwork.state.v0"}, "schema"),
        ({"lineage": None}, "no lineage"),
        ({"lineage": ""}, "no lineage"),
        ({"serial": -1}, "serial"),
        ({"more": 1}, "'more' does not belong"),
        ({"resources": {}}, "resources"),
        ({"resources": [entry("file.a"), entry("file.a")]}, r"resources\[1\]"),
        ({"resources": [{**entry("file.a"), "more": 1}]}, "'more' does not belong"),
        ({"resources": [{**entry("file.a"), "status": "fine"}]}, "status"),
        ({"outputs": [{"name": "x", "value": 1, "sensitive": True}]}, "fit together"),
        ({"ports": [{"name": "x", "port": "80"}]}, "ports"),
    ],
)
def test_what_is_no_state_is_refused_with_the_place(change: dict[str, Any], where: str) -> None:
    for force in (False, True):
        with pytest.raises(InvalidInputError, match=where):
            push(SITE, pushed(**change), force=force, reason="x")


def test_the_order_of_lists_in_a_pushed_document_does_not_matter() -> None:
    shuffled = pushed(resources=[*reversed(SITE["resources"][1:])])
    assert addresses(push(SITE, shuffled)) == ALL[1:]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda s: st.lists(s) | st.dictionaries(st.sampled_from([*SITE, "address", "type", "x"]), s), max_leaves=12))  # fmt: skip
def test_any_json_is_taken_or_refused_with_a_code(document: Any) -> None:
    for found in (document, {**SITE, "resources": document}, {**SITE, "outputs": document}):
        try:
            edit = push(SITE, found)
        except ClockworkError as error:
            assert error.code.startswith("E_")
        else:
            assert PriorState.from_document(edit.after).to_document() == edit.after
