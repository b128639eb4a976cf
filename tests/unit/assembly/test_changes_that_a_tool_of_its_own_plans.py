"""A type with a planner of its own: its changes are ours to show, its plan is bound, and what is not known is asked first."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Observation

CREATED = {"address": "thing.a", "actions": ["create"], "attributes": [], "replace_paths": [], "reason": ""}
REMOVED = {**CREATED, "actions": ["delete"]}


def net(world: Any, **attributes: Any) -> Any:
    needs = attributes.pop("needs", ())
    return world.resource("terraform.net", needs, source="infra", **attributes)


def answer(*changes: dict[str, Any], mode: str = "apply", **more: Any) -> dict[str, Observation]:
    found = {"folder": "f", "applied": True, "mode": mode, "plan_digest": "d" * 64, "changes": list(changes), **more}
    return {"terraform.net": Observation(True, found)}


def silence(**more: Any) -> dict[str, Observation]:
    return {"terraform.net": Observation(None, {"folder": "f", "applied": True, **more})}


def test_a_creation_shows_what_happens_inside_and_is_bound_to_it(world: Any) -> None:
    plan = world.plan(world.desired(net(world)), observations=answer(CREATED))
    change = world.change(plan, "terraform.net")
    assert [(a.path, a.before, a.after) for a in change.attributes] == [("thing.a", None, "created")]
    (action,) = plan.actions
    assert (action.name, action.args["plan_digest"]) == ("terraform_apply", "d" * 64)
    assert not change.deferred


def test_a_pending_change_makes_an_update_of_what_is_as_it_was_declared(world: Any) -> None:
    wanted = world.desired(net(world))
    state = world.apply(wanted, observations=answer(CREATED))
    plan = world.plan(wanted, state, answer(REMOVED))
    change = world.change(plan, "terraform.net")
    assert (change.kind, change.reason, change.risk) == ("update", "1 change inside", ("destroy", "network"))
    assert world.plan(wanted, state, answer()).is_empty


def test_a_removal_shows_what_is_removed_inside(world: Any) -> None:
    state = world.apply(world.desired(net(world)), observations=answer(CREATED))
    plan = world.plan(world.desired(), state, answer(REMOVED, mode="destroy"))
    change = world.change(plan, "terraform.net")
    assert (change.kind, [(a.path, a.after) for a in change.attributes]) == ("delete", [("thing.a", None)])
    assert world.order(plan) == ["terraform.net:terraform_destroy"]


def test_what_the_tool_refuses_is_an_error_of_the_plan(world: Any) -> None:
    broken = {"terraform.net": Observation(None, {"folder": "f", "problem": "main.tf:1:1: no"})}
    with pytest.raises(InvalidInputError, match="no"):
        world.plan(world.desired(net(world)), observations=broken)


def test_what_nobody_asked_yet_is_asked_by_a_step_and_planned_again(world: Any) -> None:
    wanted = world.desired(net(world), world.file("a", needs=["terraform.net"]), world.file("b"))
    plan = world.plan(wanted, observations=silence())
    assert plan.deferred == ("file.a", "terraform.net")
    assert sorted(world.order(plan)) == ["file.b:write_file", "terraform.net:terraform_plan"]
    assert world.change(plan, "file.a").deferred == "after terraform.net"
    state = world.applied(plan)
    assert set(state.resources) == {"file.b"}
    plan = world.plan(wanted, state, answer(CREATED))
    assert world.order(plan) == ["terraform.net:terraform_apply", "file.a:write_file"]
    assert plan.deferred == ()


def test_a_removal_that_is_asked_first_holds_back_what_it_stands_on(world: Any) -> None:
    wanted = world.desired(world.file("base"), net(world, needs=["file.base"]))
    state = world.apply(wanted, observations=answer(CREATED))
    plan = world.plan(world.desired(), state, silence())
    assert world.order(plan) == ["terraform.net:terraform_plan"]
    assert plan.deferred == ("file.base", "terraform.net")
    plan = world.plan(world.desired(), world.applied(plan, state), answer(REMOVED, mode="destroy"))
    assert world.order(plan) == ["terraform.net:terraform_destroy", "file.base:remove_file"]
