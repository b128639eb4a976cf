"""``create_before_destroy``, ``replace_triggered_by`` and ``--replace``: what is made anew, why, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Observation


def moving(world: Any, before: str, after: str, **settings: Any) -> Any:
    state = world.apply(world.desired(world.file("a", path=before)))
    return world.plan(world.desired(world.file("a", path=after, **settings)), state)


@pytest.mark.parametrize(
    ("setting", "order"),
    [
        (True, ["file.a:write_file", "file.a:remove_file"]),
        (False, ["file.a:remove_file", "file.a:write_file"]),
        (None, ["file.a:remove_file", "file.a:write_file"]),
    ],
)
def test_which_of_the_two_comes_first(world: Any, setting: bool | None, order: list[str]) -> None:
    plan = moving(world, "out/x", "out/y", _create_before_destroy=setting)
    assert world.order(plan) == order


def test_a_folder_goes_last_by_itself_and_first_when_that_is_wanted(world: Any) -> None:
    state = world.apply(world.desired(world.resource("directory.d", path="out/x")))
    for setting, first in ((None, "create_directory"), (False, "remove_directory"), (True, "create_directory")):
        wanted = world.desired(world.resource("directory.d", path="out/y", _create_before_destroy=setting))
        assert world.plan(wanted, state).actions[0].name == first


def test_where_both_want_the_same_place_the_old_one_always_goes_first(world: Any) -> None:
    wanted = world.desired(world.file("a", _create_before_destroy=True))
    plan = world.plan(wanted, world.apply(wanted), replaced=["file.a"])
    assert world.order(plan) == ["file.a:remove_file", "file.a:write_file"]


def test_users_of_what_is_made_first_and_removed_last_change_in_between(world: Any) -> None:
    def both(place: str) -> Any:
        made = world.resource("directory.d", path=f"out/{place}", _create_before_destroy=True)
        return world.desired(made, world.file("f", path=f"out/{place}/f", needs=["directory.d"]))

    plan = world.plan(both("new"), world.apply(both("old")))
    order = world.order(plan)
    assert order[0] == "directory.d:create_directory" and order[-1] == "directory.d:remove_directory"


def triggered(world: Any, before: dict[str, Any], after: dict[str, Any], *triggers: tuple[str, str]) -> Any:
    def all_of(a: dict[str, Any]) -> Any:
        return world.desired(world.file("a", **a), world.file("b", needs=["file.a"], _triggers=triggers))

    return world.plan(all_of(after), world.apply(all_of(before)))


def test_a_resource_that_is_named_replaces_this_one_when_it_changes(world: Any) -> None:
    plan = triggered(world, {"content": "1"}, {"content": "2"}, ("file.a", ""))
    change = world.change(plan, "file.b")
    assert (change.kind, change.reason) == ("replace", "file.a changes")
    assert world.order(plan) == ["file.a:write_file", "file.b:remove_file", "file.b:write_file"]
    assert world.kinds(triggered(world, {"content": "1"}, {"content": "1"}, ("file.a", "")))["file.b"] == "noop"


def test_a_named_attribute_replaces_only_when_that_changes(world: Any) -> None:
    changed, other = {"content": "1"}, {"content": "2"}
    assert world.kinds(triggered(world, changed, other, ("file.a", "mode")))["file.b"] == "noop"
    plan = triggered(world, changed, other, ("file.a", "content"))
    assert world.change(plan, "file.b").reason == "content of file.a changes"
    mode = triggered(world, {}, {"mode": "0600"}, ("file.a", "content"), ("file.a", "mode"))
    assert world.change(mode, "file.b").reason == "mode of file.a changes"


@pytest.mark.parametrize("attribute", ["", "content"])
def test_what_is_made_again_changes_in_all_attributes(world: Any, attribute: str) -> None:
    wanted = world.desired(world.file("a"), world.file("b", needs=["file.a"], _triggers=(("file.a", attribute),)))
    state = world.apply(wanted)
    plan = world.plan(wanted, state, {"file.a": Observation(False)})
    assert world.kinds(plan) == {"file.a": "create", "file.b": "replace"}


def test_a_nested_part_of_an_attribute_counts_as_the_attribute(world: Any) -> None:
    def services(size: str) -> Any:
        web = world.resource("service.web", command=["w"], env={"SIZE": size})
        return world.desired(web, world.file("b", needs=["service.web"], _triggers=(("service.web", "env"),)))

    plan = world.plan(services("2"), world.apply(services("1")))
    assert world.change(plan, "file.b").reason == "env of service.web changes"


def test_triggers_go_on_along_a_chain(world: Any) -> None:
    def chain(content: str) -> Any:
        files = [world.file("f0", content)]
        for i in range(1, 6):
            files.append(world.file(f"f{i}", needs=[f"file.f{i - 1}"], _triggers=((f"file.f{i - 1}", ""),)))
        return world.desired(*files)

    plan = world.plan(chain("2"), world.apply(chain("1")))
    assert [world.change(plan, f"file.f{i}").kind for i in range(6)] == ["update", *["replace"] * 5]


def test_a_new_resource_is_not_replaced_by_its_trigger(world: Any) -> None:
    wanted = world.desired(world.file("a"), world.file("b", needs=["file.a"], _triggers=(("file.a", ""),)))
    plan = world.plan(wanted)
    assert world.kinds(plan) == {"file.a": "create", "file.b": "create"}
    gone = world.plan(
        world.desired(world.file("a", "2"), *[r for r in wanted.resources.values() if r.name == "b"]),
        world.apply(wanted), {"file.b": Observation(False)},
    )  # fmt: skip
    assert world.kinds(gone)["file.b"] == "create"


def test_a_check_a_move_or_an_import_triggers_nothing(world: Any) -> None:
    check = world.resource("check.c", tcp={"port": 1})
    user = world.file("b", needs=["check.c", "file.a"], _triggers=(("check.c", ""), ("file.a", "")))
    state = world.apply(world.desired(check, world.file("old", path="out/a"), user))
    wanted = world.desired(
        world.resource("check.c", tcp={"port": 2}), world.file("a"), user, moves={"file.a": ("file.old",)}
    )
    kinds = world.kinds(world.plan(wanted, state))
    assert kinds == {"check.c": "verify", "file.a": "move", "file.b": "noop"}


def test_prevent_destroy_holds_against_triggers_and_against_replace(world: Any) -> None:
    def kept(content: str) -> Any:
        guarded = world.file("b", needs=["file.a"], _triggers=(("file.a", ""),), _prevent_destroy=True)
        return world.desired(world.file("a", content), guarded)

    state = world.apply(kept("1"))
    with pytest.raises(UnsafeOperationError, match=r"file\.b would be replaced"):
        world.plan(kept("2"), state)
    with pytest.raises(UnsafeOperationError, match=r"file\.b would be replaced"):
        world.plan(kept("1"), state, replaced=["file.b"])


def test_a_trigger_that_waits_makes_this_one_wait_too(world: Any) -> None:
    plan = triggered(world, {"content": "1"}, {"content": Unknown("later")}, ("file.a", ""))
    change = world.change(plan, "file.b")
    assert (change.kind, change.deferred) == ("replace", "after file.a") and plan.actions == ()


# --- asked for by name


def files(world: Any, *names: str) -> Any:
    return world.desired(*(world.file(n) for n in names), world.resource("directory.f1", path="d"))


@pytest.mark.parametrize(
    ("patterns", "replaced"),
    [
        (["file.f1"], ["file.f1"]),
        (["file.f*"], ["file.f1", "file.f2"]),
        (["*.f1"], ["directory.f1", "file.f1"]),
        (["file.?1", "file.g1"], ["file.f1", "file.g1"]),
        (["*"], ["directory.f1", "file.f1", "file.f2", "file.g1"]),
        (["folder.f1"], ["directory.f1"]),
    ],
)
def test_names_and_patterns_of_what_is_made_anew(world: Any, patterns: list[str], replaced: list[str]) -> None:
    wanted = files(world, "f1", "f2", "g1")
    world.types = {**world.types, "folder": world.types["directory"]}
    plan = world.plan(wanted, world.apply(wanted), replaced=patterns)
    assert sorted(a for a, kind in world.kinds(plan).items() if kind == "replace") == replaced
    assert all(c.reason == "asked for with --replace" for c in plan.changes if c.kind == "replace")


@pytest.mark.parametrize("pattern", ["file.nope", "x*", "file.gone", "", "file.[f]1", "file"])
def test_a_name_that_is_declared_nowhere_is_refused(world: Any, pattern: str) -> None:
    state = world.apply(files(world, "f1", "gone"))
    with pytest.raises(InvalidInputError) as caught:
        world.plan(files(world, "f1"), state, replaced=[pattern])
    assert caught.value.details["target"] == pattern


def test_what_is_not_recorded_or_gone_is_simply_made(world: Any) -> None:
    wanted = files(world, "f1", "f2")
    plan = world.plan(wanted, replaced=["*"])
    assert set(world.kinds(plan).values()) == {"create"}
    gone = world.plan(wanted, world.apply(wanted), {"file.f1": Observation(False)}, replaced=["file.f1"])
    assert world.order(gone) == ["file.f1:write_file"]


def test_names_are_recorded_in_the_plan_each_once_and_sorted(world: Any) -> None:
    wanted = files(world, "f1", "f2")
    plan = world.plan(wanted, world.apply(wanted), replaced=["file.f2", "file.f1", "file.f2"])
    assert plan.replaced == ("file.f1", "file.f2") == tuple(plan.to_document()["replace"])
    assert "replace" not in world.plan(wanted, world.apply(wanted)).to_document()
