"""Repairing a job: only what is damaged, only where a record ends, nothing lost without a copy, tainted for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import ClockworkError, InvalidInputError, LeaseConflictError, StoreCorruptError
from clockwork_nb.ports import Draft
from clockwork_nb.store.check import check_store
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.lease import read_lease
from clockwork_nb.store.repair import Repair, plan_repair, repair_job
from clockwork_nb.testing import ManualClock
from tests.conformance.store.folders import Log, folder_of, lease_of, log_of, snapshot_of


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def store_at(home: Path) -> JobStore:
    return JobStore(home, tool_version="0.1.0", clock=ManualClock(), heartbeat=False)


def cut_up(log: Log, index: int) -> bytes:
    return b"".join([*log.lines[:index], log.lines[index].replace(b'"cell":"c', b'"cell":"X'), *log.lines[index + 1 :]])


def repair(
    store: JobStore, *, truncate_at: int | None = None, to_last_valid: bool = False, reason: str = "test"
) -> Repair:
    plan = plan_repair(store, "job_a", truncate_at=truncate_at, to_last_valid=to_last_valid)
    return repair_job(store, plan, reason=reason, tool_version="0.1.0", clock=ManualClock())


def test_a_damaged_log_is_cut_copied_and_tainted(home: Path, tmp_path: Path) -> None:
    log = log_of(8)
    damaged = cut_up(log, 5)
    folder = folder_of(log, tmp_path).having(events_jsonl=damaged).write(home)
    store = store_at(home)
    valid = len(b"".join(log.lines[:5]))
    plan = plan_repair(store, "job_a", to_last_valid=True)
    assert (plan.kind, plan.offset, plan.kept, plan.reason, plan.taints) == ("cut", valid, 5, "midfile", True)
    assert (plan.loss.bytes, plan.loss.events, plan.loss.types) == (len(damaged) - valid, 2, {"cell.started": 2})
    done = repair_job(store, plan, reason="bad sector", tool_version="0.1.0", clock=ManualClock())
    assert (folder / done.saved).read_bytes() == damaged
    assert (folder / "events.jsonl").read_bytes().startswith(b"".join(log.lines[:5]))
    view = store.read("job_a")
    assert [event.type for event in view.events[5:]] == ["lease.taken", "job.tainted", "lease.released"]
    assert view.events[6].payload == {"reason": "cut after record 5 (midfile): bad sector", "offset": valid}
    assert view.state.tainted and view.state.lease is None
    assert store.state("job_a") == view.state and store.summary("job_a").tainted
    lease = read_lease(folder / "lease.json")
    assert (lease.state, lease.epoch, lease.watermark.seq) == ("free", 2, 8)
    with store.open("job_a") as job:
        job.append([Draft("cell.started", {"cell": "after", "index": 1})])
        assert (job.epoch, job.state.tainted) == (3, True)
    assert [finding.severity for finding in check_store(store, "job_a").findings] == ["note"]


def test_the_offset_has_to_be_the_end_of_a_valid_record(home: Path, tmp_path: Path) -> None:
    log = log_of(6)
    folder_of(log, tmp_path).having(events_jsonl=cut_up(log, 4)).write(home)
    store = store_at(home)
    ends = [len(b"".join(log.lines[:count])) for count in range(7)]
    for offset in (1, ends[2] - 1, ends[2] + 1, ends[5], ends[6], 10**9):
        nearest = max(end for end in ends[:5] if end <= offset)
        with pytest.raises(InvalidInputError, match="no valid record ends") as caught:
            plan_repair(store, "job_a", truncate_at=offset)
        assert caught.value.details["nearest"] == nearest
    with pytest.raises(InvalidInputError, match="no valid record ends"):
        plan_repair(store, "job_a", truncate_at=0)
    assert repair(store, truncate_at=ends[2]).plan.kept == 2
    assert store.read("job_a").state.seq == 5


def test_a_job_without_one_valid_record_cannot_be_cut(home: Path, tmp_path: Path) -> None:
    log = log_of(3)
    folder_of(log, tmp_path).having(events_jsonl=b"{}\n" + log.data).write(home)
    with pytest.raises(InvalidInputError, match="not one record"):
        plan_repair(store_at(home), "job_a", to_last_valid=True)


def test_lost_records_are_told_by_type_time_and_step(home: Path, tmp_path: Path) -> None:
    log = log_of(4)
    damaged = log.data + b"not a record\n"
    steps = {"section": 1, "step_id": "file.a:write", "attempt": 1, "exit_code": 0, "duration_ms": 1, "note": ""}
    damaged += log.record("step.completed", steps)[1]
    folder_of(log, tmp_path).having(events_jsonl=damaged).write(home)
    loss = plan_repair(store_at(home), "job_a", to_last_valid=True).loss
    assert loss.completed_steps == ("file.a:write",)
    assert (loss.events, loss.last_at) == (1, "2026-11-22T01:02:03.000004Z")


def test_a_log_that_lost_confirmed_records_is_accepted_as_it_is_and_tainted(home: Path, tmp_path: Path) -> None:
    log = log_of(6)
    folder_of(log, tmp_path).having(events_jsonl=b"".join(log.lines[:4])).write(home)
    store = store_at(home)
    done = repair(store, to_last_valid=True)
    assert (done.plan.reason, done.plan.kept, done.plan.loss.bytes) == ("acked_lost", 4, 0)
    assert store.read("job_a").state.tainted


@pytest.mark.parametrize("lost", ["missing", "damaged", "of another job", "older"])
def test_a_lost_lease_is_made_anew_and_taints_because_nobody_knows_what_was_confirmed(
    home: Path, tmp_path: Path, lost: str
) -> None:
    log = log_of(5)
    log.add("lease.released", {"runner_id": log.events[1].payload["runner_id"], "outcome": "done"})
    log.add("lease.taken", log.events[1].payload, epoch=4)
    data = {
        "missing": None,
        "damaged": b"{}",
        "of another job": lease_of(log, tmp_path, job_id="job_b"),
        "older": lease_of(log, tmp_path, epoch=2),
    }[lost]
    folder = folder_of(log, tmp_path, epoch=4).having(lease_json=data).write(home)
    store = store_at(home)
    plan = plan_repair(store, "job_a")
    assert (plan.kind, plan.taints, plan.loss.bytes) == ("lease", True, 0)
    with pytest.raises(InvalidInputError, match="nothing to cut"):
        plan_repair(store, "job_a", to_last_valid=True)
    repair(store)
    assert store.read("job_a").state.tainted
    assert read_lease(folder / "lease.json").epoch == 5
    assert check_store(store, "job_a").findings == []


def test_a_wrong_snapshot_is_made_anew_without_a_taint(home: Path, tmp_path: Path) -> None:
    log = log_of(5)
    folder_of(log, tmp_path).having(snapshot_json=snapshot_of(log, tmp_path, name="forged")).write(home)
    store = store_at(home)
    before = (store.folder("job_a") / "events.jsonl").read_bytes()
    done = repair(store)
    assert (done.plan.kind, done.tainted, done.saved) == ("cache", False, "")
    assert (store.folder("job_a") / "events.jsonl").read_bytes() == before
    assert check_store(store, "job_a").findings == []
    assert store.state("job_a").name == "a job"


def test_a_whole_job_and_a_torn_tail_are_not_repaired(home: Path, tmp_path: Path) -> None:
    log = log_of(5)
    folder = folder_of(log, tmp_path).write(home)
    store = store_at(home)
    with pytest.raises(InvalidInputError, match="not damaged"):
        plan_repair(store, "job_a", to_last_valid=True)
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"half')
    with pytest.raises(InvalidInputError, match="not damaged"):
        plan_repair(store, "job_a")


def test_a_damaged_log_is_not_cut_before_a_place_was_chosen(home: Path, tmp_path: Path) -> None:
    log = log_of(5)
    folder_of(log, tmp_path).having(events_jsonl=cut_up(log, 3)).write(home)
    with pytest.raises(InvalidInputError, match="where shall it end") as caught:
        plan_repair(store_at(home), "job_a")
    assert "--to-last-valid" in caught.value.hint


@pytest.mark.parametrize("name", ["job.json", "events.jsonl"])
def test_what_no_cut_can_bring_back_is_refused(home: Path, tmp_path: Path, name: str) -> None:
    folder = folder_of(log_of(5), tmp_path).write(home)
    (folder / name).write_bytes(b"{}") if name == "job.json" else (folder / name).unlink()
    with pytest.raises(StoreCorruptError):
        plan_repair(store_at(home), "job_a", to_last_valid=True)


def test_a_job_that_somebody_owns_is_not_repaired(home: Path) -> None:
    store = store_at(home)
    with store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a") as job:
        log = job.folder / "events.jsonl"
        content = log.read_bytes()
        log.write_bytes(content + b"{}\n")
        plan = plan_repair(store, "job_a", to_last_valid=True)
        with pytest.raises(LeaseConflictError):
            repair_job(store, plan, reason="x", tool_version="0.1.0")
        assert log.read_bytes() == content + b"{}\n"
        log.write_bytes(content)


def test_a_log_that_changed_since_it_was_looked_at_is_not_cut(home: Path, tmp_path: Path) -> None:
    log = log_of(5)
    folder = folder_of(log, tmp_path).having(events_jsonl=cut_up(log, 3)).write(home)
    store = store_at(home)
    plan = plan_repair(store, "job_a", to_last_valid=True)
    (folder / "events.jsonl").write_bytes(cut_up(log, 2))
    with pytest.raises(InvalidInputError, match="changed meanwhile"):
        repair_job(store, plan, reason="x", tool_version="0.1.0")
    assert (folder / "events.jsonl").read_bytes() == cut_up(log, 2)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2_001, "ä" * 1_001, "\udcff"])
def test_a_repair_needs_a_reason(home: Path, tmp_path: Path, reason: str) -> None:
    log = log_of(5)
    folder_of(log, tmp_path).having(events_jsonl=cut_up(log, 3)).write(home)
    before = (store_at(home).folder("job_a") / "events.jsonl").read_bytes()
    with pytest.raises(InvalidInputError, match="reason"):
        repair(store_at(home), to_last_valid=True, reason=reason)
    assert (store_at(home).folder("job_a") / "events.jsonl").read_bytes() == before


def test_a_stale_owner_of_a_cut_epoch_can_never_write_again(home: Path, tmp_path: Path) -> None:
    """The new epoch is above every one that was ever seen, also in records that are cut."""
    log = log_of(4)
    log.add("lease.released", {"runner_id": log.events[1].payload["runner_id"], "outcome": "done"})
    log.add("lease.taken", log.events[1].payload, epoch=9)
    folder_of(log, tmp_path, epoch=1).having(events_jsonl=cut_up(log, 3)).write(home)
    assert repair(store_at(home), to_last_valid=True).epoch == 10


def test_two_repairs_within_one_tick_keep_both_copies(home: Path, tmp_path: Path) -> None:
    log = log_of(5)
    folder = folder_of(log, tmp_path).having(events_jsonl=cut_up(log, 4)).write(home)
    store = store_at(home)
    first = repair(store, to_last_valid=True)
    (folder / "events.jsonl").write_bytes((folder / "events.jsonl").read_bytes() + b"{}\n")
    second = repair(store, to_last_valid=True)
    assert first.saved != second.saved
    assert (folder / first.saved).read_bytes() == cut_up(log, 4)
    assert store.read("job_a").events[-2].type == "job.tainted"


def test_a_repaired_job_says_so_in_its_pack(home: Path, tmp_path: Path) -> None:
    from clockwork_nb.canonical import canonical_json
    from clockwork_nb.jobpack.build import build_jobpack
    from clockwork_nb.jobpack.verify import verify_jobpack
    from clockwork_nb.signing import TrustStore

    log = log_of(5)
    folder_of(log, tmp_path).having(events_jsonl=cut_up(log, 4)).write(home)
    store = store_at(home)
    repair(store, to_last_valid=True, reason="bad sector")
    view = store.read("job_a")
    pack = build_jobpack(canonical_json(dict(view.genesis)), view.raw, store.blobs("job_a").get, key=None)
    report = verify_jobpack(pack.data, trust=TrustStore.load(tmp_path), require="integrity", file_name=pack.name)
    assert report.ok and report.tainted
    assert "bad sector" in report.taint_reason


def test_an_error_of_the_plan_is_one_of_ours(home: Path) -> None:
    with pytest.raises(ClockworkError, match="no job"):
        plan_repair(store_at(home), "job_a")
