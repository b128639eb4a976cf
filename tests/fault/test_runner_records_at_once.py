"""What the runner records in one piece and before what, so that a crash in between tells no other story; and what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import PlanStaleError, StoreIOError
from clockwork_nb.forge.launch import Launcher
from clockwork_nb.forge.launch_spec import LaunchResult, LaunchSpec
from clockwork_nb.forge.runner import run_section
from clockwork_nb.forge.state import StateFile
from clockwork_nb.ports import Draft, EventView
from tests.fault.test_runner_stops_and_races import Failing
from tests.unit.forge.section_kit import Bench, Spec, bench, make_plan, write
from tests.unit.forge.test_runner_sections import approved


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


class Recorder:
    """The real writer, which remembers the appends it was given."""

    def __init__(self, b: Bench) -> None:
        self._job = b.job
        self.appends: list[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def append(self, drafts: Sequence[Draft]) -> Sequence[EventView]:
        self.appends.append([draft.type for draft in drafts])
        return self._job.append(drafts)


def recorded(b: Bench, plan: Any, *, approval: bool = False) -> list[list[str]]:
    """Run *plan*, one step at a time, and return what was appended together."""
    document, bundle = b.bind(plan)
    asked = approved(b, document, bundle) if approval else ""
    writer: Any = Recorder(b)
    run_section(
        document, bundle, writer=writer, section=1, approval_id=asked, done=(), attempts={}, context=b.context(parallelism=1)
    )  # fmt: skip
    appends: list[list[str]] = writer.appends
    return appends


def test_the_approval_is_used_up_with_the_first_intent(b: Bench) -> None:
    appends = recorded(b, make_plan(write("a", "1"), write("b", "2")), approval=True)
    assert appends[0] == ["approval.used", "step.started"]
    assert ["step.started"] in appends


def test_a_result_comes_with_its_output_and_its_charge(b: Bench) -> None:
    appends = recorded(b, make_plan(write("a", "1")))
    assert appends[:2] == [["step.started"], ["step.output", "step.completed", "budget.charged"]]


def test_a_failure_comes_with_its_output_and_its_charge(b: Bench) -> None:
    appends = recorded(b, make_plan(Spec("a", {"make": "echo no\nexit 3\n"})))
    assert appends[:2] == [["step.started"], ["step.output", "step.failed", "budget.charged"]]


class Watched:
    """The real launcher, with a look at the log on the disk right before each step."""

    def __init__(self, launcher: Any) -> None:
        self._launcher = launcher
        self.store: Any = None
        self.job = ""
        self.seen: list[tuple[str, str]] = []

    def run(self, spec: LaunchSpec, *, on_output: Any, cancel: threading.Event | None = None) -> LaunchResult:
        last = self.store.read(self.job).events[-1]
        step = spec.env["CW_IDEMPOTENCY_KEY"].split(":", 1)[1].rpartition(":")[0]
        self.seen.append((step, f"{last.type} {last.payload.get('step_id')}"))
        result: LaunchResult = self._launcher.run(spec, on_output=on_output, cancel=cancel)
        return result


def test_the_intent_is_in_the_log_before_anything_of_the_step_runs(tmp_path: Path) -> None:
    with Launcher() as real:
        watched = Watched(real)
        with bench(tmp_path, watched) as b:
            watched.store, watched.job = b.store, b.job.job_id
            assert b.apply(make_plan(write("a", "1"), write("b", "2")), parallelism=1).error is None
    assert watched.seen == [(f"thing.{n}:make", f"step.started thing.{n}:make") for n in "ab"]


class Late:
    """The real writer, whose append of one step's result comes back only when another step's result is in the state."""

    def __init__(self, b: Bench, slow: str) -> None:
        self._job, self._slow, self._state = b.job, slow, StateFile(b.workspace)
        self.claimed: list[int] = []
        self.durable = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def append(self, drafts: Sequence[Draft]) -> Sequence[EventView]:
        events = self._job.append(drafts)
        if any(e.type == "step.completed" and e.payload["step_id"] == self._slow for e in events):
            self.durable = events[0].seq
            self._await_others()
            document = self._state.load()
            assert document is not None
            self.claimed.append(document["last"]["seq"])
        return events

    def _await_others(self) -> None:
        entries: set[str] = set()
        for _ in range(200):
            document = self._state.load() or {"resources": []}
            entries = {e["address"] for e in document["resources"]}
            if "thing.last" in entries:
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"only {entries} got into the state")


def test_the_state_never_claims_an_event_that_is_not_folded_in(b: Bench) -> None:
    """A run that dies now must roll the slow step's result forward: the mark may not be beyond it."""
    wait = Spec("last", {"make": {"script": "sleep 0.6\n", "write": ("out/x",)}}, needs=("next",))
    document, bundle = b.bind(make_plan(write("slow", "1"), write("next", "2"), wait))
    writer = Late(b, "thing.slow:make")
    as_writer: Any = writer
    result = run_section(
        document, bundle, writer=as_writer, section=1, approval_id="", done=(), attempts={}, context=b.context(parallelism=2)
    )  # fmt: skip
    assert result.error is None
    assert writer.claimed and writer.claimed[0] < writer.durable
    assert {e["address"]: e["status"] for e in b.state()["resources"]}["thing.slow"] == "ok"


