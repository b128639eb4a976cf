"""A plan can be limited to some resources and what they need."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.desired import Output


def chain(world: Any) -> Any:
    return world.desired(
        world.file("a"),
        world.file("b", needs=["file.a"]),
        world.file("c", needs=["file.b"]),
        world.file("other"),
        outputs=[Output("url", "u")],
    )


def test_a_target_brings_what_it_needs_and_nothing_else(world: Any) -> None:
    plan = world.plan(chain(world), targets=["file.b"])
    assert world.kinds(plan) == {"file.a": "create", "file.b": "create"}
    assert plan.targets == ("file.b",)


def test_targets_are_sorted_and_counted_once(world: Any) -> None:
    plan = world.plan(chain(world), targets=["file.b", " file.a", "file.b"])
    assert plan.targets == ("file.a", "file.b")


def test_destroying_a_target_destroys_what_needs_it_first(world: Any) -> None:
    state = world.apply(chain(world))
    plan = world.plan(chain(world), state, targets=["file.b"], destroy=True)
    assert world.order(plan) == ["file.c:remove_file", "file.b:remove_file"]


def test_a_target_that_is_declared_no_more_goes_with_what_leaned_on_it(world: Any) -> None:
    state = world.apply(chain(world))
    plan = world.plan(world.desired(world.file("other")), state, targets=["file.b"])
    assert world.kinds(plan) == {"file.b": "delete", "file.c": "delete"}


def test_a_name_without_key_means_all_its_instances(world: Any) -> None:
    pages = [world.file(f'page["{k}"]', path=f"out/{k}") for k in "xy"]
    plan = world.plan(world.desired(*pages, world.file("a")), targets=["file.page"])
    assert set(world.kinds(plan)) == {'file.page["x"]', 'file.page["y"]'}


def test_an_alias_of_a_type_is_understood(world: Any) -> None:
    plan = world.plan(world.desired(world.resource("command.x", script="echo")), targets=["script.x"])
    assert plan.targets == ("command.x",)


def test_an_unknown_target_is_an_error_with_the_nearest_name(world: Any) -> None:
    with pytest.raises(InvalidInputError, match=r'no resource "file\.othr"') as caught:
        world.plan(chain(world), targets=["file.othr"])
    assert caught.value.hint == "Did you mean file.other?"
    with pytest.raises(InvalidInputError) as caught:
        world.plan(chain(world), targets=["zzz"])
    assert "addresses" in caught.value.hint


def test_a_limited_plan_leaves_outputs_as_they_are(world: Any) -> None:
    state = world.apply(chain(world))
    wanted = world.desired(world.file("a"), outputs=[Output("url", "new"), Output("more", 1)])
    plan = world.plan(wanted, state, targets=["file.a"])
    assert [(o.name, o.before, o.after) for o in plan.outputs] == [("url", "u", "u")]
