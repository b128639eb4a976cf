"""A section that is cancelled, paused, robbed of its launcher or its log, or raced by somebody who edits scripts."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import (
    ArtifactChangedError,
    InterruptedByUserError,
    LeaseLostError,
    StepInterruptedError,
    StoreIOError,
)
from clockwork_nb.forge.launch import Launcher
from clockwork_nb.forge.runner import run_section
from clockwork_nb.ports import Draft, EventView
from tests.unit.forge.section_kit import Bench, Spec, bench, make_plan, write


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


SLOW = {"script": "touch out/begun\nsleep 60\ntouch out/ended\n", "write": ("out/x",)}


def once_begun(b: Bench, act: Any) -> threading.Thread:
    """Call *act* as soon as the slow step runs."""

    def wait() -> None:
        end = time.monotonic() + 30
        while not (b.root / "out/begun").exists() and time.monotonic() < end:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def slow_plan() -> Any:
    return make_plan(
        write("first", "1"),
        Spec("slow", {"make": SLOW}, needs=("first",)),
        write("later", "1"),
        Spec("last", {"make": "exit 0\n"}, needs=("slow",)),
    )


@pytest.mark.parametrize("action", ["cancel", "pause"])
def test_a_request_of_another_process_stops_the_running_step(b: Bench, action: str) -> None:
    draft = Draft("control.requested", {"action": action, "by": "ops", "reason": "enough"})
    thread = once_begun(b, lambda: b.store.append_control(b.job.job_id, draft))
    result = b.apply(slow_plan(), parallelism=1)
    thread.join()
    assert result.stopped == action
    assert result.interrupted == ("thing.slow:make",)
    assert "thing.last:make" in result.waiting
    assert (result.failed, result.skipped) == ((), ())
    assert [e["found"] for e in b.payloads("step.interrupted")] == ["cancelled"]
    assert not (b.root / "out/ended").exists()
    assert isinstance(result.error, InterruptedByUserError)
    assert {"cancel": "cancelled", "pause": "paused"}[action] in result.error.message
    entries = {e["address"]: e["status"] for e in b.state()["resources"]}
    assert entries["thing.first"] == "ok"
    assert entries["thing.slow"] == "unknown"
    assert "thing.last" not in entries


def test_the_callers_event_stops_it_and_a_later_run_goes_on(b: Bench) -> None:
    document, bundle = b.bind(slow_plan())
    cancel = threading.Event()
    thread = once_begun(b, cancel.set)
    first = b.run(document, bundle, cancel=cancel, parallelism=1)
    thread.join()
    assert first.stopped == "interrupt"
    b.reopen()
    (b.root / "out/begun").unlink()
    second = once_begun(b, lambda: os.kill(os.getpid(), signal.SIGINT))
    again = b.run(document, bundle, done=first.done, attempts={"thing.slow:make": 1}, parallelism=1)
    second.join()
    assert again.stopped == "interrupt"
    assert again.interrupted == ("thing.slow:make",)
    assert b.payloads("step.retried")[0]["attempt"] == 2
    assert [e["attempt"] for e in b.payloads("step.started") if e["step_id"] == "thing.slow:make"] == [1, 2]


def test_a_launcher_that_dies_leaves_a_recorded_doubt(b: Bench) -> None:
    launcher = b.launcher
    assert isinstance(launcher, Launcher)
    thread = once_begun(b, lambda: os.kill(launcher.pid, signal.SIGKILL))
    with pytest.raises(StepInterruptedError) as caught:
        b.apply(slow_plan(), parallelism=1)
    thread.join()
    assert caught.value.exit_code == 9
    assert "launcher" in b.payloads("step.interrupted")[0]["found"]
    assert {e["address"]: e["status"] for e in b.state()["resources"]}["thing.slow"] == "unknown"


class Failing:
    """The real writer until *after* appends, then it raises *error* for ever."""

    def __init__(self, b: Bench, after: int, error: Exception) -> None:
        self._job, self._left, self._error = b.job, after, error
        self._lock = threading.Lock()
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def append(self, drafts: Sequence[Draft]) -> Sequence[EventView]:
        with self._lock:
            self._left -= 1
            if self._left < 0:
                self.refused += 1
                raise self._error
        return self._job.append(drafts)


@pytest.mark.parametrize(
    "error", [LeaseLostError("taken over"), StoreIOError("the disk is gone")], ids=["lease", "disk"]
)
@pytest.mark.parametrize("after", range(5))
def test_what_cannot_be_recorded_stops_everything_and_starts_nothing(b: Bench, error: Exception, after: int) -> None:
    steps = [Spec(f"n{i}", {"make": {"script": f"echo x >> out/n{i}\n", "write": ("out/x",)}}) for i in range(8)]
    document, bundle = b.bind(make_plan(*steps))
    writer: Any = Failing(b, after, error)
    with pytest.raises(type(error)):
        run_section(
            document, bundle, writer=writer, section=1, approval_id="", done=(), attempts={}, context=b.context(parallelism=2)
        )  # fmt: skip
    ran = {p.name for p in (b.root / "out").iterdir()}
    intended = {e["step_id"] for e in b.payloads("step.started")}
    assert {f"thing.{name}:make" for name in ran} <= intended
    assert len(intended) <= after
    recorded = {e["address"] for e in b.state()["resources"]}
    assert recorded <= {e["step_id"].removesuffix(":make") for e in b.payloads("step.completed")}


def test_a_running_step_does_not_outlive_the_lease(b: Bench) -> None:
    plan = make_plan(
        Spec("slow", {"make": SLOW}), Spec("quick", {"make": "until [ -e out/begun ]; do sleep 0.01; done\n"})
    )
    document, bundle = b.bind(plan)
    writer: Any = Failing(b, 2, LeaseLostError("taken over"))
    with pytest.raises(LeaseLostError):
        run_section(
            document, bundle, writer=writer, section=1, approval_id="", done=(), attempts={}, context=b.context()
        )
    assert (b.root / "out/begun").exists()
    assert not (b.root / "out/ended").exists()


def test_scripts_swapped_while_steps_run_never_run_themselves(b: Bench) -> None:
    """Only approved bytes run: an edit is noticed, or it comes too late to matter."""
    count = 60
    plan = make_plan(
        *(Spec(f"n{i}", {"make": {"script": "echo good >> out/log\n", "write": ("out/x",)}}) for i in range(count))
    )
    document, bundle = b.bind(plan)
    scripts = [b.workspace / "build" / s.cmd[1] for s in bundle.steps]
    good = scripts[0].read_bytes()
    evil = b.root / "evil.sh"
    evil.write_text("echo evil >> out/log\n")
    over = threading.Event()

    def swap() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            path = scripts[turn * 7 % count]
            spare = path.with_suffix(".swap")
            if turn % 3:
                spare.write_bytes(evil.read_bytes())
            else:
                spare.symlink_to(evil)
            spare.rename(path)
            spare.write_bytes(good)
            spare.rename(path)
            over.wait(0.002)

    thread = threading.Thread(target=swap)
    thread.start()
    done: tuple[str, ...] = ()
    noticed = 0
    try:
        for _ in range(40):
            try:
                result = b.run(document, bundle, done=done)
                assert result.error is None
                break
            except ArtifactChangedError:
                noticed += 1
                done = tuple(e["step_id"] for e in b.payloads("step.completed"))
    finally:
        over.set()
        thread.join()
    lines = (b.root / "out/log").read_text().split() if (b.root / "out/log").exists() else []
    assert set(lines) <= {"good"}
    assert len(lines) == len(b.payloads("step.completed"))
    assert noticed or len(lines) == count
