"""Actions come after what they need, removals after what used it, and paths change hands safely."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.assembly.planner import verify_actions
from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.errors import ConfigurationError, InvalidInputError


def needs(plan: Any) -> dict[str, tuple[str, ...]]:
    return {a.id: a.needs for a in plan.actions}


def test_an_action_needs_the_last_action_of_each_dependency(world: Any) -> None:
    plan = world.plan(
        world.desired(
            world.resource("service.web", ["file.a"], command=["w"], port=8080),
            world.file("a"),
            world.resource("check.c", ["service.web", "file.a"], tcp={"port": 1}),
        )
    )
    assert needs(plan) == {
        "file.a:write_file": (),
        "service.web:ensure_service": ("file.a:write_file",),
        "service.web:verify_http": ("service.web:ensure_service",),
        "check.c:verify_tcp": ("file.a:write_file", "service.web:verify_http"),
    }
    assert world.order(plan)[0] == "file.a:write_file"


def test_needs_reach_through_what_does_not_change(world: Any) -> None:
    def build(text: str) -> Any:
        return world.desired(
            world.file("a", text),
            world.file("middle", needs=["file.a"]),
            world.file("middle2", needs=["file.middle"]),
            world.file("z", text, ["file.middle2"]),
        )

    plan = world.plan(build("new"), world.apply(build("old")))
    assert needs(plan) == {"file.a:write_file": (), "file.z:write_file": ("file.a:write_file",)}


def test_deletes_run_in_reverse_of_the_recorded_dependencies(world: Any) -> None:
    wanted = world.desired(
        world.resource("directory.d", path="out"),
        world.file("a", needs=["directory.d"]),
        world.resource("service.s", ["file.a"], command=["w"]),
    )
    plan = world.plan(wanted, world.apply(wanted), destroy=True)
    assert world.order(plan) == ["service.s:remove_service", "file.a:remove_file", "directory.d:remove_directory"]


def test_a_delete_waits_for_the_update_of_what_used_it(world: Any) -> None:
    state = world.apply(
        world.desired(world.file("conf"), world.resource("service.s", ["file.conf"], command=["w", "conf"]))
    )
    plan = world.plan(world.desired(world.resource("service.s", command=["w"])), state)
    assert world.order(plan) == ["service.s:ensure_service", "file.conf:remove_file"]


def test_a_delete_waits_for_deletes_behind_what_is_only_forgotten(world: Any) -> None:
    state = world.apply(
        world.desired(
            world.file("a"),
            world.resource("command.c", ["file.a"], script="echo"),
            world.file("z", needs=["command.c"]),
        )
    )
    plan = world.plan(world.desired(), state)
    assert world.kinds(plan)["command.c"] == "forget"
    assert needs(plan)["file.a:remove_file"] == ("file.z:remove_file",)


def test_a_recorded_cycle_is_cut_and_everything_is_still_deleted(world: Any) -> None:
    config = {"content": "x", "mode": "0644"}
    state = PriorState(
        "l",
        1,
        {
            f"file.{n}": PriorResource("file", {"path": f"out/{n}", **config}, "main.cw", (f"file.{m}",))
            for n, m in (("a", "b"), ("b", "c"), ("c", "a"))
        },
    )
    plan = world.plan(world.desired(), state)
    assert sorted(world.order(plan)) == ["file.a:remove_file", "file.b:remove_file", "file.c:remove_file"]


def test_a_cycle_of_wanted_resources_is_named(world: Any) -> None:
    wanted = world.desired(world.file("a", needs=["file.b"]), world.file("b", needs=["file.a"]))
    with pytest.raises(InvalidInputError, match=r"file\.a → file\.b → file\.a"):
        world.plan(wanted)


def test_dependencies_that_turned_round_are_no_cycle(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", "1", ["file.b"]), world.file("b", "1")))
    plan = world.plan(world.desired(world.file("a", "2"), world.file("b", "2", ["file.a"])), state)
    assert world.order(plan) == ["file.a:write_file", "file.b:write_file"]


def test_a_moved_folder_goes_last_after_what_was_in_it_moved_out(world: Any) -> None:
    def build(folder: str) -> Any:
        return world.desired(
            world.resource("directory.d", path=folder),
            world.file("a", needs=["directory.d"], path=f"{folder}/a"),
        )

    plan = world.plan(build("new"), world.apply(build("old")))
    assert world.order(plan) == [
        "directory.d:create_directory",
        "file.a:remove_file",
        "file.a:write_file",
        "directory.d:remove_directory",
    ]


def test_a_folder_is_removed_after_files_inside_it_that_never_named_it(world: Any) -> None:
    state = world.apply(world.desired(world.resource("directory.d", path="out"), world.file("a", path="out/x/a")))
    plan = world.plan(world.desired(), state)
    assert world.order(plan) == ["file.a:remove_file", "directory.d:remove_directory"]


def test_a_renamed_resource_hands_its_path_over_instead_of_losing_it(world: Any) -> None:
    state = world.apply(world.desired(world.file("old", path="out/page")))
    plan = world.plan(world.desired(world.file("new", path="out/page")), state)
    assert world.kinds(plan) == {"file.new": "create", "file.old": "forget"}
    assert world.order(plan) == ["file.new:write_file"]
    assert world.change(plan, "file.old").reason == "file.new has it now"


def test_a_path_that_belongs_to_another_resource_already_is_not_removed(world: Any) -> None:
    old = world.file("old", path="out/page", _declared_in="cell")
    state = world.apply(world.desired(old, loaded=["cell"]))
    new = world.desired(world.file("new", path="out/page"))
    state = world.apply(new, state)
    assert set(state.resources) == {"file.new", "file.old"}
    later = world.plan(replace(new, loaded=frozenset({"main.cw", "cell"})), state)
    assert world.kinds(later) == {"file.new": "noop", "file.old": "forget"}


def test_two_files_that_swap_their_paths_lose_neither(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", path="out/1"), world.file("b", path="out/2")))
    plan = world.plan(world.desired(world.file("a", path="out/2"), world.file("b", path="out/1")), state)
    assert sorted(world.order(plan)) == ["file.a:write_file", "file.b:write_file"]


def test_a_path_changes_from_file_to_folder_in_the_right_order(world: Any) -> None:
    state = world.apply(world.desired(world.file("z", path="x/out")))
    plan = world.plan(world.desired(world.resource("directory.a", path="x/out")), state)
    assert world.order(plan) == ["file.z:remove_file", "directory.a:create_directory"]


def test_a_port_is_free_before_another_service_takes_it(world: Any) -> None:
    state = world.apply(world.desired(world.resource("service.z", command=["w"], port=8080)))
    plan = world.plan(world.desired(world.resource("service.a", command=["w"], port=8080)), state)
    assert world.order(plan)[:2] == ["service.z:remove_service", "service.a:ensure_service"]


def test_services_that_swap_ports_do_not_lock_each_other_up(world: Any) -> None:
    def build(a: int, b: int) -> Any:
        return world.desired(
            world.resource("service.a", command=["w"], port=a),
            world.resource("service.b", command=["w"], port=b),
            world.file("old" if a < b else "new", path="out/page"),
        )

    plan = world.plan(build(9090, 8080), world.apply(build(8080, 9090)))
    assert len(world.order(plan)) == 5


@pytest.mark.parametrize("what", ["path", "port"])
def test_two_resources_that_want_the_same_are_refused_with_both_places(world: Any, what: str) -> None:
    if what == "path":
        wanted = world.desired(world.file("a", path="out/x"), world.file("b", path="./out//x"))
    else:
        wanted = world.desired(*(world.resource(f"service.{n}", command=["w"], port=8080) for n in "ab"))
    with pytest.raises(ConfigurationError) as caught:
        world.plan(wanted)
    (finding,) = caught.value.diagnostics
    assert finding.code == "cw-conflict" and finding.subject is not None and len(finding.trail) == 1
    assert what in finding.summary and len(finding.summary) <= 60


def test_many_actions_on_both_sides_of_an_unchanged_resource_stay_linear(world: Any) -> None:
    count = 1500

    def build(text: str) -> Any:
        before = [world.file(f"a{i}", text) for i in range(count)]
        hub = world.file("hub", needs=[r.address for r in before])
        return world.desired(*before, hub, *(world.file(f"z{i}", text, ["file.hub"]) for i in range(count)))

    plan = world.plan(build("new"), world.apply(build("old")))
    order = world.order(plan)
    assert len(order) == 2 * count
    assert sum(len(a.needs) for a in plan.actions) < 3 * count
    last_before = max(order.index(f"file.a{i}:write_file") for i in range(count))
    assert last_before < min(order.index(f"file.z{i}:write_file") for i in range(count))


def test_verify_runs_only_checks_and_health_checks(world: Any) -> None:
    wanted = world.desired(
        world.file("a"),
        world.resource("command.c", script="echo"),
        world.resource("service.web", ["file.a"], command=["w"], port=8080),
        world.resource("service.off", command=["w"], port=8081, state="stopped"),
        world.resource("check.c", ["service.web"], tcp={"port": 1}),
    )
    actions = verify_actions(wanted, world.types)
    assert [(a.id, a.needs, a.change) for a in actions] == [
        ("service.web:verify_http", (), "verify"),
        ("check.c:verify_tcp", ("service.web:verify_http",), "verify"),
    ]


def test_a_chain_of_many_resources_needs_no_recursion(world: Any) -> None:
    count = 4000
    first = world.file("f0")
    chain = [
        replace(
            first,
            address=f"file.f{i}",
            name=f"f{i}",
            config={**first.config, "path": f"out/{i}"},
            dependencies=(f"file.f{i - 1}",) if i else (),
        )
        for i in range(count)
    ]
    wanted = world.desired(*reversed(chain))
    plan = world.plan(wanted)
    assert world.order(plan) == [f"file.f{i}:write_file" for i in range(count)]
    gone = world.plan(wanted, world.applied(plan), destroy=True)
    assert world.order(gone) == [f"file.f{i}:remove_file" for i in reversed(range(count))]
