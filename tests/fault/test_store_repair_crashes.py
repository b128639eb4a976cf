"""A crash anywhere in a repair or a prune: the damaged log or the repaired one, never a third thing, nothing silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import ClockworkError, StoreIOError
from clockwork_nb.jobs.commands import move
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.prune import choose_jobs, remove_jobs, sweep_store
from clockwork_nb.store.reading import JobReader
from clockwork_nb.store.repair import plan_repair, repair_job
from clockwork_nb.testing import CrashFs, Fault, FaultFs, FaultPlan, ManualClock

HOME = Path("/home")
FOLDER = HOME / "jobs" / "job_a"
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def store_on(disk: CrashFs) -> JobStore:
    return JobStore(HOME, tool_version="0.1.0", fs=disk, clock=ManualClock(), heartbeat=False)


def settled(disk: CrashFs) -> CrashFs:
    """Return the same disk with everything on the platter."""
    (state,) = list(disk.crash_states(limit=1))[:1]
    return state


def overwrite(disk: CrashFs, path: Path, data: bytes) -> None:
    handle = disk.open_append(path)
    disk.truncate(handle, 0)
    disk.write(handle, data)
    disk.sync(handle)
    disk.close(handle)


def damaged_disk(kind: str) -> CrashFs:
    disk = CrashFs()
    disk.make_dir(HOME, 0o700)
    disk.sync_dir(Path("/"))
    with store_on(disk).create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a") as job:
        for index in range(4):
            job.append([Draft("cell.started", {"cell": f"c{index}", "index": index})])
    log = disk.read(FOLDER / "events.jsonl")
    if kind == "midfile":
        overwrite(disk, FOLDER / "events.jsonl", log.replace(b'"cell":"c1"', b'"cell":"cX"'))
    elif kind == "acked_lost":
        overwrite(disk, FOLDER / "events.jsonl", log[: log.rindex(b"\n", 0, -1) + 1])
    else:
        disk.unlink(FOLDER / "lease.json")
        disk.sync_dir(FOLDER)
    return settled(disk)


def repaired(disk: CrashFs) -> None:
    store = store_on(disk)
    plan = plan_repair(store, "job_a", to_last_valid=plan_needs_a_place(store, disk), fs=disk)
    repair_job(store, plan, reason="test", tool_version="0.1.0", fs=disk, clock=ManualClock())


def plan_needs_a_place(store: JobReader, disk: CrashFs) -> bool:
    return disk.stat(FOLDER / "lease.json") is not None


@pytest.mark.parametrize("kind", ["midfile", "acked_lost", "lease"])
def test_a_crash_anywhere_in_a_repair_leaves_the_damaged_log_or_the_repaired_one(kind: str) -> None:
    disk = damaged_disk(kind)
    before = disk.read(FOLDER / "events.jsonl")
    kept = before[: before.index(b'"cell":"cX"')] if kind == "midfile" else before
    kept = kept[: kept.rfind(b"\n") + 1]
    states = {"damaged": 0, "between": 0, "repaired": 0}
    failures: list[str] = []

    def look(found: CrashFs) -> str:
        log = found.read(FOLDER / "events.jsonl")
        copies = [name for name in found.list_dir(FOLDER) if name.startswith("events.jsonl.broken-")]
        if log == before:
            with pytest.raises(ClockworkError) as caught:  # still refused, as before
                store_on(found).read("job_a")
            assert caught.value.code == "E_STORE_CORRUPT"
            return "damaged"
        assert log.startswith(kept) and b"job.tainted" in log, "cut without the record that tells of it"
        if kind != "lease":
            assert [found.read(FOLDER / name) for name in copies] == [before], "cut without a copy"
        try:
            view = store_on(found).read("job_a")
        except ClockworkError as error:
            assert error.code == "E_STORE_CORRUPT"
            repaired(found)  # the same command again ends it
            view = store_on(found).read("job_a")
            assert view.state.tainted
            return "between"
        assert view.state.tainted
        with store_on(found).open("job_a") as job:
            assert job.epoch > 2 - (kind == "lease")
            job.append([Draft("cell.started", {"cell": "after", "index": 9})])
        return "repaired"

    def cut(operation: str) -> None:
        for found in disk.crash_states(limit=2_000, every_byte_of="events.jsonl"):
            try:
                states[look(found)] += 1
            except AssertionError as error:
                failures.append(f"before {operation}: {error}")
                return

    disk.on_op = cut
    repaired(disk)
    disk.on_op = None
    states[look(settled(disk))] += 1
    assert failures == []
    assert min(states["damaged"], states["repaired"]) > 0 and sum(states.values()) > 500
    print(f"repair of {kind}: {sum(states.values())} crash states {states}")


@pytest.mark.parametrize("kind", ["midfile", "lease"])
def test_a_disk_that_fails_at_any_call_of_a_repair_leaves_a_job_that_can_be_repaired_again(kind: str) -> None:
    clean = FaultPlan()
    disk = FaultFs(damaged_disk(kind), clean)
    run_repair(disk)
    assert clean.operations > 15
    for number in range(1, clean.operations + 1):
        inner = damaged_disk(kind)
        before = inner.read(FOLDER / "events.jsonl")
        disk = FaultFs(inner, FaultPlan((Fault("*", number, times=1_000_000),)))
        try:
            run_repair(disk)
        except StoreIOError:
            pass
        log = inner.read(FOLDER / "events.jsonl")
        assert log == before or b"job.tainted" in log
        try:
            assert store_on(inner).read("job_a").state.tainted
        except ClockworkError as error:
            assert error.code == "E_STORE_CORRUPT"
            repaired(inner)
            assert store_on(inner).read("job_a").state.tainted


def run_repair(disk: FaultFs) -> None:
    store = JobStore(HOME, tool_version="0.1.0", fs=disk, clock=ManualClock(), heartbeat=False)
    plan = plan_repair(store, "job_a", to_last_valid=disk.stat(FOLDER / "lease.json") is not None, fs=disk)
    repair_job(store, plan, reason="test", tool_version="0.1.0", fs=disk, clock=ManualClock())


# --- prune ---------------------------------------------------------------------------------------------------------


def disk_with_old_jobs() -> CrashFs:
    disk = CrashFs()
    disk.make_dir(HOME, 0o700)
    disk.sync_dir(Path("/"))
    for job_id in ("job_a", "job_b"):
        with store_on(disk).create(name="n", adapter="pipeline", lineage="", spec={}, job_id=job_id) as job:
            job.put_blob(b"evidence")
            job.append([move(job.state, "running")])
            job.append([move(job.state, "completed")])
            job.append([Draft("job.finished", {"status": "completed", "reason_codes": []})])
            state = job.state
        line = canonical_json({"count": state.seq, "head": state.hash, "manifest": "0" * 64}) + b"\n"
        handle = disk.create(HOME / "jobs" / job_id / "exports.jsonl", 0o600)
        disk.write(handle, line)
        disk.sync(handle)
        disk.close(handle)
        disk.sync_dir(HOME / "jobs" / job_id)
    return settled(disk)


def pruned(disk: CrashFs) -> None:
    store = store_on(disk)
    sweep_store(store, fs=disk, clock=ManualClock())
    entries = choose_jobs(store, max_age=timedelta(days=1), now=LATER, fs=disk)
    remove_jobs(store, entries, why="test", fs=disk, clock=ManualClock())


def tombstones(disk: CrashFs) -> list[bytes]:
    path = HOME / "pruned.jsonl"
    return disk.read(path).splitlines() if disk.stat(path) else []


def test_a_crash_anywhere_in_a_prune_leaves_a_whole_job_or_none() -> None:
    disk = disk_with_old_jobs()
    heads = {job_id: store_on(disk).read(job_id).state.hash for job_id in ("job_a", "job_b")}
    states = 0
    failures: list[str] = []

    def look(found: CrashFs) -> None:
        store = store_on(found)
        for job_id in store.ids():
            view = store.read(job_id)  # whole, or it would not be there
            assert view.state.hash == heads[job_id]
            assert store.blobs(job_id).names()
        pruned(found)  # the next prune ends what this one began
        assert found.list_dir(HOME / "jobs") == []
        told = b"\n".join(tombstones(found))
        assert all(head.encode() in told for head in heads.values()), "a job went without a tombstone"

    def cut(operation: str) -> None:
        nonlocal states
        for found in disk.crash_states(limit=60, seed=states):
            states += 1
            try:
                look(found)
            except (AssertionError, ClockworkError, OSError) as error:
                failures.append(f"before {operation}: {error!r}")
                return

    disk.on_op = cut
    pruned(disk)
    disk.on_op = None
    assert failures == []
    assert states > 200
    assert len(tombstones(disk)) == 2
    print(f"prune: {states} crash states")


def test_what_nobody_finished_making_is_swept_by_the_next_owner() -> None:
    """A job whose making was cut off leaves a folder that is no job; opening another job removes it."""
    disk = CrashFs()
    disk.make_dir(HOME, 0o700)
    disk.sync_dir(Path("/"))
    store_on(disk).create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a").close()
    plan = FaultPlan((Fault("rename", name="jobs/job_b"),))
    broken = JobStore(HOME, tool_version="0.1.0", fs=FaultFs(disk, plan), clock=ManualClock(), heartbeat=False)
    with pytest.raises(StoreIOError):
        broken.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_b")
    assert [name[:11] for name in disk.list_dir(HOME / "jobs") if name.startswith(".")] == [".new-job_b-"]
    store_on(disk).open("job_a").close()
    assert disk.list_dir(HOME / "jobs") == ["job_a"]
