"""Everything that a plan can say survives its file, and each difference is told when the plan no longer fits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clockwork_nb.assembly.planfile import decode_plan, encode_plan, explain_stale
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Observation

STAMP = "2026-11-22T01:02:03.000004Z"


def every_change(world: Any) -> Any:
    state = world.apply(
        world.desired(*(world.file(n) for n in ("old", "left", "gone", "kept", "anew")), loaded=["main.cw"])
    )
    wanted = world.desired(
        world.file("new", path="out/old"), world.file("there"), world.file("later", Unknown("after it")),
        world.file("kept"), world.file("anew"), world.resource("check.c", tcp={"port": 1}), world.file("out"),
        moves={"file.new": ("file.old",)}, imports={"file.there": "out/there"}, removals={"file.left": False},
    )  # fmt: skip
    seen = {"file.there": Observation(True, {"mode": "0644", "owner": 0})}
    return world.plan(wanted, state, seen, excluded=["file.out"], replaced=["file.anew"])


def test_every_kind_of_change_reads_back_with_the_same_digest(world: Any) -> None:
    plan = every_change(world)
    assert set(world.kinds(plan).values()) == {
        "move",
        "import",
        "create",
        "forget",
        "delete",
        "noop",
        "replace",
        "verify",
    }
    saved = decode_plan(encode_plan(plan, STAMP))
    assert saved.digest == plan.digest and saved.document == json.loads(plan.document_bytes())
    assert saved.document["excluded"] == ["file.out"] and saved.document["replace"] == ["file.anew"]
    rows = {c["address"]: c for c in saved.document["changes"]}
    assert rows["file.new"]["moved_from"] == "file.old"
    assert (rows["file.there"]["imported"], rows["file.there"]["identity"]) == ("out/there", {"owner": 0})
    assert rows["file.later"]["deferred"] == "after it"
    assert all("moved_from" not in c and "identity" not in c for a, c in rows.items() if a == "file.kept")
    assert explain_stale(saved.document, plan.to_document()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("moved_from", 1), ("imported", None), ("identity", []), ("deferred", True), ("deferred", {}), ("kind", "steal"),
        ("volatile", "x"), ("follows", ""),
    ],
)  # fmt: skip
def test_a_field_of_another_shape_is_refused_by_its_place(world: Any, field: str, value: Any) -> None:
    doc = json.loads(encode_plan(every_change(world), STAMP))
    doc["changes"][0][field] = value
    with pytest.raises(InvalidInputError, match=rf"changes\[0\]\.{field} must be"):
        decode_plan(json.dumps(doc).encode())


@pytest.mark.parametrize("field", ["excluded", "replace"])
def test_another_choice_is_told_in_words(world: Any, field: str) -> None:
    wanted = world.desired(world.file("a"), world.file("b"))
    state = world.apply(wanted)
    name = {"excluded": "excluded", "replace": "replaced"}[field]
    plain = world.plan(wanted, state).to_document()
    other = world.plan(wanted, state, **{name: ["file.a"]}).to_document()
    words = {"excluded": "what is excluded", "replace": "what is to be replaced"}[field]
    assert f"{words} was nothing and is file.a now" in explain_stale(plain, other)
    assert f"{words} was file.a and is nothing now" in explain_stale(other, plain)


def test_a_move_that_was_made_meanwhile_is_told(world: Any) -> None:
    state = world.apply(world.desired(world.file("old")))
    wanted = world.desired(world.file("new", path="out/old"), moves={"file.new": ("file.old",)})
    before = world.plan(wanted, state)
    after = world.plan(wanted, world.applied(before, state))
    told = explain_stale(before.to_document(), after.to_document())
    assert "file.new: was move and is unchanged now" in told


def test_what_waits_no_longer_is_told(world: Any) -> None:
    waiting = world.plan(world.desired(world.file("a", Unknown("x")))).to_document()
    known = world.plan(world.desired(world.file("a", "x"))).to_document()
    assert "file.a: it is to become something else" in explain_stale(waiting, known)
