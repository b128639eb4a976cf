"""An owner that cannot renew its lease gives the job up by itself: a disk that hangs or refuses, a machine that slept."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.errors import LeaseLostError, StateLockedError
from clockwork_nb.forge.launch import Launcher
from clockwork_nb.forge.runner import run_section
from clockwork_nb.fs import REAL, RealFileSystem
from clockwork_nb.ports import Draft, EventView
from clockwork_nb.store.files import JobStore, TakeOver
from clockwork_nb.store.handle import JobHandle
from clockwork_nb.store.lease import read_lease
from clockwork_nb.store.lock import FileLock
from clockwork_nb.testing import Fault, FaultFs, FaultPlan, ManualClock
from tests.unit.forge.section_kit import Spec, bench, make_plan, write


class HangingFs(RealFileSystem):
    """A disk that stops answering when it is told to: whatever is to be made durable waits."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()

    def sync(self, handle: int, *, data_only: bool = False) -> None:
        self.answers.wait(60)
        super().sync(handle, data_only=data_only)


def cell(index: int) -> Draft:
    return Draft("cell.started", {"cell": f"c{index}", "index": index})


def make(store: JobStore) -> JobHandle:
    return store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")


def until_lost(job: JobHandle) -> None:
    deadline = time.monotonic() + 20
    while job.stop_requested() != "lost":
        assert time.monotonic() < deadline, "it still calls the job its own"
        time.sleep(0.01)


@pytest.fixture
def disk() -> Iterator[HangingFs]:
    fs = HangingFs()
    yield fs
    fs.answers.set()


def test_an_owner_whose_disk_hangs_stops_and_lets_go_of_everybody_who_waits(tmp_path: Path, disk: HangingFs) -> None:
    job = make(JobStore(tmp_path, tool_version="t", fs=disk, ttl_ms=400))
    disk.answers.clear()
    errors: list[BaseException] = []

    def append() -> None:
        try:
            job.append([cell(1)])
        except LeaseLostError as error:
            errors.append(error)

    waiting = threading.Thread(target=append)
    waiting.start()
    until_lost(job)
    waiting.join(20)
    assert [type(error) for error in errors] == [LeaseLostError]
    assert "could not be renewed for 0.2 s" in str(errors[0])
    for attempt in (lambda: job.append([cell(2)]), lambda: job.put_blob(b"x"), lambda: job.state):
        with pytest.raises(LeaseLostError):
            attempt()
    threading.Timer(0.5, disk.answers.set).start()
    job.close()
    # Whoever comes next finds the log in order; of what nobody was told, it may hold the one that was on its way.
    with JobStore(tmp_path, tool_version="t").open("job_a") as again:
        assert set(again.state.cells) <= {"c1"}
        assert again.epoch == 2


def test_an_append_that_hangs_is_given_up_even_when_nobody_else_asks(tmp_path: Path, disk: HangingFs) -> None:
    job = make(JobStore(tmp_path, tool_version="t", fs=disk, ttl_ms=400))
    disk.answers.clear()
    with pytest.raises(LeaseLostError, match="could not be renewed"):
        job.append([cell(1)])
    assert job.stop_requested() == "lost"
    disk.answers.set()
    job.close()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_one_heartbeat_that_fails_is_no_harm_and_half_a_ttl_of_them_is_the_end(tmp_path: Path, error: int) -> None:
    plan = FaultPlan()
    clock = ManualClock()
    job = make(JobStore(tmp_path, tool_version="t", fs=FaultFs(REAL, plan), clock=clock, heartbeat=False))
    path = job.folder / "lease.json"
    plan.add(Fault("rename", error=error, name="lease.json", times=1))
    job._call(job._beat)
    assert read_lease(path).beat == 0
    job._call(job._beat)
    assert (read_lease(path).beat, job.stop_requested()) == (1, "")
    plan.add(Fault("rename", error=error, name="lease.json"))
    clock.advance(15)
    assert job.stop_requested() == ""  # half a ttl is not over yet
    clock.advance(0.1)
    assert job.stop_requested() == "lost"
    plan.clear()
    with pytest.raises(LeaseLostError, match=r"could not be renewed for 15 s: (no space|writing)"):
        job.append([cell(1)])
    assert read_lease(path).beat == 1  # for good, also when the disk is well again
    job.close()
    with JobStore(tmp_path, tool_version="t").open("job_a") as again:
        assert again.state.cells == {}


