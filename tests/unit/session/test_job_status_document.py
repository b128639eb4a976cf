"""The words and figures of ``job status``, from a job's state alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from clockwork_nb.jobs.budget import Counters
from clockwork_nb.jobs.model import Checkpoint, Decision, JobState, SectionState, StepState
from clockwork_nb.render.job import job_status_text
from clockwork_nb.session.job_status import age, shown_reason, status_document

NOW = datetime(2026, 11, 2, 14, 14, tzinfo=UTC)
PLAN = "4f1c9e2a" + "0" * 56


def made(state: JobState, *, running: bool = False, planned: int = 0) -> dict[str, object]:
    return status_document(state, running=running, snapshot=0, planned_steps=lambda plan: planned, now=NOW)


def job(status: str = "blocked_error") -> JobState:
    return JobState("job_1", "", "0" * 64, seq=148, status=status, name="apply site")


def test_budgets_are_shown_as_people_read_them() -> None:
    state = job("running")
    state.limits = {"wall_time_seconds": "1800", "step_count": "200", "retry_count": "2"}
    state.counters = Counters(step_count=12, active_ms=41_900, cost="0.25")
    document = made(state, running=True)
    assert document["budgets"] == [
        {"name": "wall", "used": "0:41", "limit": "30:00", "touched": True},
        {"name": "steps", "used": "12", "limit": "200", "touched": True},
        {"name": "retries", "used": "0", "limit": "2", "touched": False},
        {"name": "cost", "used": "0.25", "limit": "", "touched": True},
    ]
    text = job_status_text(document)
    assert "3 of 4 budgets touched" in text
    assert "budget    wall 0:41 / 30:00 · steps 12 / 200 · retries 0 / 2 · cost 0.25" in text


def test_job_without_budgets_says_nothing_about_them() -> None:
    assert made(job())["budgets"] == []


def test_steps_of_closed_sections_and_of_the_open_one_are_added_up() -> None:
    state = job()
    state.sections[1] = SectionState(1, "apply", "a", 1, "", outcome="failed", done=3, failed=1, skipped=2)
    state.sections[2] = SectionState(2, "apply", "b", 1, "", plan=PLAN)
    state.sections[2].steps = {"x": StepState("completed", 1), "y": StepState("failed", 2)}
    assert made(state, planned=5)["steps"] == [4, 11]
    assert made(state, planned=0)["steps"] == [4, 8]  # its plan is too large to be read in passing


def test_waiting_job_says_since_when_and_offers_both_answers() -> None:
    state = job("blocked_decision")
    state.decisions["ap"] = Decision("ap", 7, 1, {"plan": PLAN})
    asked = (NOW - timedelta(minutes=12)).isoformat()
    state.checkpoints["decision-needed"] = Checkpoint(7, "decision-needed", "apply: 2 to create", [], asked)
    document = made(state)
    assert document["waiting"] == [
        {
            "plan": PLAN,
            "bundle": "",
            "section": 1,
            "summary": "apply: 2 to create",
            "for_ms": 720_000,
            "quorum": 1,
            "approved_by": [],
        }
        | {"since": datetime.fromisoformat(asked).astimezone().strftime("%H:%M")}
    ]
    assert document["next"] == [
        'clockwork approve job_1 --plan 4f1c9e2a --reason "…"  &&  clockwork job resume job_1',
        'clockwork reject job_1 --reason "…"',
    ]


def test_approved_job_says_by_whom_and_that_it_is_to_be_resumed() -> None:
    state = job("blocked_decision")
    state.decisions["ap"] = Decision("ap", 7, 1, {"plan": PLAN}, status="granted", by="ops", reason="agreed")
    document = made(state)
    assert document["message"] == 'plan 4f1c9e2a is approved by ops "agreed", not resumed yet'
    assert document["next"] == ["clockwork job resume job_1"]


def test_interrupted_step_is_named_in_the_next_command_unless_it_may_always_run_again() -> None:
    state = job()
    state.sections[1] = SectionState(1, "apply", "", 0, "")
    state.sections[1].steps = {
        'command.a["x y"]:run': StepState("interrupted", 1),
        "command.b:run": StepState("interrupted", 2, idempotent=True),
    }
    assert made(state)["next"] == ["""clockwork job resume job_1 --rerun 'command.a["x y"]:run'"""]
    assert made(state, running=True)["next"] == []


@pytest.mark.parametrize(
    ("status", "running", "reason"),
    [("running", True, "why"), ("running", False, "its process is gone"), ("queued", False, "its process is gone"),
     ("blocked_error", False, "why"), ("completed", False, "why")],
)  # fmt: skip
def test_job_that_nobody_runs_does_not_pretend_to_run(status: str, running: bool, reason: str) -> None:
    assert shown_reason(status, "why", running=running) == reason


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86_400, "1 d ago"),
    ],
)
def test_age_in_words(seconds: int, words: str) -> None:
    assert age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == words
    assert age("", NOW) == ""
