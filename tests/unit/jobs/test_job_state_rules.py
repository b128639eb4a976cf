"""Which event may follow which, and what they add up to."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from clockwork_nb.errors import InvalidTransitionError
from clockwork_nb.jobs import commands
from clockwork_nb.jobs.events import STATUSES, decode_record, encode_record
from clockwork_nb.jobs.model import JobState
from clockwork_nb.jobs.state import FoldError, allowed, evolve, replay
from clockwork_nb.ports import Draft
from clockwork_nb.testing import MemoryJob

MOVES = {
    ("queued", "running"),
    ("queued", "canceled"),
    ("running", "paused"),
    ("running", "blocked_decision"),
    ("running", "blocked_budget"),
    ("running", "blocked_error"),
    ("running", "completed"),
    ("running", "canceled"),
    ("paused", "running"),
    ("paused", "blocked_error"),
    ("paused", "canceled"),
    ("blocked_decision", "running"),
    ("blocked_decision", "blocked_error"),
    ("blocked_decision", "canceled"),
    ("blocked_budget", "running"),
    ("blocked_budget", "blocked_error"),
    ("blocked_budget", "canceled"),
    ("blocked_error", "running"),
    ("blocked_error", "canceled"),
}


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_the_moves_of_a_job(before: str, after: str) -> None:
    assert allowed(before, after) == ((before, after) in MOVES)


def test_a_move_that_is_not_allowed_says_from_and_to(story: Any) -> None:
    with pytest.raises(InvalidTransitionError) as caught:
        commands.move(story.job.state, "running")
    assert caught.value.details == {"from": "running", "to": "running"}


def test_a_replayed_log_gives_the_same_state(approved: Any) -> None:
    approved.job.append([approved.use(), approved.start(), approved.done(entry='{"a":1}')])
    events = [decode_record(line[:-1]) for line in approved.job.lines]
    assert replay(approved.job.genesis, events) == approved.job.state
    assert approved.job.state.sections[1].steps["s:1"].entry == '{"a":1}'


def test_a_state_survives_its_document(approved: Any) -> None:
    approved.job.append(
        [
            approved.use(),
            approved.start(),
            approved.done(),
            Draft("cell.started", {"cell": "c1", "index": 0}),
            Draft("artifact.published", {"path": "a", "op": "added", "blob": "0" * 64}),
            Draft("control.requested", {"action": "pause", "by": "x", "reason": ""}),
        ]
    )
    state = approved.job.state
    assert JobState.from_document(state.to_document()) == state


def test_a_copy_does_not_follow(approved: Any) -> None:
    before = approved.job.state
    kept = before.to_document()
    approved.job.append([approved.use(), approved.start(), approved.done()])
    assert before.to_document() == kept


REFUSED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "a second job.created": [("job.created", {"name": "memory", "adapter": "pipeline", "objective": "", "spec": ""})],
    "a status that is not the folded one": [("job.status", {"from": "queued", "to": "running"})],
    "finishing before the status says so": [("job.finished", {"status": "completed", "reason_codes": []})],
    "a lease in the same epoch": [
        ("lease.taken", {"runner_id": "r", "host_id": "", "ttl_ms": 1, "tool_version": "v", "takeover": False})
    ],
    "a release by somebody else": [("lease.released", {"runner_id": "other", "outcome": ""})],
    "a second environment": [("env.captured", {"rules": [], "hash": "0" * 64})],
    "an override of another environment": [
        ("env.override", {"rules": [], "expected_hash": "0" * 64, "actual_hash": "1" * 64, "reason": "", "by": "x"})
    ],
    "a section out of order": [
        ("section.opened", {"section": 3, "verb": "apply", "cell": "", "call": 0, "inputs": "0" * 64})
    ],
    "closing an unknown section": [
        ("section.closed", {"section": 9, "outcome": "completed", "done": 0, "failed": 0, "skipped": 0})
    ],
    "a bundle without a plan": [
        ("section.opened", {"section": 2, "verb": "apply", "cell": "", "call": 0, "inputs": "0" * 64}),
        ("bundle.bound", {"section": 2, "bundle": "0" * 64}),
    ],
    "a decision without required_action": [
        ("checkpoint", {"kind": "decision-needed", "summary": "x", "reason_codes": []})
    ],
    "progress with required_action": [
        (
            "checkpoint",
            {
                "kind": "progress",
                "summary": "x",
                "reason_codes": [],
                "required_action": {"kind": "", "instructions": ""},
            },
        )
    ],
    "a result of a step that never started": [
        ("step.completed", {"section": 1, "step_id": "q", "attempt": 1, "exit_code": 0, "duration_ms": 0, "note": ""})
    ],
    "a retry of nothing": [("step.retried", {"section": 1, "step_id": "q", "attempt": 1, "reason": ""})],
    "undoing what was not done": [("step.compensated", {"section": 1, "step_id": "q", "attempt": 1, "by_step": "r"})],
    "a cell that ends without a start": [("cell.completed", {"cell": "c", "index": 0, "duration_ms": 1})],
    "a change of an unpublished artifact": [("artifact.published", {"path": "p", "op": "changed"})],
    "removing an unpublished artifact": [("artifact.published", {"path": "p", "op": "removed"})],
    "adding an artifact twice": [
        ("artifact.published", {"path": "p", "op": "added"}),
        ("artifact.published", {"path": "p", "op": "added"}),
    ],
    "counters that go down": [
        (
            "budget.charged",
            {"retry_count": 0, "step_count": 2, "tool_call_count": 0, "active_ms": 0, "tokens": 0, "cost": "0.5"},
        ),
        (
            "budget.charged",
            {"retry_count": 0, "step_count": 1, "tool_call_count": 0, "active_ms": 0, "tokens": 0, "cost": "0.5"},
        ),
    ],
    "a seal over another log": [("job.sealed", {"count": 1, "head": "0" * 64})],
    "a grant nobody asked for": [
        ("approval.denied", {"approval_id": "nope", "checkpoint_seq": 1, "by": "x", "via": "cli", "reason": ""})
    ],
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_happen_is_refused_and_changes_nothing(story: Any, case: str) -> None:
    story.section()
    before = story.job.state
    with pytest.raises(InvalidTransitionError, match="cannot follow"):
        story.job.append([Draft(kind, payload) for kind, payload in REFUSED[case]])
    assert story.job.state == before


def test_a_step_starts_once_at_a_time_and_attempts_count(approved: Any) -> None:
    job = approved.job
    job.append([approved.use(), approved.start()])
    for bad in (approved.start(), approved.start(attempt=2), approved.done(attempt=2)):
        with pytest.raises(InvalidTransitionError):
            job.append([bad])
    failed = {
        "section": 1,
        "step_id": "s:1",
        "attempt": 1,
        "duration_ms": 1,
        "code": "E",
        "note": "",
        "tail": "",
        "log": "",
    }
    job.append([Draft("step.failed", failed)])
    with pytest.raises(InvalidTransitionError, match="next attempt of step s:1 is 2"):
        job.append([approved.start(attempt=1)])
    job.append([approved.start(attempt=2), approved.done(attempt=2)])
    with pytest.raises(InvalidTransitionError, match="completed"):
        job.append([approved.start(attempt=3)])


def test_a_step_skipped_before_a_resume_may_run_after_it(approved: Any) -> None:
    job = approved.job
    skipped = {"section": 1, "step_id": "s:2", "index": 1, "summary": "", "reason": "s:1 failed"}
    job.append([approved.use(), Draft("step.skipped", skipped)])
    job.append([approved.start("s:2"), approved.done("s:2")])
    with pytest.raises(InvalidTransitionError):
        job.append([Draft("step.skipped", skipped)])


def test_a_step_without_a_result_keeps_its_section_and_job_open(approved: Any) -> None:
    job = approved.job
    job.append([approved.use(), approved.start()])
    with pytest.raises(InvalidTransitionError, match="no result"):
        commands.close_section(job.state, 1, "completed")
    with pytest.raises(InvalidTransitionError, match="no result"):
        job.append(commands.finish(job.state, "completed"))
    interrupted, charged = commands.interrupted_steps(job.state, {"s:1": "not applied"})
    assert interrupted.payload["found"] == "not applied"
    job.append([interrupted, charged])
    assert job.state.counters.step_count == 1  # its process died before it could charge for it
    assert commands.interrupted_steps(job.state) == []
    closed = commands.close_section(job.state, 1, "failed")
    assert (closed.payload["done"], closed.payload["failed"]) == (0, 1)
    job.append([closed])
    assert job.state.sections[1].steps == {}


def test_after_the_end_only_the_aftermath_is_recorded(story: Any) -> None:
    job = story.job
    job.append(commands.finish(job.state, "completed", ["ok"]))
    assert job.state.finished and job.state.final
    for draft in (
        Draft("cell.started", {"cell": "c", "index": 0}),
        Draft("control.requested", {"action": "cancel", "by": "x", "reason": ""}),
    ):
        with pytest.raises(InvalidTransitionError, match="finished"):
            job.append([draft])
    job.append([Draft("job.tainted", {"reason": "repaired", "offset": 1})])
    job.append([Draft("job.sealed", {"count": job.state.seq, "head": job.state.hash})])
    assert job.state.tainted
    with pytest.raises(InvalidTransitionError):
        commands.open_section(job.state, verb="apply", cell="", call=0, inputs="0" * 64)


def test_a_pause_is_answered_by_a_resume_a_cancel_by_nothing_but_the_end(story: Any) -> None:
    job = story.job
    job.append([commands.request_stop(job.state, "pause", by="ann")])
    assert job.stop_requested() == "pause"
    job.append([commands.move(job.state, "paused")])
    assert job.stop_requested() == ""
    with pytest.raises(InvalidTransitionError, match="only a running job"):
        commands.request_stop(job.state, "pause", by="ann")
    job.append([commands.request_stop(job.state, "cancel", by="ann")])
    job.append([commands.move(job.state, "running")])
    assert job.stop_requested() == "cancel"
    job.append(commands.finish(job.state, "canceled"))
    with pytest.raises(InvalidTransitionError, match="already"):
        commands.request_stop(job.state, "cancel", by="ann")


@pytest.mark.parametrize("change", ["seq", "prev", "job_id", "epoch"])
def test_a_record_out_of_its_place_is_refused(change: str) -> None:
    job = MemoryJob()
    state = job.state
    values: dict[str, Any] = {"seq": state.seq + 1, "prev": state.hash, "job_id": job.job_id, "epoch": 1}
    values[change] = {"seq": 9, "prev": "0" * 64, "job_id": "job_other", "epoch": 2}[change]
    event, _ = encode_record(
        created_at="2026-11-22T01:02:03.000004Z",
        event_type="job.status",
        payload={"from": "queued", "to": "running"},
        **values,
    )
    with pytest.raises(FoldError) as caught:
        evolve(state, event)
    assert caught.value.code == "E_EVIDENCE_INCONSISTENT"
    assert caught.value.details == {"seq": event.seq, "type": "job.status"}
    assert state == job.state


def test_the_spec_of_a_job_gives_its_limits() -> None:
    job = MemoryJob(spec={"budgets": {"max_step_count": 3, "max_retries": 0}})
    assert job.state.limits == {"step_count": "3"}
    raised = commands.raise_budget(job.state, "step_count", "5", by="ann", reason="more to do")
    job.append([raised])
    assert job.state.limits == {"step_count": "5"}
