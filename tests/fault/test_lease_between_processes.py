"""Owners in different processes: killed, stopped, replaced, asked to stop. Real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clockwork_nb.errors import LeaseConflictError
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore, TakeOver

PRELUDE = """
import sys, time
from pathlib import Path
from clockwork_nb.ports import Draft
from clockwork_nb.errors import ClockworkError, LeaseLostError
from clockwork_nb.store.files import JobStore
from clockwork_nb.jobs import commands

store = JobStore(Path(sys.argv[1]), tool_version="0.1.0")

def say(*words):
    print(*words, flush=True)

def cell(index):
    return Draft("cell.started", {"cell": f"c{index}", "index": index})
"""


@contextmanager
def running(home: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Run *code* after the prelude in a process of its own; it is killed at the end, whatever its state."""
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    text = process.stdout.readline().strip()
    assert text, "the process ended"
    return text


def tell(process: subprocess.Popen[str], text: str = "go") -> None:
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


OWNER = """
job = store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
job.append([commands.move(job.state, "running")])
assert job.state.status == "running"  # answered when the caches are written: the append lock is free again
say("owns", job.epoch)
sys.stdin.readline()
try:
    job.append([cell(1)])
    say("wrote")
except ClockworkError as error:
    say(error.code, job.stop_requested())
sys.stdin.readline()
"""


def test_a_killed_owner_is_replaced_at_once(tmp_path: Path) -> None:
    store = JobStore(tmp_path, tool_version="0.1.0")
    with running(tmp_path, OWNER) as owner:
        assert line(owner) == "owns 1"
        with pytest.raises(LeaseConflictError) as caught:
            store.open("job_a")
        assert caught.value.details["pid"] == owner.pid
        assert store.summary("job_a").running
        owner.kill()
        owner.wait()
        with store.open("job_a") as job:  # no waiting for any timeout
            assert job.epoch == 2
            assert job.events()[-1].payload["takeover"] is False


def test_a_stopped_owner_is_replaced_only_on_demand_and_then_fenced_off(tmp_path: Path) -> None:
    store = JobStore(tmp_path, tool_version="0.1.0")
    with running(tmp_path, OWNER) as owner:
        assert line(owner) == "owns 1"
        owner.send_signal(signal.SIGSTOP)
        with pytest.raises(LeaseConflictError):
            store.open("job_a")
        with store.open("job_a", take_over=TakeOver("ann", "it hangs")) as job:
            assert job.epoch == 2
            assert job.events()[-1].payload["takeover"] is True
            owner.send_signal(signal.SIGCONT)
            tell(owner)
            assert line(owner) == "E_LEASE_LOST lost"
            job.append([Draft("cell.started", {"cell": "new", "index": 0})])
        assert set(store.read("job_a").state.cells) == {"new"}


def test_a_control_event_of_another_process_stops_the_run(tmp_path: Path) -> None:
    code = """
    job = store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
    job.append([commands.move(job.state, "running")])
    say("ready")
    looks = 0
    while not job.stop_requested():
        looks += 1
        time.sleep(0.01)
    say(job.stop_requested(), looks)
    job.append([commands.move(job.state, "paused")])
    job.close()
    say("closed")
    """
    store = JobStore(tmp_path, tool_version="0.1.0")
    with running(tmp_path, code) as owner:
        assert line(owner) == "ready"
        store.append_control("job_a", Draft("control.requested", {"action": "pause", "by": "ann", "reason": "tea"}))
        assert line(owner).startswith("pause ")
        assert line(owner) == "closed"
    assert [event.type for event in store.read("job_a").events][3:] == [
        "control.requested",
        "job.status",
        "lease.released",
    ]


@pytest.mark.parametrize("round_", range(8))
def test_a_writer_killed_at_any_time_leaves_every_confirmed_event(tmp_path: Path, round_: int) -> None:
    code = """
    job = store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
    say(2)
    for index in range(100_000):
        if index % 10 == 0:
            job.put_blob(str(index).encode())
        say(job.append([cell(index), cell(index)])[-1].seq)
    """
    with running(tmp_path, code) as writer:
        assert writer.stdout is not None
        confirmed = int(line(writer))
        for _ in range(7 * round_ + 3):
            confirmed = int(line(writer))
        writer.kill()
        rest = writer.stdout.read().split("\n")
        confirmed = max([confirmed, *(int(text) for text in rest[:-1] if text)])
    store = JobStore(tmp_path, tool_version="0.1.0")
    assert store.read("job_a").state.seq >= confirmed
    with store.open("job_a") as job:
        job.append([Draft("cell.started", {"cell": "after", "index": 0})])
    assert store.read("job_a").torn == 0


