"""A change that needs what only an apply can tell waits, with all that follows it; the rest is done."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.intake.desired import Output
from clockwork_nb.intake.values import Unknown
from clockwork_nb.secrets import Sensitive

LATER = Unknown("thing.t.id is known only after apply")


def waits(plan: Any) -> dict[str, str]:
    return {c.address: c.deferred for c in plan.changes if c.deferred}


def test_what_is_not_known_waits_and_the_rest_is_planned(world: Any) -> None:
    plan = world.plan(world.desired(world.file("t"), world.file("a", LATER, needs=["file.t"]), world.file("b")))
    assert waits(plan) == {"file.a": LATER.why} and plan.deferred == ("file.a",)
    assert world.order(plan) == ["file.b:write_file", "file.t:write_file"]
    assert world.change(plan, "file.a").risk == world.change(plan, "file.b").risk


@pytest.mark.parametrize("value", [[LATER], {"A": LATER}, {"A": ["x", LATER]}])
def test_an_unknown_value_deep_inside_makes_it_wait(world: Any, value: Any) -> None:
    made = world.resource("command.c", script="true", env={}, idempotent=True)
    made.config["env"] = value
    assert waits(world.plan(world.desired(made))) == {"command.c": LATER.why}


def test_a_sensitive_unknown_value_waits_and_is_not_shown(world: Any) -> None:
    plan = world.plan(world.desired(world.file("a", Sensitive(Unknown("a secret of thing.t")))))
    assert list(waits(plan)) == ["file.a"] and plan.actions == ()


def test_what_changes_after_something_that_waits_waits_for_that(world: Any) -> None:
    wanted = world.desired(
        world.file("a", LATER), world.file("b", needs=["file.a"]), world.file("c", needs=["file.b"]), world.file("d")
    )
    plan = world.plan(wanted)
    assert waits(plan) == {"file.a": LATER.why, "file.b": "after file.a", "file.c": "after file.b"}
    assert world.order(plan) == ["file.d:write_file"]


def test_also_behind_something_unchanged(world: Any) -> None:
    def three(first: Any, last: str) -> Any:
        return world.desired(
            world.file("a", first), world.file("b", needs=["file.a"]), world.file("c", last, needs=["file.b"])
        )

    state = world.apply(three("1", "1"))
    plan = world.plan(three(LATER, "2"), state)
    assert world.kinds(plan) == {"file.a": "update", "file.b": "noop", "file.c": "update"}
    assert waits(plan) == {"file.a": LATER.why, "file.c": "after file.a"} and plan.actions == ()


def test_what_is_unchanged_does_not_wait(world: Any) -> None:
    def two(first: Any) -> Any:
        return world.desired(world.file("a", first), world.file("b", needs=["file.a"]))

    plan = world.plan(two(LATER), world.apply(two("1")))
    assert world.kinds(plan)["file.b"] == "noop" and list(waits(plan)) == ["file.a"]


def test_checks_wait_for_what_they_look_at(world: Any) -> None:
    def checked(content: Any) -> Any:
        return world.desired(world.file("a", content), world.resource("check.c", ["file.a"], tcp={"port": 1}))

    assert waits(world.plan(checked(LATER))) == {"file.a": LATER.why, "check.c": "after file.a"}
    state = world.apply(checked("1"))
    again = world.plan(checked(LATER), state)
    assert waits(again) == {"file.a": LATER.why, "check.c": "after file.a"}
    assert world.plan(checked("1"), state).is_empty


def test_a_check_of_an_unknown_value_waits(world: Any) -> None:
    check = world.resource("check.c", tcp={"port": 1})
    check.config["tcp"] = {**check.config["tcp"], "port": LATER}
    assert waits(world.plan(world.desired(check, world.file("a")))) == {"check.c": LATER.why}


def test_what_is_removed_waits_while_something_that_uses_it_waits(world: Any) -> None:
    state = world.apply(
        world.desired(
            world.file("base"), world.file("lib", needs=["file.base"]), world.file("user", needs=["file.lib"]),
            world.file("other"),
        )
    )  # fmt: skip
    plan = world.plan(world.desired(world.file("user", LATER)), state)
    assert waits(plan) == {"file.user": LATER.why, "file.lib": "after file.user", "file.base": "after file.user"}
    assert world.order(plan) == ["file.other:remove_file"]


def test_what_is_forgotten_waits_as_well(world: Any) -> None:
    state = world.apply(world.desired(world.file("lib"), world.file("user", needs=["file.lib"])))
    plan = world.plan(world.desired(world.file("user", LATER), removals={"file.lib": False}), state)
    assert waits(plan) == {"file.user": LATER.why, "file.lib": "after file.user"}
    assert "file.lib" in world.applied(plan, state).resources


def test_when_it_is_known_the_second_plan_does_the_rest_and_the_third_nothing(world: Any) -> None:
    def three(content: Any) -> Any:
        return world.desired(
            world.file("t"), world.file("a", content, needs=["file.t"]), world.file("b", needs=["file.a"])
        )

    first = world.plan(three(LATER))
    state = world.applied(first)
    assert list(state.resources) == ["file.t"]
    second = world.plan(three("known"), state)
    assert waits(second) == {} and world.order(second) == ["file.a:write_file", "file.b:write_file"]
    assert world.plan(three("known"), world.applied(second, state)).is_empty


def test_a_moved_resource_that_waits_is_moved_at_once(world: Any) -> None:
    state = world.apply(world.desired(world.file("old")))
    wanted = world.desired(world.file("new", LATER, path="out/old"), moves={"file.new": ("file.old",)})
    plan = world.plan(wanted, state)
    change = world.change(plan, "file.new")
    assert (change.kind, change.moved_from, change.deferred) == ("update", "file.old", LATER.why)
    assert list(world.applied(plan, state).resources) == ["file.new"]


def test_removing_everything_waits_for_nothing(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    plan = world.plan(world.desired(world.file("a", LATER)), state, destroy=True)
    assert waits(plan) == {} and world.kinds(plan) == {"file.a": "delete"}


def test_an_output_that_waits_is_said_so_and_keeps_its_value_where_nothing_happens(world: Any) -> None:
    state = world.apply(world.desired(world.file("a"), outputs=[Output("o", "old")]))
    wanted = world.desired(world.file("a", "new"), outputs=[Output("o", LATER)])
    (output,) = world.plan(wanted, state).outputs
    assert (output.before, output.after) == ("old", LATER)
    idle = world.plan(world.desired(world.file("a"), outputs=[Output("o", LATER)]), state)
    assert [(o.before, o.after) for o in idle.outputs] == [("old", "old")] and idle.is_empty


def test_the_document_says_what_waits_and_for_what(world: Any) -> None:
    plan = world.plan(world.desired(world.file("a", LATER), world.file("b")))
    rows = {c["address"]: c for c in plan.to_document()["changes"]}
    assert rows["file.a"]["deferred"] == LATER.why and "deferred" not in rows["file.b"]
    assert rows["file.a"]["after"]["content"] == {"$unknown": LATER.why}
