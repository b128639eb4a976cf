"""What is excluded is left alone, together with what cannot do without it."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.desired import Output


def chain(world: Any, content: str = "1") -> Any:
    """``a`` ← ``b`` ← ``c``, and ``x`` beside them."""
    return world.desired(
        world.file("a", content),
        world.file("b", content, needs=["file.a"]),
        world.file("c", content, needs=["file.b"]),
        world.file("x", content),
    )


@pytest.mark.parametrize(
    ("excluded", "made"),
    [
        (["file.c"], ["a", "b", "x"]),
        (["file.b"], ["a", "x"]),
        (["file.a"], ["x"]),
        (["file.x"], ["a", "b", "c"]),
        (["file.?"], []),
        (["file.b", "file.x"], ["a"]),
    ],
)
def test_what_would_stand_on_it_is_left_out_too(world: Any, excluded: list[str], made: list[str]) -> None:
    plan = world.plan(chain(world), excluded=excluded)
    assert sorted(world.kinds(plan)) == [f"file.{n}" for n in made]
    assert plan.excluded == tuple(sorted(excluded))


@pytest.mark.parametrize(
    ("excluded", "left"), [(["file.c"], ["x"]), (["file.b"], ["c", "x"]), (["file.a"], ["b", "c", "x"])]
)
def test_when_removing_what_it_stands_on_is_left_out_too(world: Any, excluded: list[str], left: list[str]) -> None:
    state = world.apply(chain(world))
    for plan in (
        world.plan(chain(world), state, destroy=True, excluded=excluded),
        world.plan(world.desired(), state, excluded=excluded),
    ):
        assert world.kinds(plan) == dict.fromkeys([f"file.{n}" for n in left], "delete")


def test_nothing_is_removed_that_what_is_excluded_was_built_on(world: Any) -> None:
    """``user`` is declared without ``conf`` by now, but it is left as it was: with ``conf``."""
    state = world.apply(
        world.desired(
            world.file("base"), world.file("conf", needs=["file.base"]), world.file("user", needs=["file.conf"])
        )
    )
    wanted = world.desired(world.file("user", "other"))
    assert world.kinds(world.plan(wanted, state)) == {
        "file.user": "update", "file.conf": "delete", "file.base": "delete"
    }  # fmt: skip
    assert world.plan(wanted, state, excluded=["file.user"]).changes == ()


def test_targets_and_excludes_together(world: Any) -> None:
    plan = world.plan(chain(world), targets=["file.c"], excluded=["file.b"])
    assert world.kinds(plan) == {"file.a": "create"}
    assert world.plan(chain(world), targets=["file.a"], excluded=["file.a"]).changes == ()


def test_an_unknown_name_is_refused_and_a_recorded_one_is_known(world: Any) -> None:
    with pytest.raises(InvalidInputError, match="no resource matches"):
        world.plan(chain(world), excluded=["dir*"])
    state = world.apply(world.desired(world.file("gone")))
    assert world.kinds(world.plan(world.desired(), state, excluded=["file.gone"])) == {}


def test_a_plan_without_the_excluded_leaves_outputs_as_they_are(world: Any) -> None:
    state = world.apply(world.desired(world.file("a"), outputs=[Output("o", 1)]))
    plan = world.plan(world.desired(world.file("a"), outputs=[Output("o", 2)]), state, excluded=["file.a"])
    assert [(o.before, o.after) for o in plan.outputs] == [(1, 1)] and plan.is_empty


def test_brackets_of_an_instance_are_no_set_of_characters(world: Any) -> None:
    one, two = world.file('a["x"]', path="out/1"), world.file('a["y"]', path="out/2")
    for pattern in ('file.a["x*', '*["x"]', 'file.?["x"]'):
        plan = world.plan(world.desired(one, two), excluded=[pattern])
        assert sorted(world.kinds(plan)) == ['file.a["y"]']


def test_of_a_check_only_the_check_is_left_out(world: Any) -> None:
    wanted = world.desired(world.file("a"), world.resource("check.c", ["file.a"], tcp={"port": 1}))
    assert world.kinds(world.plan(wanted, excluded=["check.*"])) == {"file.a": "create"}
    assert world.plan(wanted, excluded=["file.a"]).changes == ()