def test_owners_that_race_for_a_job_get_it_one_at_a_time(tmp_path: Path) -> None:
    JobStore(tmp_path, tool_version="0.1.0").create(
        name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a"
    ).close()
    code = """
    wins = 0
    say("ready")
    sys.stdin.readline()
    while wins < 5:
        try:
            job = store.open("job_a")
        except ClockworkError as error:
            assert error.code == "E_LEASE_CONFLICT", error
            time.sleep(0.001)
            continue
        job.append([cell(wins)])
        job.close()
        wins += 1
        time.sleep(0.002)
    say("won", wins)
    """
    with running(tmp_path, code) as first, running(tmp_path, code) as second, running(tmp_path, code) as third:
        racers = (first, second, third)
        for racer in racers:
            assert line(racer) == "ready"
        for racer in racers:
            tell(racer)
        for racer in racers:
            assert line(racer) == "won 5"
    view = JobStore(tmp_path, tool_version="0.1.0").read("job_a")
    epochs = [event.epoch for event in view.events]
    assert epochs == sorted(epochs)
    assert view.state.epoch == 16
    writers = {(event.epoch, event.payload["runner_id"]) for event in view.events if event.type == "lease.taken"}
    assert len(writers) == 16


SERVER = """
from clockwork_nb.store.remote import JobServer
job = store.create(name="n", adapter="notebook", lineage="", spec={}, job_id="job_a")
job.append([commands.move(job.state, "running")])
server = JobServer(job, Path(sys.argv[1]) / "s")
say("serves")
sys.stdin.readline()
server.close()
job.close()
say("closed")
"""


def test_the_other_end_of_the_socket_writes_as_if_it_owned_the_job(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from clockwork_nb.errors import InvalidInputError, InvalidTransitionError, LeaseLostError, StoreCorruptError
    from clockwork_nb.store.remote import RemoteJob

    store = JobStore(tmp_path, tool_version="0.1.0")
    with running(tmp_path, SERVER) as engine:
        assert line(engine) == "serves"
        with RemoteJob(tmp_path / "s") as job:
            assert (job.job_id, job.epoch, job.state.status) == ("job_a", 1, "running")
            assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
            blob = job.put_blob(b"\x00binary" * 100_000)
            assert job.get_blob(blob) == b"\x00binary" * 100_000
            with ThreadPoolExecutor(8) as pool:
                written = list(pool.map(lambda i: job.append([cell(i)])[0], range(100)))
            assert sorted(event.seq for event in written) == list(range(4, 104))
            assert job.events() == store.read("job_a").events
            assert job.state == store.read("job_a").state
            with pytest.raises(InvalidInputError, match="unknown key"):
                job.append([Draft("cell.started", {"cell": "x", "index": 0, "more": 1})])
            with pytest.raises(InvalidTransitionError, match="cannot follow"):
                job.append([Draft("cell.completed", {"cell": "never", "index": 0, "duration_ms": 1})])
            with pytest.raises(InvalidInputError, match="JSON"):
                job.append([Draft("cell.started", {"cell": object(), "index": 0})])
            with pytest.raises(StoreCorruptError, match="missing"):
                job.get_blob("0" * 64)
            assert job.append([]) == []
            store.append_control("job_a", Draft("control.requested", {"action": "cancel", "by": "a", "reason": ""}))
            until(lambda: job.stop_requested() == "cancel")
            assert job.events()[-1].type == "control.requested"
            tell(engine)
            assert line(engine) == "closed"
            until(lambda: job.stop_requested() == "lost")
            with pytest.raises(LeaseLostError):
                job.append([cell(1)])
        assert not (tmp_path / "s").exists()


def cell(index: int) -> Draft:
    return Draft("cell.started", {"cell": f"c{index}", "index": index})


def test_a_killed_engine_is_noticed_by_the_kernel(tmp_path: Path) -> None:
    from clockwork_nb.errors import LeaseLostError
    from clockwork_nb.store.remote import RemoteJob

    with running(tmp_path, SERVER) as engine:
        assert line(engine) == "serves"
        job = RemoteJob(tmp_path / "s")
        job.append([cell(1)])
        assert job.stop_requested() == ""
        os.kill(engine.pid, signal.SIGKILL)
        engine.wait()
        until(lambda: job.stop_requested() == "lost")
        for attempt in (lambda: job.append([cell(2)]), lambda: job.put_blob(b"x"), lambda: job.events()):
            with pytest.raises(LeaseLostError) as caught:
                attempt()
            assert caught.value.exit_code == 7
        job.close()
        with pytest.raises(LeaseLostError, match="does not answer"):
            RemoteJob(tmp_path / "s")
    store = JobStore(tmp_path, tool_version="0.1.0")
    with store.open("job_a") as again:
        assert again.state.cells == {"c1": "started"}
