"""What the live view sends: few messages, small ones, and a whole state for pages that open later."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.jobs.progress import RunProgress
from clockwork_nb.widgets.run_view import LOG_LINES, SEND_EVERY_S, RunView

SAMPLES = Path(__file__).parents[1] / "render" / "samples"
DIGEST = "4f1c9e2a" + "0" * 56


@dataclass(frozen=True)
class Event:
    seq: int
    created_at: str
    type: str
    payload: dict[str, Any]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def load(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def view(wire: Any, clock: Clock) -> RunView:
    return RunView(plan=DIGEST, clock=clock)


@pytest.fixture
def progress() -> RunProgress:
    reducer = RunProgress("job_1")
    reducer.expect(load("plan.json"), DIGEST)
    return reducer


def test_steps_are_sent_once_and_then_only_what_changed(
    view: RunView, wire: Any, clock: Clock, progress: RunProgress
) -> None:
    version = -1
    for data in load("events_completed.json"):
        progress.feed(Event(**data))
        delta = progress.delta(version)
        version = delta["version"]
        view.push(delta)
        clock.now += 1
    assert len(wire.updates(view.model_id, "steps")) == 1
    assert view.steps[3] == ["service.web", "ensure_service"]
    messages = wire.custom(view.model_id)
    assert max(len(message["rows"]) for message in messages[1:]) == 1
    assert messages[-1]["head"]["title"] == "Applied 5 steps"


def test_a_burst_becomes_one_message(view: RunView, wire: Any, clock: Clock, progress: RunProgress) -> None:
    view.push(progress.snapshot())
    version = progress.version
    for data in load("events_completed.json"):
        progress.feed(Event(**data))
        delta = progress.delta(version)
        version = delta["version"]
        view.push(delta)
        view.add_log([f"line {data['seq']}"])
    assert len(wire.custom(view.model_id)) == 1
    view.flush()
    _, second = wire.custom(view.model_id)
    assert [row[1] for row in second["rows"]] == ["ok"] * 5
    assert len(second["log"]) == len(load("events_completed.json"))


def test_what_is_held_back_goes_out_by_itself(wire: Any, progress: RunProgress) -> None:
    async def run() -> int:
        view = RunView()
        view.push(progress.snapshot())
        view.add_log(["held back"])
        before = len(wire.custom(view.model_id))
        while len(wire.custom(view.model_id)) == before:
            await asyncio.sleep(SEND_EVERY_S / 4)
        view.close()
        return before

    assert asyncio.run(asyncio.wait_for(run(), 30)) == 1


def test_the_snapshot_is_whole_and_rare(view: RunView, wire: Any, clock: Clock, progress: RunProgress) -> None:
    for data in load("events_failed.json"):
        progress.feed(Event(**data))
        view.push(progress.delta(progress.version - 1))
        clock.now += 0.2
    view.flush()
    assert len(wire.updates(view.model_id, "snapshot")) <= len(load("events_failed.json")) // 5 + 2
    saved = view.snapshot
    assert saved["head"]["title"] == "1 failed"
    rows = {row[0]: row for row in saved["rows"]}
    assert rows[3][1:4] == ["failed", 2140, "exit 3"]
    assert rows[3][4].endswith("address already in use")
    json.dumps(saved)


def test_only_the_last_lines_of_the_log_are_kept(view: RunView, clock: Clock, progress: RunProgress) -> None:
    view.push(progress.snapshot())
    view.add_log(f"line {i}" for i in range(LOG_LINES * 5))
    view.flush()
    assert len(view.snapshot["log"]) == LOG_LINES
    assert view.snapshot["log"][-1] == f"line {LOG_LINES * 5 - 1}"


def test_log_lines_are_made_visible_and_cut(view: RunView, progress: RunProgress) -> None:
    view.push(progress.snapshot())
    view.add_log(["\x1b[2Jred\u202e\n", "x" * 100_000])
    view.flush()
    assert view.snapshot["log"][0] == "\\x1b[2Jred\\u202e"
    assert len(view.snapshot["log"][1]) == 2_000


def test_another_section_brings_other_steps(view: RunView, clock: Clock, progress: RunProgress) -> None:
    progress.feed(Event(1, "2026-11-22T14:00:00.000000Z", *started("directory.site:create_directory")))
    view.push(progress.snapshot())
    clock.now += 1
    document = load("plan.json")
    document["actions"]["steps"] = document["actions"]["steps"][3:]
    other = RunProgress("job_1")
    other.expect(document, DIGEST)
    view.push(other.snapshot())
    view.flush()
    assert view.steps == [["service.web", "ensure_service"], ["service.web", "verify_http"]]
    assert [row[:2] for row in view.snapshot["rows"]] == [[0, "waiting"], [1, "waiting"]]


def started(step: str) -> tuple[str, dict[str, Any]]:
    return "step.started", {"section": 1, "step_id": step, "index": 0, "attempt": 1, "summary": ""}


def test_nothing_is_sent_after_closing(view: RunView, wire: Any, clock: Clock, progress: RunProgress) -> None:
    view.push(progress.snapshot())
    view.close()
    count = len(wire.messages)
    clock.now += 5
    view.push(progress.snapshot())
    view.add_log(["late"])
    view.flush()
    assert len(wire.messages) == count


def test_other_messages_of_a_page_are_ignored(view: RunView) -> None:
    told: list[bool] = []
    view.on_rendered(lambda: told.append(True))
    for content in ({"type": "granted"}, {"type": "rendered"}, "rendered", None, {"type": "rendered", "plan": "x"}):
        view._handle_custom_msg(content, [])
    assert told == []
    view._handle_custom_msg({"type": "rendered", "plan": DIGEST, "bundle": ""}, [])
    assert told == [True]
