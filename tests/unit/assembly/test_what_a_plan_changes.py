"""Which kind of change each resource gets, and why."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.intake.desired import Output, VariableValue
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Observation
from clockwork_nb.secrets import Sensitive


def with_status(state: PriorState, address: str, status: str) -> PriorState:
    return replace(state, resources={**state.resources, address: replace(state.resources[address], status=status)})


def test_what_is_not_recorded_is_created(world: Any) -> None:
    plan = world.plan(world.desired(world.file("a")))
    change = world.change(plan, "file.a")
    assert (change.kind, change.reason, change.before) == ("create", "new", None)
    assert (
        change.after is not None and {"path": "out/a", "content": "x", "mode": "0644"}.items() <= change.after.items()
    )
    assert [a.id for a in plan.actions] == ["file.a:write_file"]
    assert plan.has_changes and not plan.is_empty


def test_what_matches_is_left_alone(world: Any) -> None:
    wanted = world.desired(world.file("a"))
    plan = world.plan(wanted, world.apply(wanted))
    assert world.kinds(plan) == {"file.a": "noop"}
    assert plan.actions == () and plan.is_empty


def test_a_changed_attribute_is_an_update_that_names_it(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", "old")))
    plan = world.plan(world.desired(world.file("a", "new")), state)
    change = world.change(plan, "file.a")
    assert (change.kind, change.reason) == ("update", "content changed")
    assert [(a.path, a.before, a.after) for a in change.attributes] == [("content", "old", "new")]


def test_a_moved_file_is_replaced_and_the_old_one_is_removed_first(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    plan = world.plan(world.desired(world.file("a", path="out/b")), state)
    change = world.change(plan, "file.a")
    assert change.kind == "replace" and change.attributes[0].forces_replacement
    assert world.order(plan) == ["file.a:remove_file", "file.a:write_file"]


def test_changed_ports_replace_a_service_with_the_risk_named(world: Any) -> None:
    state = world.apply(world.desired(world.resource("service.web", command=["web"], port=8080)))
    plan = world.plan(world.desired(world.resource("service.web", command=["web"], port=9090)), state)
    change = world.change(plan, "service.web")
    assert change.kind == "replace" and change.risk == ("ports",)
    assert {a.path for a in change.attributes} == {"ports.0.external", "ports.0.internal"}
    assert world.order(plan) == ["service.web:ensure_service", "service.web:verify_http"]
    assert plan.risks == ("ports",)


def test_what_is_declared_no_more_is_deleted(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    plan = world.plan(world.desired(), state)
    change = world.change(plan, "file.a")
    assert (change.kind, change.after, change.risk) == ("delete", None, ("destroy",))
    assert change.reason == "no longer declared in main.cw"


def test_what_is_declared_no_more_and_gone_already_is_forgotten(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    plan = world.plan(world.desired(), state, {"file.a": Observation(False)})
    assert world.kinds(plan) == {"file.a": "forget"}
    assert plan.actions == () and plan.has_changes


def test_a_resource_of_a_cell_that_was_not_read_is_left_alone(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", _declared_in="web"), loaded=["web"]))
    plan = world.plan(world.desired(loaded=["settings"]), state)
    assert plan.changes == () and plan.not_loaded == {"file.a": "web"}
    assert plan.is_empty
    assert plan.to_document()["not_loaded"] == [{"address": "file.a", "declared_in": "web"}]


def test_prune_deletes_what_was_not_read(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", _declared_in="web"), loaded=["web"]))
    plan = world.plan(world.desired(loaded=["settings"]), state, prune=True)
    assert world.kinds(plan) == {"file.a": "delete"} and plan.not_loaded == {}


def test_destroy_deletes_everything_that_was_read(world: Any) -> None:
    wanted = world.desired(world.file("a"), world.file("b", _declared_in="other"), loaded=["main.cw", "other"])
    state = world.apply(wanted)
    assert world.kinds(world.plan(wanted, state, destroy=True)) == {"file.a": "delete", "file.b": "delete"}
    fresh = world.desired(world.file("a"))
    plan = world.plan(fresh, state, destroy=True)
    assert world.kinds(plan) == {"file.a": "delete"} and plan.not_loaded == {"file.b": "other"}


def test_a_moved_block_is_no_change_but_is_recorded_under_its_new_cell(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", _declared_in="one"), loaded=["one"]))
    plan = world.plan(world.desired(world.file("a", _declared_in="two"), loaded=["one", "two"]), state)
    change = world.change(plan, "file.a")
    assert (change.kind, change.declared_in) == ("noop", "two")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("failed", "failed last time"),
        ("unknown", "it is not known whether the last run finished"),
    ],
)
def test_what_did_not_end_well_is_done_again(world: Any, status: str, reason: str) -> None:
    wanted = world.desired(world.file("a"))
    state = with_status(world.apply(wanted), "file.a", status)
    plan = world.plan(wanted, state)
    change = world.change(plan, "file.a")
    assert (change.kind, change.reason) == ("update", reason)
    assert world.order(plan) == ["file.a:write_file"]


def test_what_is_tainted_is_made_anew(world: Any) -> None:
    wanted = world.desired(world.file("a"))
    state = with_status(world.apply(wanted), "file.a", "tainted")
    plan = world.plan(wanted, state)
    change = world.change(plan, "file.a")
    assert (change.kind, change.reason) == ("replace", "marked as not to be relied on")
    assert world.order(plan) == ["file.a:remove_file", "file.a:write_file"]
    gone = world.plan(wanted, state, {"file.a": Observation(False)})
    assert world.kinds(gone) == {"file.a": "create"}, "what is gone has not to be removed first"


def test_prevent_destroy_stops_deletes_and_replacements(world: Any) -> None:
    kept = world.file("a", _prevent_destroy=True)
    state = world.apply(world.desired(kept))
    with pytest.raises(UnsafeOperationError, match=r"file\.a would be removed, but it has prevent_destroy"):
        world.plan(world.desired(kept), state, destroy=True)
    moved = world.file("a", path="out/else", _prevent_destroy=True)
    with pytest.raises(UnsafeOperationError, match="would be replaced") as caught:
        world.plan(world.desired(moved), state)
    assert caught.value.details == {"addresses": ["file.a"]} and caught.value.source is not None
    world.plan(world.desired(world.file("a", "new", _prevent_destroy=True)), state)


def test_ignored_attributes_keep_their_recorded_value(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", "old")))
    same = world.plan(world.desired(world.file("a", "new", _ignore_changes=("content",))), state)
    assert world.kinds(same) == {"file.a": "noop"}
    other = world.plan(world.desired(world.file("a", "new", mode="0600", _ignore_changes=("content",))), state)
    assert world.change(other, "file.a").after["content"] == "old"
    assert [a.path for a in world.change(other, "file.a").attributes] == ["mode"]
    moved = world.plan(world.desired(world.file("a", "old", path="out/z", _ignore_changes=("path",))), state)
    assert world.kinds(moved) == {"file.a": "noop"}
    both = world.desired(world.file("a", "old", path="out/z", _ignore_changes=("path",)), world.file("z"))
    assert world.kinds(world.plan(both, state)) == {"file.a": "noop", "file.z": "create"}


def test_sensitive_values_are_compared_by_keyed_digest_and_never_shown(world: Any) -> None:
    wanted = world.desired(world.file("a", Sensitive("hunter22")))
    plan = world.plan(wanted)
    assert b"hunter22" not in plan.document_bytes()
    state = world.applied(plan)
    assert world.kinds(world.plan(wanted, state)) == {"file.a": "noop"}
    changed = world.plan(world.desired(world.file("a", Sensitive("hunter23"))), state)
    assert [a.path for a in world.change(changed, "file.a").attributes] == ["content"]
    assert b"hunter" not in changed.document_bytes()
    assert "hunter" not in repr(changed)
    plain = world.plan(world.desired(world.file("a", "hunter22")), state)
    assert world.kinds(plain) == {"file.a": "update"}, "a value that is sensitive no more is a change"


def test_an_ignored_sensitive_value_is_no_change(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", Sensitive("one"))))
    plan = world.plan(world.desired(world.file("a", Sensitive("two"), _ignore_changes=("content",))), state)
    assert world.kinds(plan) == {"file.a": "noop"}


def test_an_unknown_value_is_a_change_that_says_so(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", "old")))
    plan = world.plan(world.desired(world.file("a", Unknown("data.http"))), state)
    assert world.kinds(plan) == {"file.a": "update"}
    assert plan.to_document()["changes"][0]["after"]["content"] == {"$unknown": "data.http"}
    secret = world.plan(world.desired(world.file("b", Sensitive(Unknown("x")))))
    assert "$unknown" in secret.to_document()["changes"][0]["after"]["content"]


def test_decimals_match_what_was_read_back_from_the_state(world: Any) -> None:
    check = world.resource("check.c", tcp={"port": 1}, interval=Decimal("0.1"), timeout=Decimal("2.0"))
    state = world.apply(world.desired(check))
    assert world.kinds(world.plan(world.desired(check), state)) == {"check.c": "noop"}


def test_a_check_is_due_when_new_changed_or_failed_and_otherwise_not(world: Any) -> None:
    wanted = world.desired(world.resource("check.c", tcp={"port": 1}))
    first = world.plan(wanted)
    assert (world.kinds(first), world.change(first, "check.c").reason) == ({"check.c": "verify"}, "new")
    assert not first.has_changes and not first.is_empty
    state = world.applied(first)
    assert world.plan(wanted, state).is_empty
    other = world.plan(world.desired(world.resource("check.c", tcp={"port": 2})), state)
    assert (world.kinds(other), world.change(other, "check.c").reason) == ({"check.c": "verify"}, "tcp changed")
    again = world.plan(wanted, with_status(state, "check.c", "failed"))
    assert (world.kinds(again), world.change(again, "check.c").reason) == ({"check.c": "verify"}, "failed last time")


def test_a_check_is_due_when_something_below_it_changes_also_far_below(world: Any) -> None:
    def build(content: str) -> Any:
        return world.desired(
            world.file("conf", content),
            world.resource("service.web", ["file.conf"], command=["web"]),
            world.resource("check.c", ["service.web"], tcp={"port": 1}),
            world.resource("check.d", ["check.c"], tcp={"port": 2}),
            world.resource("check.apart", tcp={"port": 3}),
        )

    state = world.apply(build("old"))
    plan = world.plan(build("new"), state)
    assert world.kinds(plan) == {
        "file.conf": "update",
        "service.web": "noop",
        "check.c": "verify",
        "check.d": "verify",
        "check.apart": "noop",
    }
    assert world.change(plan, "check.d").reason == "file.conf changes"


def test_a_check_that_is_declared_no_more_is_forgotten(world: Any) -> None:
    state = world.apply(world.desired(world.resource("check.c", tcp={"port": 1})))
    assert world.kinds(world.plan(world.desired(), state)) == {"check.c": "forget"}


def test_a_command_that_only_got_other_limits_is_recorded_and_not_run(world: Any) -> None:
    state = world.apply(world.desired(world.resource("command.c", script="echo", env={"A": Sensitive("secret")})))
    wanted = world.desired(world.resource("command.c", script="echo", env={"A": Sensitive("secret")}, timeout=5))
    plan = world.plan(wanted, state)
    assert world.kinds(plan) == {"command.c": "update"} and plan.actions == ()
    assert world.plan(wanted, world.applied(plan, state)).is_empty


@pytest.mark.parametrize(
    "changed",
    [
        {"script": "echo 2"},
        {"triggers": {"v": 2}},
        {"env": {"A": "2"}},
        {"interpreter": "bash"},
        {"working_dir": "out"},
        {"creates": "out/x"},
    ],
)
def test_a_command_runs_again_when_an_input_changes(world: Any, changed: dict[str, Any]) -> None:
    state = world.apply(world.desired(world.resource("command.c", script="echo")))
    plan = world.plan(world.desired(world.resource("command.c", **{"script": "echo", **changed})), state)
    assert world.order(plan) == ["command.c:run_command"]
    assert plan.actions[0].args["run_again"] is True


def test_a_command_is_forgotten_unless_it_said_what_it_creates(world: Any) -> None:
    state = world.apply(world.desired(world.resource("command.c", script="echo")))
    assert world.kinds(world.plan(world.desired(), state)) == {"command.c": "forget"}
    state = world.apply(world.desired(world.resource("command.c", script="echo", creates="out/c")))
    plan = world.plan(world.desired(), state)
    assert world.order(plan) == ["command.c:remove_created"] and plan.risks == ("destroy",)


def test_a_changed_secret_restarts_the_service_although_its_spec_is_the_same(world: Any) -> None:
    def web(secret: str, **more: Any) -> Any:
        return world.desired(world.resource("service.w", command=["w"], env={"S": Sensitive(secret)}, **more))

    state = world.apply(web("one"))
    assert world.plan(web("one"), state).is_empty
    assert world.order(world.plan(web("two"), state)) == ["service.w:remove_service", "service.w:ensure_service"]
    assert world.order(world.plan(web("two", restart="no"), state)) == ["service.w:ensure_service"]


def test_a_service_with_another_name_only_is_recorded_and_not_restarted(world: Any) -> None:
    state = world.apply(world.desired(world.resource("service.w", command=["w"])))
    plan = world.plan(world.desired(world.resource("service.w", command=["w"], name="shop")), state)
    assert world.kinds(plan) == {"service.w": "update"} and plan.actions == ()


def test_outputs_say_what_they_were_and_will_be(world: Any) -> None:
    wanted = world.desired(outputs=[Output("url", "a"), Output("token", Sensitive("s3cret"), sensitive=True)])
    first = world.plan(wanted)
    assert [(o.name, o.before, o.sensitive) for o in first.outputs] == [("token", None, True), ("url", None, False)]
    assert b"s3cret" not in first.document_bytes()
    state = world.applied(first)
    assert all(o.before == o.after for o in world.plan(wanted, state).outputs)
    later = world.plan(world.desired(outputs=[Output("url", "b")]), state)
    assert [(o.name, o.after) for o in later.outputs] == [("token", None), ("url", "b")]
    assert later.outputs[1].before == "a"
    gone = world.plan(wanted, state, destroy=True)
    assert [(o.name, o.after) for o in gone.outputs] == [("token", None), ("url", None)]


def test_sensitive_variables_are_sealed(world: Any) -> None:
    variables = [VariableValue("b", "s3cret", "--var", sensitive=True), VariableValue("a", 1, "default")]
    doc = world.plan(world.desired(variables=variables)).to_document()
    assert [v["name"] for v in doc["variables"]] == ["a", "b"]
    assert set(doc["variables"][1]["value"]) == {"$sensitive"}


def test_a_recorded_type_that_is_not_installed_is_an_error_only_when_it_is_touched(world: Any) -> None:
    state = PriorState("l", 1, {"cloud.x": PriorResource("cloud", {}, "main.cw")})
    with pytest.raises(InvalidInputError, match='"cloud", which is not installed'):
        world.plan(world.desired(), state)
    assert world.plan(world.desired(loaded=["other"]), state).not_loaded == {"cloud.x": "main.cw"}


def test_changes_come_in_the_order_they_happen_and_unchanged_ones_last(world: Any) -> None:
    state = world.apply(world.desired(world.file("b"), world.file("same")))
    wanted = world.desired(world.file("a", needs=["file.z"]), world.file("z"), world.file("same"))
    assert [c.address for c in world.plan(wanted, state).changes] == ["file.b", "file.z", "file.a", "file.same"]
