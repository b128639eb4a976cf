"""What a section makes of the state without a step: new names, what is taken over, and nothing of what still waits."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.forge.fold import SectionFold, StateImage, has_unknown, new_state
from clockwork_nb.forge.state import roll_forward

JOB = "job_01"


def change(address: str, kind: str, **more: Any) -> dict[str, Any]:
    after = None if kind in {"delete", "forget"} else {"path": "p"}
    base: dict[str, Any] = {
        "address": address,
        "type": "thing",
        "kind": kind,
        "declared_in": "main.cw",
        "dependencies": [],
        "after": after,
    }
    return {**base, **more}


def plan(*changes: Mapping[str, Any], steps: Mapping[str, str] | None = None, outputs: Any = ()) -> dict[str, Any]:
    return {
        "changes": list(changes),
        "actions": {"steps": [{"id": k, "address": a} for k, a in (steps or {}).items()]},
        "outputs": [{"before": None, "sensitive": False, **o} for o in outputs],
        "ports": [],
    }


def entry(address: str, *needs: str, **more: Any) -> dict[str, Any]:
    base = {
        "address": address,
        "type": "thing",
        "config": {"path": "p"},
        "identity": {"id": 7},
        "declared_in": "old.cw",
    }
    return {**base, "dependencies": list(needs), "status": "ok", **more}


def state(*entries: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**new_state("lineage"), "serial": 3, "resources": list(entries), **more}


def folded(plan: Mapping[str, Any], before: Mapping[str, Any], *events: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the state after the section with the given plan and events, and its end without a failure."""
    image = StateImage(before)
    fold = SectionFold(plan, job=JOB, section=1)
    assert fold.begin(image, 10)
    for kind, payload in events:
        fold.fold(image, kind, payload, lambda digest: b"")
    fold.finish(image)
    assert image.document_bytes() == canonical_json(image.document())
    return image.document()


def test_a_move_keeps_what_was_found_out_and_renames_what_depends_on_it() -> None:
    before = state(entry("thing.old"), entry("thing.user", "thing.old", "thing.z"), entry("thing.z"))
    move = change("thing.new", "move", moved_from="thing.old")
    image = StateImage(before)
    SectionFold(plan(move), job=JOB, section=1).begin(image, 10)
    now = {e["address"]: e for e in image.document()["resources"]}
    assert list(now) == ["thing.new", "thing.user", "thing.z"]
    assert now["thing.new"]["identity"] == {"id": 7} and now["thing.user"]["dependencies"] == ["thing.new", "thing.z"]
    assert image.document_bytes() == canonical_json(image.document())


def test_a_move_that_was_made_already_is_not_made_twice() -> None:
    before = state(entry("thing.old"))
    moves = plan(change("thing.new", "move", moved_from="thing.old"))
    once = folded(moves, before)
    image = StateImage(once)
    fold = SectionFold(moves, job=JOB, section=1)
    assert not fold.begin(image, 11)
    fold.finish(image)
    assert image.document() == once and once["serial"] == 4


def test_moves_in_a_row_do_not_run_into_each_other() -> None:
    before = state(entry("thing.a", identity={"id": "a"}), entry("thing.b", identity={"id": "b"}))
    moves = [change("thing.c", "move", moved_from="thing.b"), change("thing.b", "move", moved_from="thing.a")]
    for order in (moves, moves[::-1]):
        after = folded(plan(*order), before)
        assert {e["address"]: e["identity"]["id"] for e in after["resources"]} == {"thing.b": "a", "thing.c": "b"}


def test_a_move_of_nothing_is_nothing() -> None:
    before = state(entry("thing.user", "thing.old"))
    image = StateImage(before)
    image.rename({"thing.old": "thing.new"})
    assert image.document()["resources"] == before["resources"]


def test_a_moved_resource_whose_step_fails_is_recorded_as_failed_under_its_new_name() -> None:
    made = change("thing.new", "update", moved_from="thing.old")
    image = StateImage(state(entry("thing.old")))
    fold = SectionFold(plan(made, steps={"s": "thing.new"}), job=JOB, section=1)
    fold.begin(image, 10)
    fold.fold(image, "step.failed", {"step_id": "s"}, lambda digest: b"")
    (now,) = image.document()["resources"]
    assert (now["address"], now["status"]) == ("thing.new", "failed")


def test_what_is_taken_over_is_recorded_with_what_was_seen() -> None:
    after = folded(plan(change("thing.a", "import", imported="p", identity={"id": 9})), state())
    assert after["resources"] == [entry("thing.a", identity={"id": 9}, declared_in="main.cw")]


def test_nothing_of_what_waits_is_recorded() -> None:
    unknown = {"path": {"$unknown": "later"}}
    waiting = [
        change("thing.new", "create", after=unknown, deferred="later"),
        change("thing.changed", "update", after=unknown, deferred="later"),
        change("thing.left", "forget", deferred="after thing.new"),
        change("thing.away", "delete", deferred="after thing.new"),
    ]
    before = state(entry("thing.changed"), entry("thing.left"), entry("thing.away"))
    after = folded(plan(*waiting), before)
    assert {e["address"]: e for e in after["resources"]} == {e["address"]: e for e in before["resources"]}
    assert not has_unknown(after)


