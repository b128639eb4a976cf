"""The power goes at every moment of a job's life, and every confirmed event is there afterwards.

The disk in memory gives all the states that may be found (`CrashFs.crash_states`): un-synced bytes cut anywhere or
zeroed by sector, un-synced names missing in any combination. With one kind of sync left out the same test must fail:
otherwise it would prove nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import ClockworkError, StoreCorruptError
from clockwork_nb.jobs import commands
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore
from clockwork_nb.testing import CrashFs, ManualClock

HOME = Path("/home/.clockwork")


class LostError(AssertionError):
    """A confirmed event is not there, or the store cannot be read."""


def store_on(disk: CrashFs) -> JobStore:
    return JobStore(HOME, tool_version="0.1.0", fs=disk, clock=ManualClock(), heartbeat=False)


class Trial:
    """A job on a disk that may lose power before every call that changes something."""

    def __init__(self, *, ignore: tuple[str, ...] = (), every_byte_of: str = "events.jsonl") -> None:
        self.acked: list[str] = []  # hashes, in order
        self.blobs: list[str] = []
        self.states = 0
        self.failure: str = ""
        self._every_byte_of = every_byte_of
        self.disk = CrashFs(ignore=ignore)
        self.disk.make_dir(Path("/home"), 0o700)
        for folder in ("/", "/home"):
            self.disk.sync_dir(Path(folder))
        self.disk.on_op = self._power_cut

    def _power_cut(self, operation: str) -> None:
        if self.failure:
            return
        acked, blobs = list(self.acked), list(self.blobs)
        for found in self.disk.crash_states(limit=600, seed=self.states, every_byte_of=self._every_byte_of):
            self.states += 1
            try:
                self._check(found, acked, blobs)
            except (LostError, ClockworkError) as error:
                self.failure = f"before {operation}: {error}"
                return

    def _check(self, found: CrashFs, acked: list[str], blobs: list[str]) -> None:
        store = store_on(found)
        if not acked:
            for job_id in store.ids():
                store.read(job_id)  # it is there as a whole, or not at all
            return
        if not store.exists("job_a"):
            raise LostError("the job is gone")
        view = store.read("job_a")
        _has_all(acked, [event.hash for event in view.events])
        for blob in blobs:
            store.blobs("job_a").get(blob)
        if store.state("job_a") != view.state:
            raise LostError("the quick state differs")
        if self.states % 9 == 0:  # become the owner, heal, go on
            with store.open("job_a") as job:
                job.append([Draft("cell.started", {"cell": "after", "index": 99})])
            again = store.read("job_a")
            _has_all(acked, [event.hash for event in again.events])
            if again.torn or "after" not in again.state.cells:
                raise LostError("the healed log is not whole")

    def live(self, appends: int = 12) -> None:
        """Create the job, append events one at a time with caches and blobs between them, and release it."""
        job = store_on(self.disk).create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
        self.acked += [event.hash for event in job.events()]
        for index in range(appends):
            if index % 4 == 1:
                self.blobs.append(job.put_blob(f"blob {index}".encode()))
            status = {0: "running", 4: "blocked_error", 8: "running"}.get(index)
            draft = Draft("cell.started", {"cell": f"c{index}", "index": index})
            (event,) = job.append([commands.move(job.state, status) if status else draft])
            self.acked.append(event.hash)
            assert job.state.seq == len(self.acked)  # the caches are written before this is answered
        job.close()


def _has_all(acked: list[str], found: list[str]) -> None:
    if found[: len(acked)] != acked:
        raise LostError(f"{len(acked)} events were confirmed, {len(found)} are there")


def test_every_confirmed_event_survives_a_power_cut_at_every_moment() -> None:
    trial = Trial()
    trial.live()
    assert trial.failure == ""
    assert trial.states > 3000


@pytest.mark.parametrize("left_out", ["sync_data", "sync", "sync_dir"])
def test_a_store_that_leaves_out_one_kind_of_sync_is_found_out(left_out: str) -> None:
    trial = Trial(ignore=(left_out,), every_byte_of="nothing")
    trial.live(appends=5)
    assert trial.failure != ""


def test_a_batch_of_records_is_recovered_or_refused_never_shortened_below_what_was_confirmed() -> None:
    disk = CrashFs()
    disk.make_dir(Path("/home"), 0o700)
    for folder in ("/", "/home"):
        disk.sync_dir(Path(folder))
    job = store_on(disk).create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
    acked = [event.hash for event in job.events()]
    outcomes = {"recovered": 0, "refused": 0}

    def cut(operation: str) -> None:
        if operation != "sync_data":
            return
        for found in disk.crash_states(every_byte_of="events.jsonl"):
            log = found.read(HOME / "jobs" / "job_a" / "events.jsonl")
            try:
                view = store_on(found).read("job_a")
            except StoreCorruptError as error:
                # Sectors of one write that arrived out of order look like damage in the middle: nothing is cut.
                assert error.details["reason"] == "midfile" and b"\x00" in log
                outcomes["refused"] += 1
                continue
            _has_all(acked, [event.hash for event in view.events])
            outcomes["recovered"] += 1

    disk.on_op = cut
    job.append([Draft("cell.started", {"cell": f"c{index}", "index": index}) for index in range(4)])
    disk.on_op = None
    job.close()
    assert outcomes["recovered"] > 1000