def test_a_machine_that_slept_proves_the_job_its_own_before_it_goes_on(tmp_path: Path) -> None:
    clock = ManualClock()
    store = JobStore(tmp_path, tool_version="t", clock=clock, heartbeat=False)
    job = make(store)
    clock.advance(8 * 3600)
    assert job.stop_requested() == ""
    assert read_lease(job.folder / "lease.json").beat == 1
    clock.advance(8 * 3600)
    with JobStore(tmp_path, tool_version="t").open("job_a", take_over=TakeOver("ann", "it slept")) as new:
        beat = read_lease(new.folder / "lease.json").beat
        assert job.stop_requested() == "lost"
        with pytest.raises(LeaseLostError, match="taken over by"):
            job.append([cell(1)])
        assert read_lease(new.folder / "lease.json").beat == beat
        job.close()


def test_a_lock_that_somebody_keeps_is_as_good_as_no_disk(tmp_path: Path) -> None:
    job = make(JobStore(tmp_path, tool_version="t", ttl_ms=400))
    other = FileLock(job.folder / "append.lock")
    while not other.try_acquire():
        time.sleep(0.001)
    try:
        until_lost(job)
    finally:
        other.release()
    job.close()


def test_an_owner_that_gave_up_leaves_the_job_to_be_taken_at_once(tmp_path: Path, disk: HangingFs) -> None:
    store = JobStore(tmp_path, tool_version="t", fs=disk, ttl_ms=400)
    job = make(store)
    disk.answers.clear()
    until_lost(job)
    disk.answers.set()
    job.close()
    assert read_lease(job.folder / "lease.json").state == "held"  # by a process that lives, and let go of the lock
    with JobStore(tmp_path, tool_version="t").open("job_a") as again:
        assert again.epoch == 2


@pytest.mark.parametrize("last", [False, True], ids=["between-steps", "after-the-last"])
def test_a_run_that_finds_its_job_taken_leaves_the_state_alone(tmp_path: Path, last: bool) -> None:
    with bench(tmp_path) as b:
        document, bundle = b.bind(make_plan(write("first", "1"), write("second", "2")))
        kept: list[bytes] = []

        def take(event: EventView) -> None:
            if event.type == "step.completed" and (event.payload["step_id"] == "thing.first:make") != last:
                kept.append((b.workspace / "state.json").read_bytes())
                b.store.open(b.job.job_id, take_over=TakeOver("ann", "a drill")).close()
                time.sleep(0.4)  # more than a look at the log and a write of the state are apart

        with contextlib.suppress(LeaseLostError):
            result = run_section(
                document, bundle, writer=b.job, section=1, approval_id="", done=(), attempts={},
                context=b.context(parallelism=1), on_event=take,
            )  # fmt: skip
            assert isinstance(result.error, LeaseLostError)
        assert (b.workspace / "state.json").read_bytes() == kept[0]
        assert len(kept) == 1
        assert (b.root / "out/second").exists() == last


def test_a_run_whose_disk_hangs_kills_its_step_and_ends(tmp_path: Path, disk: HangingFs) -> None:
    with bench(tmp_path) as b:
        launcher, root = b.launcher, b.root
        assert isinstance(launcher, Launcher)
        b.job.close()
        b.store = JobStore(b.home, tool_version="t", fs=disk, ttl_ms=900)
        b.job = b.store.open(b.job.job_id)
        step = {"script": "touch out/begun\nsleep 60\ntouch out/ended\n", "write": ("out/x",)}
        later = {"script": "touch out/later\n", "write": ("out/x",)}
        plan = make_plan(Spec("slow", {"make": step}), Spec("later", {"make": later}, needs=("slow",)))
        document, bundle = b.bind(plan)

        def hang() -> None:
            deadline = time.monotonic() + 30
            while not (root / "out/begun").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            disk.answers.clear()

        thread = threading.Thread(target=hang)
        thread.start()
        context = b.context(on_lost=lambda: launcher.hurry(0.5))
        began = time.monotonic()
        with pytest.raises((LeaseLostError, StateLockedError)):
            run_section(
                document, bundle, writer=b.job, section=1, approval_id="", done=(), attempts={}, context=context
            )
        assert time.monotonic() - began < 45  # not the 60 seconds of the step
        thread.join()
        assert launcher.stats()["running"] == 0
        assert (root / "out/begun").exists()
        assert not (root / "out/ended").exists()
        assert not (root / "out/later").exists()
        disk.answers.set()