@pytest.mark.parametrize("kind", ["step.failed", "step.interrupted"])
def test_an_action_of_what_waits_only_asks_and_its_failure_is_not_the_resources(kind: str) -> None:
    waiting = change("thing.a", "create", after={"path": {"$unknown": "later"}}, deferred="later")
    after = folded(plan(waiting, steps={"s": "thing.a"}), state(), (kind, {"step_id": "s"}))
    assert after["resources"] == []


def test_an_output_that_is_not_known_yet_keeps_what_it_had() -> None:
    outputs = [
        {"name": "had", "after": {"$unknown": "later"}},
        {"name": "new", "after": ["x", {"$unknown": "later"}]},
        {"name": "known", "after": {"deep": [1, None]}},
        {"name": "gone", "after": None},
    ]
    recorded = [{"name": n, "value": 1, "sensitive": False} for n in ("gone", "had")]
    after = folded(plan(outputs=outputs), state(outputs=recorded))
    assert [(o["name"], o["value"]) for o in after["outputs"]] == [("had", 1), ("known", {"deep": [1, None]})]


def test_the_end_of_a_section_folded_again_keeps_an_output_that_was_told_late() -> None:
    section = plan(outputs=[{"name": "o", "after": {"$unknown": "later"}}])
    told = {**folded(section, state()), "outputs": [{"name": "o", "value": "late", "sensitive": False}]}
    image = StateImage(told)
    SectionFold(section, job=JOB, section=1).finish(image)
    assert image.document()["outputs"] == told["outputs"]


def events_of(document: Mapping[str, Any]) -> tuple[list[Any], dict[str, bytes]]:
    blob = canonical_json(dict(document))
    digest = sha256_hex(blob)
    rows = [
        ("section.opened", {"section": 1, "verb": "apply"}),
        ("plan.bound", {"section": 1, "plan": digest}),
        ("step.started", {"section": 1, "step_id": "s"}),
        ("step.failed", {"section": 1, "step_id": "s"}),
        ("step.completed", {"section": 1, "step_id": "s", "entry": _entry_text()}),
        ("section.closed", {"section": 1, "outcome": "completed"}),
    ]
    return [SimpleNamespace(seq=i, type=t, payload=p) for i, (t, p) in enumerate(rows, 1)], {digest: blob}


def _entry_text() -> str:
    made = {k: v for k, v in entry("thing.new", declared_in="main.cw").items() if k != "address"}
    return canonical_json({"address": "thing.new", "resource": made}).decode()


def test_rolling_forward_from_every_point_gives_the_same_state_and_twice_is_once() -> None:
    section = plan(
        change("thing.new", "update", moved_from="thing.old"),
        change("thing.taken", "import", imported="p", identity={"id": 1}),
        change("thing.later", "create", after={"path": {"$unknown": "x"}}, deferred="x"),
        change("thing.left", "forget"),
        steps={"s": "thing.new"},
        outputs=[{"name": "o", "after": {"$unknown": "x"}}, {"name": "k", "after": 2}],
    )
    events, blobs = events_of(section)
    begun = StateImage(state(entry("thing.old"), entry("thing.left"), entry("thing.user", "thing.old")))
    SectionFold(parse_json(canonical_json(section)), job=JOB, section=1).begin(begun, 2)
    whole, changed = roll_forward(begun.document(), events, job=JOB, get_blob=blobs.__getitem__)
    assert changed and whole is not None
    assert [e["address"] for e in whole["resources"]] == ["thing.new", "thing.taken", "thing.user"]
    assert whole["resources"][2]["dependencies"] == ["thing.new"] and whole["serial"] == 4
    assert [e["status"] for e in whole["resources"]] == ["ok", "ok", "ok"]
    for upto in range(len(events) + 1):
        part, _ = roll_forward(begun.document(), events[:upto], job=JOB, get_blob=blobs.__getitem__)
        again, _ = roll_forward(part, events, job=JOB, get_blob=blobs.__getitem__)
        assert again == whole
    assert roll_forward(whole, events, job=JOB, get_blob=blobs.__getitem__) == (whole, False)


def test_the_ports_of_a_section_are_kept_from_its_start() -> None:
    before = state(ports=[{"name": "old", "port": 20001}])
    wanted = {**plan(change("thing.a", "create")), "ports": [{"name": "new", "port": 20002}]}
    image = StateImage(before)
    fold = SectionFold(wanted, job=JOB, section=1)
    assert fold.begin(image, 10)
    assert image.ports == {"old": 20001, "new": 20002}, "what listens there outlives a section that fails"
    assert image.document_bytes() == canonical_json(image.document())
    fold.finish(image)
    assert image.ports == {"new": 20002}, "a name that nobody asks for is forgotten once all has succeeded"
