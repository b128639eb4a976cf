"""The one reducer behind every view of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.jobs.progress import RunProgress, steps_from_plan

SAMPLES = Path(__file__).parents[1] / "render" / "samples"
DIGEST = "4f1c9e2a" + "0" * 56
OTHER = "9" * 64


@dataclass(frozen=True)
class Event:
    seq: int
    created_at: str
    type: str
    payload: dict[str, Any]


def load(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def events(name: str) -> list[Event]:
    return [Event(**event) for event in load(name)]


@pytest.fixture
def progress() -> RunProgress:
    reducer = RunProgress("job_1")
    reducer.expect(load("plan.json"), DIGEST)
    return reducer


def statuses(reducer: RunProgress) -> list[str]:
    return [step.status for step in reducer.steps]


def numbered(rows: list[tuple[str, dict[str, Any]]], *, first: int = 1) -> list[Event]:
    return [Event(first + i, f"2026-11-22T14:00:{i:02d}.000000Z", t, p) for i, (t, p) in enumerate(rows)]


def opened(section: int, plan: str, verb: str = "apply") -> list[tuple[str, dict[str, Any]]]:
    return [
        ("section.opened", {"section": section, "verb": verb, "cell": "c", "call": 1, "inputs": ""}),
        (
            "plan.bound",
            {"section": section, "plan": plan, "configuration": "", "lineage": "", "serial": 1, "changes": 1},
        ),
    ]


def started(section: int, step: str) -> tuple[str, dict[str, Any]]:
    return "step.started", {"section": section, "step_id": step, "index": 0, "attempt": 1, "summary": ""}


def completed(section: int, step: str, ms: int = 5) -> tuple[str, dict[str, Any]]:
    return "step.completed", {"section": section, "step_id": step, "exit_code": 0, "duration_ms": ms, "note": ""}


def test_a_plan_is_all_waiting(progress: RunProgress) -> None:
    assert statuses(progress) == ["waiting"] * 5
    assert [step.id for step in steps_from_plan(load("plan.json"))] == [step.id for step in progress.steps]
    assert progress.totals() == {
        "steps": 5, "waiting": 5, "running": 0, "ok": 0, "failed": 0, "skipped": 0, "interrupted": 0,
    }  # fmt: skip
    assert progress.elapsed_ms() == 0


def test_a_run_that_completes(progress: RunProgress) -> None:
    progress.feed_all(events("events_completed.json"))
    state = progress.snapshot()
    assert statuses(progress) == ["ok"] * 5
    assert state["status"] == "completed"
    assert state["job_status"] == "completed"
    assert state["approval"] == {
        "state": "granted", "by": "ops", "via": "button", "reason": "port move agreed", "person": True,
    }  # fmt: skip
    assert state["elapsed_ms"] == 247
    assert state["steps"][3]["note"] == "pid 4711, http://localhost:9090"
    assert state["plan"] == DIGEST
    assert state["bundle"].startswith("b07d13c5")


def test_a_step_that_fails_keeps_what_it_said(progress: RunProgress) -> None:
    progress.feed_all(events("events_failed.json"))
    assert statuses(progress) == ["ok", "ok", "ok", "failed", "skipped"]
    failed = progress.snapshot()["steps"][3]
    assert failed["exit_code"] == 3
    assert failed["tail"].endswith("address already in use")
    assert failed["log"].endswith("service.web-ensure_service.err")
    assert progress.snapshot()["message"] == "service.web failed"
    assert progress.snapshot()["job_status"] == "blocked_error"


def test_the_snapshot_is_json_and_the_same_for_the_same_events(progress: RunProgress) -> None:
    progress.feed_all(events("events_failed.json"))
    again = RunProgress("job_1")
    again.expect(load("plan.json"), DIGEST)
    again.feed_all(events("events_failed.json"))
    assert json.dumps(progress.snapshot()) == json.dumps(again.snapshot())


def test_an_event_that_comes_twice_counts_once(progress: RunProgress) -> None:
    log = events("events_failed.json")
    progress.feed_all(log)
    before = progress.snapshot()
    progress.feed_all(log)
    assert progress.snapshot() == before


@given(st.lists(st.integers(min_value=0, max_value=20), max_size=8), st.sampled_from(["completed", "failed"]))
def test_deltas_add_up_to_the_snapshot(cuts: list[int], name: str) -> None:
    reducer = RunProgress("job_1")
    reducer.expect(load("plan.json"), DIGEST)
    view: dict[int, Any] = {}
    version = -1
    for index, event in enumerate(events(f"events_{name}.json")):
        reducer.feed(event)
        if index in cuts:
            delta = reducer.delta(version)
            version = delta["version"]
            view |= {row["index"]: row["step"] for row in delta["changed"]}
    last = reducer.delta(version)
    view |= {row["index"]: row["step"] for row in last["changed"]}
    assert [view[i] for i in sorted(view)] == reducer.snapshot()["steps"]
    assert {k: v for k, v in reducer.snapshot().items() if k != "steps"} == {
        k: v for k, v in last.items() if k not in {"changed", "since"}
    }


def test_a_delta_holds_only_what_changed(progress: RunProgress) -> None:
    log = events("events_completed.json")
    progress.feed_all(log[:-3])
    version = progress.delta()["version"]
    progress.feed(log[-3])
    assert [row["index"] for row in progress.delta(version)["changed"]] == [4]
    assert progress.delta(progress.version)["changed"] == []


def test_a_delta_of_a_large_run_costs_what_changed() -> None:
    document = load("plan.json")
    step = document["actions"]["steps"][0]
    many = [{**step, "id": f"file.f{i}:write"} for i in range(10_000)]
    reducer = RunProgress()
    reducer.expect({**document, "actions": {"steps": many}}, DIGEST)
    version = reducer.delta()["version"]
    reducer.feed_all(numbered([*opened(1, DIGEST), started(1, "file.f7:write"), completed(1, "file.f9:write")]))
    assert [row["index"] for row in reducer.delta(version)["changed"]] == [7, 9]


def test_a_resumed_run_does_not_count_the_time_it_stood_still(progress: RunProgress) -> None:
    rows = [*opened(1, DIGEST), started(1, "directory.site:create_directory")]
    progress.feed_all(numbered([*rows, completed(1, "directory.site:create_directory")]))
    late = [
        Event(10, "2026-11-24T00:00:00.000000Z", "lease.taken", {"takeover": True}),
        Event(11, "2026-11-24T00:00:01.000000Z", *started(1, "file.index:write_file")),
        Event(12, "2026-11-24T00:00:03.000000Z", *completed(1, "file.index:write_file")),
    ]
    progress.feed_all(late)
    assert progress.elapsed_ms() == 2_000
    assert statuses(progress)[:2] == ["ok", "ok"]


def test_an_interrupted_step_says_what_was_found_and_can_start_again(progress: RunProgress) -> None:
    step = "file.index:write_file"
    found = ("step.interrupted", {"section": 1, "step_id": step, "attempt": 1, "found": "the process is gone"})
    progress.feed_all(numbered([*opened(1, DIGEST), started(1, step), found]))
    assert progress.snapshot()["steps"][1]["status"] == "interrupted"
    assert progress.snapshot()["steps"][1]["note"] == "the process is gone"
    retried = ("step.retried", {"section": 1, "step_id": step, "attempt": 2, "reason": "declared idempotent"})
    progress.feed_all(numbered([retried, started(1, step), completed(1, step)], first=50))
    assert progress.snapshot()["steps"][1]["status"] == "ok"
    assert progress.totals()["interrupted"] == 0


def test_only_the_section_of_the_expected_plan_is_followed(progress: RunProgress) -> None:
    earlier = [
        *opened(1, OTHER),
        ("approval.requested", {"approval_id": "a", "section": 1}),
        ("approval.granted", {"approval_id": "a", "by": "x", "via": "cli", "reason": "old"}),
        started(1, "file.index:write_file"),
        completed(1, "file.index:write_file"),
        ("section.closed", {"section": 1, "outcome": "completed"}),
    ]
    progress.feed_all(numbered([*earlier, *opened(2, DIGEST, "destroy")]))
    state = progress.snapshot()
    assert (state["section"], state["verb"], state["status"]) == (2, "destroy", "new")
    assert state["approval"] == {"state": "none"}
    assert statuses(progress) == ["waiting"] * 5
    progress.feed_all(numbered([started(2, "file.index:write_file"), *opened(3, OTHER)], first=50))
    assert progress.snapshot()["section"] == 2
    assert statuses(progress)[1] == "running"


def test_without_a_plan_the_latest_section_is_shown_and_steps_come_as_they_come() -> None:
    reducer = RunProgress()
    reducer.feed_all(numbered([*opened(1, OTHER), started(1, "a.a:make"), completed(1, "a.a:make")]))
    assert [(s.address, s.action, s.status) for s in reducer.steps] == [("a.a", "make", "ok")]
    reducer.feed_all(numbered([*opened(2, DIGEST), started(2, "b.b:make")], first=50))
    assert [(s.address, s.status) for s in reducer.steps] == [("b.b", "running")]
    assert reducer.plan == DIGEST


def test_a_view_that_joins_after_the_decision_is_told_of_it(progress: RunProgress) -> None:
    progress.approved(by="", via="policy")
    assert progress.snapshot()["approval"]["person"] is False
    assert progress.snapshot()["status"] == "running"
    progress.feed_all(numbered([started(4, "file.index:write_file")]))
    assert progress.section == 4


def test_the_rest_is_estimated_by_the_mean_of_what_is_done(progress: RunProgress) -> None:
    done = [completed(1, "directory.site:create_directory", 100), completed(1, "file.index:write_file", 300)]
    progress.feed_all(numbered([*opened(1, DIGEST), done[0]]))
    assert progress.left_ms() is None
    progress.feed_all(numbered(done[1:], first=50))
    assert progress.left_ms() == 600


def test_a_long_tail_is_cut_to_its_end(progress: RunProgress) -> None:
    lines = "\n".join(f"line {i}" for i in range(5_000))
    failed = {
        "section": 1, "step_id": "file.index:write_file", "duration_ms": 1, "code": "E", "note": "", "tail": lines, "log": "",
    }  # fmt: skip
    progress.feed_all(numbered([*opened(1, DIGEST), ("step.failed", failed)]))
    tail = progress.snapshot()["steps"][1]["tail"].splitlines()
    assert len(tail) == 20
    assert tail[-1] == "line 4999"
