"""What was changed outside since the last apply is listed, and put back."""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec.structs import replace

from clockwork_nb.ports import Observation
from clockwork_nb.secrets import Sensitive


def seen(content: str, mode: str = "0644", **more: Any) -> Observation:
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Observation(True, {"kind": "file", "sha256": digest, "mode": mode, **more})


def test_a_changed_mode_is_drift_and_an_update(world: Any) -> None:
    wanted = world.desired(world.file("a"))
    plan = world.plan(wanted, world.apply(wanted), {"file.a": seen("x", "0666")})
    assert [(d.address, d.attributes, d.gone) for d in plan.drift] == [("file.a", (("mode", "0644", "0666"),), False)]
    change = world.change(plan, "file.a")
    assert (change.kind, change.reason) == ("update", "changed outside: mode")
    assert world.order(plan) == ["file.a:write_file"]


def test_changed_content_is_told_by_digests(world: Any) -> None:
    wanted = world.desired(world.file("a"))
    plan = world.plan(wanted, world.apply(wanted), {"file.a": seen("edited")})
    ((name, recorded, observed),) = plan.drift[0].attributes
    assert name == "content" and recorded.startswith("sha256:") and observed.startswith("sha256:")


def test_what_is_gone_is_created_again(world: Any) -> None:
    wanted = world.desired(world.file("a"))
    plan = world.plan(wanted, world.apply(wanted), {"file.a": Observation(False, detail="not there")})
    assert plan.drift[0].gone
    change = world.change(plan, "file.a")
    assert (change.kind, change.reason) == ("create", "gone")
    assert change.before is not None


def test_what_failed_before_is_not_said_to_be_changed_outside(world: Any) -> None:
    wanted = world.desired(world.file("a"))
    state = world.apply(wanted)
    failed = replace(state, resources={"file.a": replace(state.resources["file.a"], status="failed")})
    plan = world.plan(wanted, failed, {"file.a": Observation(False)})
    assert plan.drift == ()
    assert (world.kinds(plan), world.change(plan, "file.a").reason) == ({"file.a": "create"}, "failed last time")


def test_what_matches_or_was_not_looked_at_is_no_drift(world: Any) -> None:
    wanted = world.desired(world.file("a"), world.file("b"))
    plan = world.plan(wanted, world.apply(wanted), {"file.a": seen("x"), "file.b": Observation(None)})
    assert plan.drift == () and plan.is_empty


def test_drift_of_an_ignored_attribute_is_ignored(world: Any) -> None:
    wanted = world.desired(world.file("a", _ignore_changes=("mode",)))
    assert world.plan(wanted, world.apply(wanted), {"file.a": seen("x", "0666")}).is_empty


def test_a_replaced_resource_is_not_put_back_first_but_what_was_changed_outside_is_told(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    plan = world.plan(world.desired(world.file("a", path="out/b")), state, {"file.a": seen("x", "0666")})
    assert [(d.address, d.gone) for d in plan.drift] == [("file.a", False)]
    assert world.kinds(plan) == {"file.a": "replace"}


def test_what_is_gone_is_created_at_its_new_place_without_removing_the_old(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    wanted = world.desired(world.file("a", path="out/b", _prevent_destroy=True))
    plan = world.plan(wanted, state, {"file.a": Observation(False)})
    assert world.kinds(plan) == {"file.a": "create"} and world.order(plan) == ["file.a:write_file"]
    assert world.change(plan, "file.a").reason == "gone; path changed"


def test_drift_and_a_change_give_both_reasons(world: Any) -> None:
    state = world.apply(world.desired(world.file("a", "one")))
    plan = world.plan(world.desired(world.file("a", "two")), state, {"file.a": seen("one", "0600")})
    assert world.change(plan, "file.a").reason == "changed outside: mode; content changed"


def test_drift_of_a_sensitive_file_is_found_and_its_digest_not_shown(world: Any) -> None:
    wanted = world.desired(world.file("a", Sensitive("s3cret")))
    state = world.apply(wanted)
    digest = hashlib.sha256(b"s3cret").hexdigest()
    assert world.plan(wanted, state, {"file.a": Observation(True, {"sha256": Sensitive(digest)})}).is_empty
    other = hashlib.sha256(b"other").hexdigest()
    plan = world.plan(wanted, state, {"file.a": Observation(True, {"sha256": Sensitive(other)})})
    assert plan.drift[0].attributes == (("content", "(sensitive)", "something else"),)
    text = plan.document_bytes().decode()
    assert digest not in text and other not in text and other[:12] not in text


def test_a_command_runs_again_when_what_it_made_is_gone(world: Any) -> None:
    wanted = world.desired(world.resource("command.c", script="echo", creates="out/c"))
    state = world.apply(wanted)
    plan = world.plan(wanted, state, {"command.c": Observation(None, {"created": False})})
    change = world.change(plan, "command.c")
    assert (change.kind, change.reason) == ("update", "gone: creates")
    assert plan.drift[0].attributes == (("creates", "out/c", None),)
    assert world.order(plan) == ["command.c:run_command"]


def test_a_command_with_other_limits_still_runs_when_what_it_made_is_gone(world: Any) -> None:
    state = world.apply(world.desired(world.resource("command.c", script="echo", creates="out/c")))
    wanted = world.desired(world.resource("command.c", script="echo", creates="out/c", timeout=5))
    plan = world.plan(wanted, state, {"command.c": Observation(None, {"created": False})})
    assert world.order(plan) == ["command.c:run_command"]


def test_a_service_that_does_not_run_is_started_again(world: Any) -> None:
    wanted = world.desired(world.resource("service.w", command=["w"]))
    state = world.apply(wanted)
    plan = world.plan(wanted, state, {"service.w": Observation(True, {"status": "exited"})})
    assert plan.drift[0].attributes == (("status", "running", "exited"),)
    assert world.order(plan) == ["service.w:ensure_service"]
    assert world.plan(wanted, state, {"service.w": Observation(True, {"status": "running"})}).is_empty


def test_a_service_that_should_be_stopped_and_runs_is_drift(world: Any) -> None:
    wanted = world.desired(world.resource("service.w", command=["w"], state="stopped"))
    state = world.apply(wanted)
    plan = world.plan(wanted, state, {"service.w": Observation(True, {"status": "running"})})
    assert world.order(plan) == ["service.w:stop_service"]
    assert world.plan(wanted, state, {"service.w": Observation(True, {"status": "stopped"})}).is_empty


def test_a_file_that_is_there_and_not_ours_is_a_risk_to_overwrite(world: Any) -> None:
    wanted = world.desired(world.file("a"))
    assert world.plan(wanted, None, {"file.a": seen("somebody's")}).risks == ("overwrite",)
    assert world.plan(wanted, None, {"file.a": seen("x")}).risks == ()
    assert world.plan(wanted, None, {"file.a": Observation(False)}).risks == ()
