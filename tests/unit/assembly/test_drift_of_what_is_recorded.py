"""Drift alone: what was changed outside, what is gone, and what cannot be told, whatever is declared today."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clockwork_nb.assembly.drift import drift_of, find_drift
from clockwork_nb.ports import Observation
from clockwork_nb.secrets import Sensitive


def found(world: Any, prior: Any, observations: Any, desired: Any = None) -> tuple[dict[str, Any], dict[str, str]]:
    drift, unclear = find_drift(prior, desired or world.desired(), observations, world.types, world.key)
    return {d.address: d for d in drift}, unclear


def test_what_differs_from_what_was_recorded_is_drift_also_when_it_is_declared_differently_by_now(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    drift, unclear = found(
        world, state, {"file.a": Observation(True, {"mode": "0600"})}, world.desired(world.file("a", mode="0600"))
    )
    assert drift["file.a"].attributes == (("mode", "0644", "0600"),) and unclear == {}


def test_what_is_gone_is_drift_and_says_so(world: Any) -> None:
    drift, _ = found(world, world.apply(world.desired(world.file("a"))), {"file.a": Observation(False)})
    assert drift["file.a"].gone


def test_ignored_attributes_are_no_drift_unless_the_thing_is_gone(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    wanted = world.desired(world.file("a", _ignore_changes=("mode", "path")))
    assert found(world, state, {"file.a": Observation(True, {"mode": "0600"})}, wanted)[0] == {}
    assert list(found(world, state, {"file.a": Observation(False)}, wanted)[0]) == ["file.a"]


def test_what_nobody_could_look_at_is_unclear_and_not_said_to_be_well(world: Any) -> None:
    state = world.apply(world.desired(world.file("a"), world.file("b"), world.resource("command.c", script="true")))
    drift, unclear = found(
        world, state, {"file.b": Observation(None, detail="timeout"), "command.c": Observation(None, detail="nothing to look at")}
    )  # fmt: skip
    assert drift == {} and unclear == {"file.a": "nobody looked", "file.b": "timeout"}


def test_what_did_not_end_well_is_unclear(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    broken = replace(state, resources={"file.a": replace(state.resources["file.a"], status="failed")})
    drift, unclear = found(world, broken, {"file.a": Observation(False)})
    assert drift == {} and unclear == {"file.a": "its last run ended as failed"}


def test_a_type_that_is_not_installed_is_unclear(world: Any) -> None:
    state = world.apply(world.desired(world.file("a")))
    world.types = {}
    assert found(world, state, {})[1] == {"file.a": 'its type "file" is not installed'}


def test_checks_have_no_drift(world: Any) -> None:
    state = world.apply(world.desired(world.resource("check.c", tcp={"port": 1})))
    assert found(world, state, {}) == ({}, {})


def test_a_secret_that_is_as_it_was_is_no_drift(world: Any) -> None:
    wanted = world.desired(world.file("a", Sensitive("hunter22")))
    state = world.apply(wanted)
    assert drift_of("file.a", world.types["file"], state.resources["file.a"].config, None) is None
    drift, unclear = found(world, state, {"file.a": Observation(True, {"mode": "0644"})}, wanted)
    assert (drift, unclear) == ({}, {})
