"""What was recorded under another name keeps what it is: nothing is made or removed for a new name."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.assembly.adoption import rename
from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.ports import Observation


def test_a_moved_resource_is_recorded_under_its_new_name_without_a_step(world: Any) -> None:
    state = world.apply(world.desired(world.file("old")))
    wanted = world.desired(world.file("new", path="out/old"), moves={"file.new": ("file.old",)})
    plan = world.plan(wanted, state)
    change = world.change(plan, "file.new")
    assert world.kinds(plan) == {"file.new": "move"} and plan.actions == ()
    assert (change.moved_from, change.reason) == ("file.old", "moved from file.old")
    assert plan.has_changes
    assert world.plan(wanted, world.applied(plan, state)).is_empty


def test_without_the_move_it_would_be_made_anew(world: Any) -> None:
    state = world.apply(world.desired(world.file("old")))
    plan = world.plan(world.desired(world.file("new")), state)
    assert world.kinds(plan) == {"file.new": "create", "file.old": "delete"}


def test_a_move_and_a_change_happen_together(world: Any) -> None:
    state = world.apply(world.desired(world.file("old")))
    wanted = world.desired(world.file("new", "other", path="out/old"), moves={"file.new": ("file.old",)})
    change = world.change(world.plan(wanted, state), "file.new")
    assert (change.kind, change.reason) == ("update", "moved from file.old; content changed")
    assert change.moved_from == "file.old"
    anew = world.desired(world.file("new", path="out/new"), moves={"file.new": ("file.old",)})
    plan = world.plan(anew, state)
    assert world.change(plan, "file.new").kind == "replace"
    assert world.order(plan) == ["file.new:remove_file", "file.new:write_file"]
    assert [a.args["path"] for a in plan.actions] == ["out/old", "out/new"]


def test_a_moved_resource_that_is_gone_is_created_under_its_new_name(world: Any) -> None:
    state = world.apply(world.desired(world.file("old")))
    wanted = world.desired(world.file("new", path="out/old"), moves={"file.new": ("file.old",)})
    plan = world.plan(wanted, state, {"file.new": Observation(False)})
    change = world.change(plan, "file.new")
    assert (change.kind, change.moved_from) == ("create", "file.old")
    assert world.plan(wanted, world.applied(plan, state)).is_empty


def test_of_a_chain_the_latest_name_that_is_recorded_counts(world: Any) -> None:
    moves = {"file.c": ("file.b", "file.a")}
    for old in ("a", "b"):
        state = world.apply(world.desired(world.file(old, path="out/p")))
        plan = world.plan(world.desired(world.file("c", path="out/p"), moves=moves), state)
        assert world.change(plan, "file.c").moved_from == f"file.{old}"
    both = world.apply(world.desired(world.file("a", path="out/p"), world.file("b", path="out/q")))
    plan = world.plan(world.desired(world.file("c", path="out/q"), moves=moves), both)
    assert world.kinds(plan) == {"file.a": "delete", "file.c": "move"}
    assert world.change(plan, "file.c").moved_from == "file.b"


def test_where_both_are_recorded_the_old_one_is_a_resource_of_its_own(world: Any) -> None:
    state = world.apply(world.desired(world.file("old"), world.file("new")))
    plan = world.plan(world.desired(world.file("new"), moves={"file.new": ("file.old",)}), state)
    assert world.kinds(plan) == {"file.old": "delete", "file.new": "noop"}


def test_a_move_of_something_that_was_never_recorded_is_nothing(world: Any) -> None:
    wanted = world.desired(world.file("new"), moves={"file.new": ("file.old",)})
    assert world.kinds(world.plan(wanted)) == {"file.new": "create"}
    assert world.plan(wanted, world.apply(wanted)).is_empty


def test_dependencies_are_recorded_under_the_new_name(world: Any) -> None:
    state = world.apply(world.desired(world.file("old"), world.file("user", needs=["file.old"])))
    wanted = world.desired(
        world.file("new", path="out/old"), world.file("user", needs=["file.new"]), moves={"file.new": ("file.old",)}
    )
    adopted = rename(state, wanted.moves, world.types)
    assert adopted.prior.resources["file.user"].dependencies == ("file.new",)
    assert adopted.moved == {"file.new": "file.old"} and "file.old" in state.resources
    plan = world.plan(wanted, state)
    assert world.kinds(plan) == {"file.new": "move", "file.user": "noop"}
    assert world.plan(wanted, world.applied(plan, state)).is_empty


def test_users_of_a_moved_resource_that_go_are_removed_before_what_moved_away_changes_place(world: Any) -> None:
    state = world.apply(world.desired(world.file("old"), world.file("user", needs=["file.old"])))
    plan = world.plan(world.desired(moves={}), state, destroy=True)
    assert world.order(plan) == ["file.user:remove_file", "file.old:remove_file"]
    again = world.plan(
        world.desired(world.file("new", path="out/old"), moves={"file.new": ("file.old",)}), state, destroy=True
    )
    assert world.order(again) == world.order(plan)


def test_a_move_of_a_chosen_resource_only(world: Any) -> None:
    state = world.apply(world.desired(world.file("old"), world.file("b")))
    wanted = world.desired(
        world.file("new", path="out/old"), world.file("b", "other"), moves={"file.new": ("file.old",)}
    )
    assert world.kinds(world.plan(wanted, state, targets=["file.b"])) == {"file.b": "update"}
    assert world.kinds(world.plan(wanted, state, excluded=["file.b"])) == {"file.new": "move"}


@pytest.mark.parametrize("destroy", [True, False])
def test_prevent_destroy_also_guards_what_is_recorded_under_an_older_name(world: Any, destroy: bool) -> None:
    state = world.apply(world.desired(world.file("old")))
    kept = world.file("new", path="out/old" if destroy else "out/elsewhere", _prevent_destroy=True)
    wanted = world.desired(kept, moves={"file.new": ("file.old",)})
    with pytest.raises(UnsafeOperationError) as caught:
        world.plan(wanted, state, destroy=destroy)
    assert caught.value.details == {"addresses": ["file.old" if destroy else "file.new"]}
    assert caught.value.source is not None


class Bound:
    """A file that cannot follow its resource to another name."""

    bound_to_address = True

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kind, name)


def bound(world: Any) -> Any:
    world.types = {**world.types, "file": Bound(world.types["file"])}
    return world


def test_what_is_bound_to_its_address_is_made_anew_and_says_why(world: Any) -> None:
    state = bound(world).apply(world.desired(world.file("old")))
    wanted = world.desired(world.file("new"), moves={"file.new": ("file.old",)})
    plan = world.plan(wanted, state)
    assert world.kinds(plan) == {"file.new": "create", "file.old": "delete"}
    assert world.change(plan, "file.old").reason == "moved to file.new, which is made anew"
    assert world.plan(wanted, world.applied(plan, state)).is_empty


def test_what_is_bound_to_its_address_is_found_again_though_its_cell_was_not_read(world: Any) -> None:
    state = bound(world).apply(world.desired(world.file("old", _declared_in="one"), loaded=["one"]))
    wanted = world.desired(world.file("new", _declared_in="two"), loaded=["two"], moves={"file.new": ("file.old",)})
    plan = world.plan(wanted, state)
    assert world.kinds(plan) == {"file.new": "create", "file.old": "delete"} and plan.not_loaded == {}


def test_prevent_destroy_also_guards_what_cannot_follow(world: Any) -> None:
    state = bound(world).apply(world.desired(world.file("old")))
    wanted = world.desired(world.file("new", _prevent_destroy=True), moves={"file.new": ("file.old",)})
    with pytest.raises(UnsafeOperationError, match=r"file\.old would be removed"):
        world.plan(wanted, state)


def test_the_status_moves_along(world: Any) -> None:
    state = world.apply(world.desired(world.file("old")))
    broken = replace(state, resources={"file.old": replace(state.resources["file.old"], status="tainted")})
    wanted = world.desired(world.file("new", path="out/old"), moves={"file.new": ("file.old",)})
    change = world.change(world.plan(wanted, broken), "file.new")
    assert (change.kind, change.moved_from) == ("replace", "file.old")


def test_a_moved_check_is_recorded_under_its_new_name_and_not_made_due(world: Any) -> None:
    state = world.apply(world.desired(world.resource("check.old", tcp={"port": 1})))
    wanted = world.desired(world.resource("check.new", tcp={"port": 1}), moves={"check.new": ("check.old",)})
    plan = world.plan(wanted, state)
    assert world.kinds(plan) == {"check.new": "move"} and plan.actions == ()
    assert list(world.applied(plan, state).resources) == ["check.new"]
    other = world.desired(world.resource("check.new", tcp={"port": 2}), moves={"check.new": ("check.old",)})
    change = world.change(world.plan(other, state), "check.new")
    assert (change.kind, change.moved_from) == ("verify", "check.old")
