"""The disk is full or broken: what was confirmed stays, nothing is tried again, and work goes on once the disk is well."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import ClockworkError, StoreFullError, StoreIOError
from clockwork_nb.fs import write_atomic
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.handle import JobHandle
from clockwork_nb.testing import CrashFs, Fault, FaultFs, FaultPlan, ManualClock

HOME = Path("/home")


class Disk:
    """A disk in memory behind a plan of failures."""

    def __init__(self) -> None:
        self.plan = FaultPlan()
        self.inner = CrashFs()
        self.fs = FaultFs(self.inner, self.plan)
        self.store = JobStore(HOME, tool_version="0.1.0", fs=self.fs, clock=ManualClock(), heartbeat=False)

    def job(self) -> JobHandle:
        return self.store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")


def cell(index: int) -> Draft:
    return Draft("cell.started", {"cell": f"c{index}", "index": index})


def confirmed(disk: Disk) -> list[str]:
    """Live through a whole job, as far as the disk allows; return the hashes of what was confirmed."""
    acked: list[str] = []
    try:
        job = disk.job()
    except StoreIOError:
        return acked
    try:
        acked += [event.hash for event in job.append([cell(0)])]
        job.put_blob(b"content")
        acked += [event.hash for event in job.append([Draft("job.status", {"from": "queued", "to": "running"})])]
        acked += [event.hash for event in job.append([cell(1), cell(2)])]
    except StoreIOError:
        with pytest.raises(StoreIOError):  # refused for ever, also if the disk were well again
            job.append([cell(9)])
        assert job.stop_requested() == "lost"
    finally:
        try:
            job.close()
        except StoreIOError:
            assert disk.plan.faults
    return acked


@pytest.mark.parametrize("times", [1, 1_000_000])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_failure_at_any_call_loses_nothing_that_was_confirmed(error: int, times: int) -> None:
    clean = Disk()
    confirmed(clean)
    total = clean.plan.operations
    assert total > 60
    step = 1 if times == 1 else 3
    for number in range(1, total + 1, step):
        disk = Disk()
        disk.plan.add(Fault("*", number, error, times=times))
        acked = confirmed(disk)
        disk.plan.clear()
        if not disk.store.exists("job_a"):
            assert not acked
            continue
        view = disk.store.read("job_a")
        assert set(acked) <= {event.hash for event in view.events}, number
        with disk.store.open("job_a") as job:
            job.append([cell(50)])
        assert disk.store.read("job_a").torn == 0


@pytest.mark.parametrize(
    ("error", "kind"), [(errno.ENOSPC, StoreFullError), (errno.EDQUOT, StoreFullError), (errno.EIO, StoreIOError)]
)
def test_the_error_says_full_or_broken(error: int, kind: type[ClockworkError]) -> None:
    disk = Disk()
    job = disk.job()
    disk.plan.add(Fault("write", error=error, name="events.jsonl"))
    with pytest.raises(kind) as caught:
        job.append([cell(1)])
    assert type(caught.value) is kind
    assert caught.value.exit_code == 10
    job.close()


@pytest.mark.parametrize("short", [0, 1, 100])
def test_a_write_that_takes_only_a_part_is_cut_off_again(short: int) -> None:
    disk = Disk()
    job = disk.job()
    before = disk.inner.read(HOME / "jobs" / "job_a" / "events.jsonl")
    disk.plan.add(Fault("write", error=errno.ENOSPC, name="events.jsonl", short=short, times=1))
    with pytest.raises(StoreFullError):
        job.append([cell(1)])
    assert disk.inner.read(HOME / "jobs" / "job_a" / "events.jsonl") == before
    assert len(job.events()) == 2
    job.close()


def test_a_failed_sync_is_never_tried_again_and_the_truth_is_read_from_the_disk() -> None:
    disk = Disk()
    job = disk.job()
    disk.plan.add(Fault("sync", name="events.jsonl", times=1))
    with pytest.raises(StoreIOError):
        job.append([cell(1)])
    syncs = disk.plan.operations
    with pytest.raises(StoreIOError, match="failed"):
        job.append([cell(2)])
    assert disk.plan.operations == syncs  # the disk was not even asked
    job.close()
    with disk.store.open("job_a") as again:
        assert [event.type for event in again.events()] == ["job.created", "lease.taken", "lease.taken"]


def test_a_torn_tail_is_kept_aside_and_recorded_when_the_disk_would_not_cut_it() -> None:
    disk = Disk()
    job = disk.job()
    disk.plan.add(
        Fault("write", error=errno.ENOSPC, name="events.jsonl", short=100),
        Fault("truncate", name="events.jsonl"),
    )
    with pytest.raises(StoreFullError):
        job.append([cell(1)])
    job.close()
    disk.plan.clear()
    assert disk.store.read("job_a").torn == 100
    with disk.store.open("job_a") as again:
        recovered = [event for event in again.events() if event.type == "log.recovered"]
        assert [event.payload["bytes"] for event in recovered] == [100]
        saved = disk.inner.read(again.folder / recovered[0].payload["saved"])
        assert len(saved) == 100
        again.append([cell(1)])
    assert disk.store.read("job_a").torn == 0


def test_a_control_event_heals_a_torn_tail_too() -> None:
    disk = Disk()
    with disk.job() as job:
        job.append([Draft("job.status", {"from": "queued", "to": "running"})])
        log = disk.inner.open_append(job.folder / "events.jsonl")
        disk.inner.write(log, b'{"half a record')
        disk.inner.close(log)
        disk.store.append_control("job_a", Draft("control.requested", {"action": "pause", "by": "a", "reason": ""}))
        assert [event.type for event in job.events()][-2:] == ["log.recovered", "control.requested"]
        job.append([cell(1)])


def test_the_owner_heals_a_tail_that_another_process_tore() -> None:
    disk = Disk()
    with disk.job() as job:
        log = disk.inner.open_append(job.folder / "events.jsonl")
        disk.inner.write(log, b'{"half a record')
        disk.inner.close(log)
        job.append([cell(1)])
        assert [event.type for event in job.events()][2:] == ["log.recovered", "cell.started"]
    assert disk.store.read("job_a").torn == 0


def test_a_blob_in_a_folder_that_somebody_else_made_just_now_survives_a_power_cut() -> None:
    disk = CrashFs()
    store = JobStore(HOME, tool_version="0.1.0", fs=disk, clock=ManualClock(), heartbeat=False)
    with store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a") as job:
        folder = job.blobs.path(sha256_hex(b"content")).parent
        disk.make_dir(folder, 0o700)  # and not synced yet
        digest = job.put_blob(b"content")
        for found in disk.crash_states():
            assert found.read(job.blobs.path(digest)) == b"content"


def test_an_atomic_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    from clockwork_nb.fs import REAL

    target = tmp_path / "file"
    write_atomic(target, b"old")
    for operation in ("create", "write", "sync", "rename"):
        broken = FaultFs(REAL, FaultPlan((Fault(operation, error=errno.ENOSPC),)))
        with pytest.raises(StoreFullError):
            write_atomic(target, b"new", fs=broken)
        assert target.read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_atomic(target, b"new" * 100_000, fs=FaultFs(REAL, FaultPlan((Fault("write", short=1, times=3),))))
    assert target.read_bytes() == b"new" * 100_000
