"""``removed``: the thing goes, or it is only forgotten; both although its block may be in a file that was not read."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.ports import Observation


def test_removed_without_destroying_is_forgotten_and_the_thing_stays(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    plan = world.plan(world.desired(removals={"file.a": False}), state)
    change = world.change(plan, "file.a")
    assert (change.kind, change.reason) == ("forget", "left as it is, no longer managed here")
    assert plan.actions == () and plan.has_changes and change.risk == ()
    assert world.applied(plan, state).resources == {}


def test_removed_and_destroyed_is_a_delete_with_its_reason(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    plan = world.plan(world.desired(removals={"file.a": True}), state)
    change = world.change(plan, "file.a")
    assert (change.kind, change.reason, change.risk) == ("delete", "removed", ("destroy",))
    gone = world.plan(world.desired(removals={"file.a": True}), state, {"file.a": Observation(False)})
    assert world.change(gone, "file.a").reason == "removed; it is gone already"


@pytest.mark.parametrize(("destroy", "kind"), [(True, "delete"), (False, "forget")])
def test_removed_holds_for_a_cell_that_was_not_read_too(world: Any, destroy: bool, kind: str) -> None:
    state = world.apply(world.desired(world.file("a", _declared_in="lost"), loaded=["lost"]))
    plan = world.plan(world.desired(removals={"file.a": destroy}), state)
    assert world.kinds(plan) == {"file.a": kind} and plan.not_loaded == {}


def test_removed_of_what_was_never_there_is_nothing(world: Any) -> None:
    assert world.plan(world.desired(removals={"file.a": True, "file.b": False})).is_empty


def test_destroying_everything_keeps_what_is_to_be_left_as_it_is(world: Any) -> None:
    state = world.apply(world.desired(world.file("a"), world.file("b", needs=["file.a"])))
    plan = world.plan(world.desired(removals={"file.a": False}), state, destroy=True)
    assert world.kinds(plan) == {"file.a": "forget", "file.b": "delete"}
    assert world.order(plan) == ["file.b:remove_file"]


def test_prune_does_not_remove_what_is_to_be_left_as_it_is(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", _declared_in="lost"), loaded=["lost"]))
    plan = world.plan(world.desired(removals={"file.a": False}), state, prune=True)
    assert world.kinds(plan) == {"file.a": "forget"}


def test_users_go_before_what_is_removed(world: Any) -> None:
    state = world.apply(world.desired(world.file("a"), world.file("b", needs=["file.a"])))
    plan = world.plan(world.desired(removals={"file.a": True, "file.b": True}), state)
    assert world.order(plan) == ["file.b:remove_file", "file.a:remove_file"]
