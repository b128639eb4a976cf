"""A saved plan is read strictly, and says what moved when it no longer fits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clockwork_nb.assembly.planfile import decode_plan, encode_plan, explain_stale
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.desired import EnvFacts, Output, VariableValue
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Observation
from clockwork_nb.secrets import Sensitive

STAMP = "2026-11-22T01:02:03.000004Z"


def rich_plan(world: Any) -> Any:
    state = world.apply(world.desired(world.file("a", "old"), world.file("gone"), outputs=[Output("u", 1)]))
    wanted = world.desired(
        world.file("a", "new"),
        world.file("s", Sensitive("s3cret")),
        world.file("w", Unknown("later")),
        world.resource("check.c", ["file.a"], tcp={"port": 1}, interval=0.25),
        outputs=[Output("u", 2.5), Output("n", None)],
        variables=[VariableValue("v", {"deep": [1, True, None]}, "--var")],
    )
    return world.plan(wanted, state, {"file.a": Observation(True, {"mode": "0600"})})


def test_a_saved_plan_reads_back_with_the_same_digest(world: Any) -> None:
    plan = rich_plan(world)
    data = encode_plan(plan, STAMP)
    assert b"s3cret" not in data
    saved = decode_plan(data)
    assert (saved.digest, saved.created_at) == (plan.digest, STAMP)
    assert "plan_digest" not in saved.document and "created_at" not in saved.document
    assert encode_plan(plan, STAMP) == data
    assert json.dumps(json.loads(data), sort_keys=True) == json.dumps(
        {**saved.document, "plan_digest": saved.digest, "created_at": STAMP}, sort_keys=True
    )


def edit(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    doc = json.loads(data)
    change(doc)
    return json.dumps(doc).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["changes"][0].update(reason="other"), "changed after it was written"),
        (lambda d: d["actions"]["steps"][0]["args"].update(path="/etc/passwd"), "changed after it was written"),
        (lambda d: d.update(plan_digest="0" * 64), "changed after it was written"),
        (lambda d: d.update(schema="clockwork.plan.v2"), "schema must be"),
        (lambda d: d.update(extra=1), "extra must be absent"),
        (lambda d: d.pop("serial"), "serial must be there"),
        (lambda d: d.update(serial=True), "serial must be a number"),
        (lambda d: d.update(facts={"os": 1}), "facts must be"),
        (lambda d: d.update(created_at="yesterday"), "created_at must be a time"),
        (lambda d: d["changes"][0].update(kind="explode"), r"changes\[0\]\.kind must be a kind"),
        (lambda d: d["changes"][0].update(kind=[]), r"changes\[0\]\.kind must be a kind"),
        (lambda d: d["changes"].append(3), r"must be an object"),
        (lambda d: d["changes"][0]["attributes"].append({"path": "x"}), r"attributes\[\d\]\.before must be there"),
        (lambda d: d["actions"].update(version="2"), r"actions\.version must be"),
        (lambda d: d["actions"]["steps"][0].pop("id"), r"actions\.steps\[0\]\.id must be there"),
        (lambda d: d["actions"]["steps"][0].update(shell="x"), r"shell must be absent"),
        (lambda d: d["outputs"][0].pop("name"), r"outputs\[0\]\.name must be there"),
        (lambda d: d.update(ports=[{"name": "x", "port": -1}]), r"ports\[0\]\.port must be a number"),
    ],
)
def test_an_edited_plan_is_refused_and_the_place_is_named(world: Any, change: Any, message: str) -> None:
    data = encode_plan(rich_plan(world), STAMP)
    with pytest.raises(InvalidInputError, match=message) as caught:
        decode_plan(edit(data, change))
    assert caught.value.code == "E_INVALID_INPUT_SCHEMA" and caught.value.hint


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"3", b"[" * 100_000, b'{"schema":"clockwork.plan.v1"}'])
def test_what_is_no_plan_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        decode_plan(data)


def test_nothing_moved_between_equal_plans(world: Any) -> None:
    doc = rich_plan(world).to_document()
    assert explain_stale(doc, doc) == []


def test_each_thing_that_moved_has_its_sentence(world: Any) -> None:
    variables = [VariableValue("port", 1, "default"), VariableValue("old", 1, "default")]
    saved = world.plan(world.desired(world.file("a"), variables=variables)).to_document()
    state = world.apply(world.desired(world.file("b")))
    world.facts = EnvFacts("linux", "aarch64", "basic", runtimes={"sh": "2"})
    variables = [VariableValue("port", 2, "default"), VariableValue("new", 1, "default")]
    new = world.plan(world.desired(world.file("c"), variables=variables, digest="1" * 64), state).to_document()
    moved = explain_stale(saved, new)
    assert moved[:2] == ["the first apply has happened since", "the configuration changed"]
    for sentence in (
        "the variable old is gone",
        "the variable new is new",
        "the variable port has another value",
        "arch was x86_64 and is aarch64 now",
        "confinement was standard and is basic now",
        "the runtime sh was 1 and is 2 now",
        "file.a: create is no longer in the plan",
        "file.b: delete is new in the plan",
        "file.c: create is new in the plan",
    ):
        assert sentence in moved


def test_state_and_changes_that_moved_are_told(world: Any) -> None:
    wanted = world.desired(world.file("a", "2"))
    state = world.apply(world.desired(world.file("a", "1")))
    saved = world.plan(wanted, state).to_document()
    later = world.apply(world.desired(world.file("a", "3")), state)
    assert explain_stale(saved, world.plan(wanted, later).to_document()) == [
        "the state moved on: it had serial 1 and has serial 2 now",
        "file.a: it was applied differently since",
    ]
    done = world.apply(wanted, state)
    assert "file.a: was update and is unchanged now" in explain_stale(saved, world.plan(wanted, done).to_document())
    other = world.plan(world.desired(world.file("a", "4")), state).to_document()
    assert explain_stale(saved, other) == ["file.a: it is to become something else"]
    drifted = world.plan(wanted, state, {"file.a": Observation(True, {"mode": "0600"})}).to_document()
    assert "file.a was changed outside since" in explain_stale(saved, drifted)
    limited = world.plan(wanted, state, targets=["file.a"]).to_document()
    assert explain_stale(saved, limited) == ["the target was everything and is file.a now"]


def test_a_difference_without_a_name_of_its_own_is_still_told(world: Any) -> None:
    saved = rich_plan(world).to_document()
    assert explain_stale(saved, {**saved, "outputs": []}) == ["the details of the plan differ"]