class Overtaken:
    """The real writer, whose append of one step's result comes back only after one that is later in the log."""

    def __init__(self, b: Bench, slow: str) -> None:
        self._job, self._slow = b.job, slow
        self._later = threading.Event()
        self.overtaken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def append(self, drafts: Sequence[Draft]) -> Sequence[EventView]:
        events = self._job.append(drafts)
        ended = [e.payload["step_id"] for e in events if e.type == "step.completed"]
        if ended == [self._slow]:
            self.overtaken = self._later.wait(20)
            threading.Event().wait(0.2)  # the other thread is on its way to tell its own
        elif ended:
            self._later.set()
        return events


def test_events_are_told_in_the_order_of_the_log(b: Bench) -> None:
    """Views drop what seems to be behind them: a line of a step was missing when two steps ended at once."""
    late = Spec("late", {"make": {"script": "sleep 0.4\n", "write": ("out/y",)}})
    document, bundle = b.bind(make_plan(write("slow", "1"), late))
    writer: Any = Overtaken(b, "thing.slow:make")
    told: list[int] = []
    ended: list[str] = []

    def on_event(event: EventView) -> None:
        told.append(event.seq)
        ended.extend([event.payload["step_id"]] if event.type == "step.completed" else [])

    run_section(
        document, bundle, writer=writer, section=1, approval_id="", done=(), attempts={},
        context=b.context(parallelism=2), on_event=on_event,
    )  # fmt: skip
    assert writer.overtaken
    assert told == sorted(told)
    assert sorted(ended) == ["thing.late:make", "thing.slow:make"]


def test_a_step_that_was_refused_is_not_tried_again(b: Bench) -> None:
    """What was refused before it ran will be refused again: a retry would only use up the budget."""
    # A file beside the workspace's own folder: whether it may be written is known when it is clear that it is a file.
    plan = make_plan(Spec("a", {"make": {"script": "exit 0\n", "write": ("log",)}}))
    document, bundle = b.bind(plan)
    document["actions"]["steps"][0]["retries"] = 3
    result = b.run(document, bundle, backoff_s=0.01)
    assert result.failed == ("thing.a:make",)
    assert [e["code"] for e in b.payloads("step.failed")] == ["E_UNSAFE_OPERATION"]
    assert len(b.payloads("step.started")) == 1


@pytest.mark.timeout(30)
def test_a_step_says_itself_how_long_the_pause_before_its_retries_is_and_is_told_of_them(b: Bench) -> None:
    script = 'echo "try ${CW_RETRY:-0}" >> out/log\ntest "$(wc -l < out/log)" -ge 3\n'
    document, bundle = b.bind(make_plan(Spec("a", {"make": {"script": script, "write": ("out/x",)}})))
    document["actions"]["steps"][0] |= {"retries": 2, "backoff_s": 0.01}
    result = b.run(document, bundle, backoff_s=3600)  # the runner's own would never end
    assert result.error is None and len(b.payloads("step.retried")) == 2
    assert (b.root / "out/log").read_text() == "try 0\ntry 1\ntry 1\n"


@pytest.mark.parametrize("moved", ["serial", "lineage"])
def test_a_plan_of_another_moment_of_the_state_runs_nothing(b: Bench, moved: str) -> None:
    assert b.apply(make_plan(write("a", "1"))).error is None
    state = b.state()
    planned = {"lineage": state["lineage"], "serial": state["serial"]}
    planned[moved] = 0 if moved == "serial" else "01j00000000000000000000000"
    with pytest.raises(PlanStaleError) as caught:
        b.apply(make_plan(write("b", "2"), **planned))
    assert caught.value.details["state"] == [state["lineage"], state["serial"]]
    assert not (b.root / "out/b").exists()
    assert b.state() == state


def test_a_running_step_is_ended_when_nothing_can_be_recorded_any_more(b: Bench) -> None:
    slow = {"script": "touch out/begun\nsleep 4\ntouch out/ended\n", "write": ("out/x",)}
    quick = {"script": "until [ -e out/begun ]; do sleep 0.01; done\n"}
    document, bundle = b.bind(make_plan(Spec("slow", {"make": slow}), Spec("quick", {"make": quick})))
    writer: Any = Failing(b, 2, StoreIOError("the disk is gone"))
    with pytest.raises(StoreIOError):
        run_section(
            document, bundle, writer=writer, section=1, approval_id="", done=(), attempts={}, context=b.context()
        )
    assert (b.root / "out/begun").exists()
    assert not (b.root / "out/ended").exists()
