"""A run as lines and as the frozen HTML: the words of the examples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.jobs.progress import RunProgress
from clockwork_nb.render.outcome import approval_words, outcome_text, outcome_title
from clockwork_nb.render.progress import ProgressPrinter, progress_html

SAMPLES = Path(__file__).parent / "samples"
JOB = "job_01k9x3m5q7s9v1w3y5z7a9b2c4"
DIGEST = "4f1c9e2a" + "0" * 56
PORT = "Port 9090 is held by pid 812 (python3)."


@dataclass(frozen=True)
class Event:
    seq: int
    created_at: str
    type: str
    payload: dict[str, Any]


def events(name: str) -> list[Event]:
    return [Event(**event) for event in json.loads((SAMPLES / name).read_text())]


@pytest.fixture
def progress() -> RunProgress:
    reducer = RunProgress(JOB, confinement="standard (Landlock)")
    reducer.expect(json.loads((SAMPLES / "plan.json").read_text()), DIGEST)
    return reducer


def outcome(**fields: Any) -> dict[str, Any]:
    return {
        "status": "completed", "job": JOB, "plan": DIGEST, "done": 5, "failed": 0, "skipped": 0, "duration_ms": 300,
        **fields,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["completed", "failed"])
def test_the_lines_are_those_of_the_examples(name: str, progress: RunProgress) -> None:
    written: list[str] = []
    printer = ProgressPrinter(written.append, progress)
    for event in events(f"events_{name}.json"):
        printer.feed(event)
    if name == "completed":
        printer.finish(outcome(outputs=[{"name": "url", "value": "http://localhost:9090"}]))
    else:
        printer.finish(notes=[PORT])
    assert "".join(written) == (SAMPLES / f"run_{name}.txt").read_text()
    assert all(text.endswith("\n") for text in written)


def test_a_line_comes_as_soon_as_its_step_ends(progress: RunProgress) -> None:
    written: list[str] = []
    printer = ProgressPrinter(written.append, progress)
    log = events("events_completed.json")
    for event in log[:8]:
        printer.feed(event)
    assert written == []
    printer.feed(log[8])
    assert len(written) == 1
    assert written[0].startswith(f"Job {JOB} · plan 4f1c9e2a · approved by ops")
    printer.feed(log[9])
    assert written[1].startswith("  1/5  directory.site")


def test_a_step_that_takes_long_is_named_once(progress: RunProgress) -> None:
    written: list[str] = []
    printer = ProgressPrinter(written.append, progress)
    for event in events("events_completed.json")[:9]:
        printer.feed(event)
    printer.tick("2026-11-22T14:02:02.100000Z")
    assert len(written) == 1
    printer.tick("2026-11-22T14:02:09.000000Z")
    printer.tick("2026-11-22T14:02:10.000000Z")
    assert written[1:] == ["  1/5  directory.site   create_directory     running\n"]


def test_a_resumed_run_does_not_repeat_its_lines(progress: RunProgress) -> None:
    written: list[str] = []
    printer = ProgressPrinter(written.append, progress)
    log = events("events_completed.json")
    printer.catch_up(log[:12])
    assert written == ["2 of 5 steps were done before; they do not run again.\n"]
    for event in log[12:]:
        printer.feed(event)
    lines = "".join(written).splitlines()
    assert [line.split()[0] for line in lines if "/5" in line] == ["3/5", "4/5", "5/5"]
    assert "  1/5" not in "".join(written)


def test_a_step_that_fails_twice_is_told_twice(progress: RunProgress) -> None:
    written: list[str] = []
    printer = ProgressPrinter(written.append, progress)
    log = events("events_failed.json")
    for event in log:
        printer.feed(event)
    failed = next(e for e in log if e.type == "step.failed")
    begun = next(e for e in log if e.type == "step.started" and e.payload["step_id"] == failed.payload["step_id"])
    seq = log[-1].seq
    printer.feed(Event(seq + 1, failed.created_at, "step.started", {**begun.payload, "attempt": 2}))
    printer.feed(Event(seq + 2, failed.created_at, "step.failed", {**failed.payload, "attempt": 2}))
    assert "".join(written).count("failed") == 2


@pytest.mark.parametrize(("via", "words"), [("auto", "--auto-approve"), ("policy", "policy")])
def test_it_says_when_no_person_approved(via: str, words: str, progress: RunProgress) -> None:
    progress.approved(by="ops", via=via)
    assert approval_words(progress.approval) == f"no person approved ({words})"
    assert f"no person approved ({words})" in progress_html(progress.snapshot())


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({}, "Applied 5 steps in 0.3 s."),
        ({"done": 1, "verb": "destroy"}, "Destroyed 1 step in 0.3 s."),
        ({"verb": "verify", "duration_ms": 61_000}, "Checked 5 steps in 1:01 min."),
        ({"status": "denied"}, "Rejected. Nothing was run."),
        ({"status": "stale"}, "What was approved is not what would run now. Nothing was run."),
        (
            {"status": "canceled", "done": 3, "unstarted": 2},
            "Stopped: 3 done, 2 not started. State is saved; finished steps will not run again.",
        ),
        (
            {"status": "failed", "done": 3, "failed": 1, "skipped": 1},
            "1 failed, 1 skipped, 3 done. State is saved; finished steps will not run again.",
        ),
        ({"status": "nothing", "unchanged": 11, "observed_ms": 310}, "Nothing to do. 11 resources match (observed in 0.3 s)."),
        ({"status": "nothing", "job": ""}, "Nothing to do."),
    ],
)  # fmt: skip
def test_the_first_line_says_the_outcome(fields: dict[str, Any], first: str) -> None:
    assert outcome_text(outcome(**fields)).splitlines()[0] == first


def test_what_comes_next_is_there_to_copy() -> None:
    failed = outcome_text(outcome(status="failed", failed=1), notes=[PORT])
    assert failed.splitlines()[1:] == [PORT, f"Next   fix it, then: clockwork job resume {JOB}"]
    assert outcome_text(outcome()).splitlines()[-1] == f"Evidence   clockwork jobpack export {JOB}"
    assert outcome_text(outcome(job="a b"), command="cw").endswith("cw jobpack export 'a b'")


def test_outputs_are_shown_and_sensitive_ones_are_not() -> None:
    outputs = [{"name": "url", "value": "http://x"}, {"name": "key", "value": "s3cret", "sensitive": True}]
    text = outcome_text(outcome(outputs=outputs))
    assert text.splitlines()[1:3] == ['  url = "http://x"', "  key = (sensitive)"]
    assert "s3cret" not in text


def test_the_frozen_result_of_a_run(progress: RunProgress) -> None:
    progress.feed_all(events("events_completed.json"))
    html = progress_html(progress.snapshot(), outcome(outputs=[{"name": "url", "value": "http://localhost:9090"}]))
    for words in (
        "<b>Applied 5 steps</b>",
        "approved by ops",
        ">done</span>",
        "pid 4711",
        "212 ms",
        "url = &quot;http",
    ):
        assert words in html
    assert html.count('class="cw-step"') == 5
    assert "<script" not in html


def test_the_frozen_result_of_a_failure(progress: RunProgress) -> None:
    progress.feed_all(events("events_failed.json"))
    html = progress_html(progress.snapshot(), notes=[PORT])
    for words in (
        "<b>1 failed</b>", "1 skipped · 3 done", ">blocked</span>", "failed, exit 3", "address already in use",
        "skipped, needs service.web", PORT, f"%cw_resume {JOB}", "finished steps will not run again",
    ):  # fmt: skip
        assert words in html
    assert "exit 3, exit 3" not in html


def test_the_result_is_final_before_the_log_says_so(progress: RunProgress) -> None:
    closing = {"section.closed", "job.finished"}
    progress.feed_all([e for e in events("events_completed.json") if e.type not in closing])
    assert outcome_title(progress.snapshot())[0] == "Applying"
    assert "<b>Applied 5 steps</b>" in progress_html(progress.snapshot(), outcome())


def test_nothing_to_do_needs_no_snapshot() -> None:
    html = progress_html({}, outcome(status="nothing", unchanged=2))
    assert "<b>Nothing to do</b>" in html
    assert "2 resources match" in html


def test_of_a_thousand_steps_the_bad_ones_come_first(progress: RunProgress) -> None:
    state = progress.snapshot()
    step = {**state["steps"][0], "status": "ok", "duration_ms": 1}
    bad = {
        **step,
        "id": "file.f500:write",
        "address": "file.f500",
        "status": "failed",
        "tail": "no space",
        "exit_code": 1,
    }
    totals = {**state["totals"], "steps": 1_000, "waiting": 0, "ok": 999, "failed": 1}
    html = progress_html({**state, "steps": [step] * 500 + [bad] + [step] * 499, "totals": totals, "status": "failed"})
    shown, _, folded = html.partition("all 1,000 steps")
    assert shown.count('class="cw-step"') == 1
    assert "no space" in shown
    assert folded.count('class="cw-step"') == 1_000
