"""What prune removes and what it never touches; what crashes leave behind goes, what is in use stays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clockwork_nb.canonical import canonical_json
from clockwork_nb.jobs.commands import move
from clockwork_nb.ports import Draft
from clockwork_nb.session.stores import Criteria, Stores, parse_age
from clockwork_nb.settings import Settings
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.prune import choose_jobs, remove_jobs, sweep_store
from clockwork_nb.store.sweep import DRAFT_AGE_S
from clockwork_nb.testing import ManualClock

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "home", tool_version="0.1.0", clock=ManualClock(), heartbeat=False)


def finished(store: JobStore, job_id: str, *, exported: bool = True, early: bool = False) -> None:
    """Make a job that ran to its end, exported then, or before its end (*early*)."""
    with store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id=job_id) as job:
        job.append([move(job.state, "running")])
        if early:
            export(store, job_id, job.state.seq, job.state.hash)
        job.append([move(job.state, "completed")])
        job.append([Draft("job.finished", {"status": "completed", "reason_codes": []})])
        if exported:
            export(store, job_id, job.state.seq, job.state.hash)


def export(store: JobStore, job_id: str, count: int, head: str) -> None:
    line = canonical_json({"count": count, "head": head, "manifest": "0" * 64}) + b"\n"
    with (store.folder(job_id) / "exports.jsonl").open("ab") as file:
        file.write(line)


def prune(
    store: JobStore, *, max_age: timedelta = timedelta(days=30), include_unexported: bool = False
) -> dict[str, str]:
    """Prune and return why each old job stayed, empty for those that went."""
    entries = choose_jobs(store, max_age=max_age, now=NOW, include_unexported=include_unexported)
    done = remove_jobs(store, entries, why="test", include_unexported=include_unexported, clock=ManualClock())
    return {entry.job_id: entry.kept for entry in done}


def test_an_old_finished_exported_job_goes_and_leaves_a_tombstone(store: JobStore) -> None:
    finished(store, "job_a")
    state = store.state("job_a")
    assert prune(store) == {"job_a": ""}
    assert list((store.home / "jobs").iterdir()) == []
    (line,) = (store.home / "pruned.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["job_id"], told["count"], told["head"]) == ("job_a", state.seq, state.hash)
    assert (told["status"], told["tainted"], told["why"]) == ("completed", False, "test")
    finished(store, "job_b")
    prune(store)
    assert len((store.home / "pruned.jsonl").read_text().splitlines()) == 2


def test_what_is_not_at_its_end_or_not_exported_stays(store: JobStore) -> None:
    finished(store, "job_unexported", exported=False)
    finished(store, "job_early", exported=False, early=True)
    with store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_waits") as job:
        job.append([move(job.state, "running")])
        job.append([move(job.state, "blocked_error", "E_ADAPTER_FAIL")])
    finished(store, "job_damaged")
    log = store.folder("job_damaged") / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-100] + b"\n")
    kept = prune(store)
    assert kept["job_unexported"] == kept["job_early"] == "its final evidence was never exported"
    assert kept["job_waits"] == "not at its end (blocked_error)"
    assert kept["job_damaged"].startswith("cannot be read")
    assert len(store.ids()) == 4
    assert prune(store, include_unexported=True) == {
        "job_damaged": kept["job_damaged"],
        "job_early": "",
        "job_unexported": "",
        "job_waits": kept["job_waits"],
    }


def test_an_export_counts_only_when_it_is_of_this_log(store: JobStore) -> None:
    finished(store, "job_a", exported=False)
    export(store, "job_a", store.state("job_a").seq, "0" * 64)
    export(store, "job_a", 10_000, store.state("job_a").hash)
    with (store.folder("job_a") / "exports.jsonl").open("ab") as file:
        file.write(b"[1]\nnot json\n")
    assert prune(store)["job_a"] == "its final evidence was never exported"


def test_a_job_that_somebody_owns_stays(store: JobStore) -> None:
    finished(store, "job_a")
    with store.open("job_a"):
        assert "owned by" in prune(store)["job_a"]
    assert store.ids() == ["job_a"]


def test_age_is_that_of_the_last_event_to_the_second(store: JobStore) -> None:
    finished(store, "job_a")
    last = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)
    for seconds, chosen in ((-1, 0), (0, 1), (1, 1)):
        entries = choose_jobs(store, max_age=timedelta(days=7), now=last + timedelta(days=7, seconds=seconds))
        assert len(entries) == chosen
    (entry,) = choose_jobs(store, max_age=timedelta(days=7), now=NOW)
    files = (path for path in store.folder("job_a").rglob("*") if path.is_file())
    assert entry.size == sum(path.stat().st_size for path in files)


def test_a_removal_that_was_interrupted_is_ended_and_told_once(store: JobStore) -> None:
    finished(store, "job_a")
    head = store.state("job_a").hash
    gone = store.home / "jobs" / ".gone-job_a-0badcafe"
    store.folder("job_a").rename(gone)
    assert [entry.path for entry in sweep_store(store, dry_run=True)] == [gone]
    assert gone.exists()
    assert [entry.path for entry in sweep_store(store, clock=ManualClock())] == [gone]
    assert not gone.exists()
    gone.mkdir()  # the removal stopped once more, after the tombstone
    sweep_store(store, clock=ManualClock())
    (line,) = (store.home / "pruned.jsonl").read_text().splitlines()
    assert json.loads(line)["head"] == head


def _age(path: Path, seconds: float, now: float) -> None:
    os.utime(path, (now - seconds, now - seconds))


def test_leftovers_go_when_nobody_can_be_using_them(store: JobStore) -> None:
    clock = ManualClock()
    now = clock.now().timestamp()
    with store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a") as job:
        job.put_blob(b"x")
        blobs = next((job.folder / "blobs" / "sha256").iterdir())
    folder = store.folder("job_a")
    for path in (folder / ".lease.json.1.tmp", blobs / ".x.2.tmp", store.home / ".pruned.jsonl.3.tmp"):
        path.write_bytes(b"half")
    fresh, old = folder / ".exports.jsonl.4.tmp", folder / ".exports.jsonl.5.tmp"
    for path, age in ((fresh, 10), (old, DRAFT_AGE_S + 1)):
        path.write_bytes(b"half")
        _age(path, age, now)
    drafts = {}
    for name, age in (("new", DRAFT_AGE_S - 1), ("old", DRAFT_AGE_S + 1)):
        drafts[name] = store.home / "jobs" / f".new-job_{name}-00000000"
        (drafts[name] / "blobs").mkdir(parents=True)
        _age(drafts[name], age, now)
    sweep_store(store, clock=clock)
    left = {path.name for path in store.home.rglob(".*") if path.name != ".lock-probe"}
    assert left == {fresh.name, drafts["new"].name}


def test_a_draft_that_somebody_still_makes_is_left_alone(store: JobStore) -> None:
    from clockwork_nb.store.lock import FileLock

    clock = ManualClock()
    finished(store, "job_a")
    draft = store.home / "jobs" / ".new-job_slow-00000000"
    draft.mkdir()
    lock = FileLock(draft / "owner.lock")
    assert lock.try_acquire()
    _age(draft, 10 * DRAFT_AGE_S, clock.now().timestamp())
    sweep_store(store, clock=clock)
    assert draft.exists()
    lock.release()
    sweep_store(store, clock=clock)
    assert not draft.exists()


# --- packs and reports, through the facade --------------------------------------------------------------------------


@pytest.fixture
def stores(tmp_path: Path) -> Callable[[], Stores]:
    class Late(ManualClock):
        def now(self) -> datetime:
            return NOW

    settings = Settings(tmp_path / "home", True, tmp_path / "out", tmp_path / "config", user="ann")
    return lambda: Stores(settings, clock=Late())


def _file(path: Path, days_old: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    _age(path, days_old * 86_400, NOW.timestamp())
    return path


def test_packs_and_reports_go_by_age_and_by_number(stores: Callable[[], Stores], tmp_path: Path) -> None:
    packs = [_file(tmp_path / "out" / "jobpacks" / f"jobpack_{n}.zip", n) for n in range(5)]
    other = _file(tmp_path / "out" / "jobpacks" / "holiday.zip", 900)
    (tmp_path / "out" / "jobpacks" / "jobpack_link.zip").symlink_to(other)
    report = _file(tmp_path / "out" / "reports" / "job_a.html", 50)
    dry = stores().prune(Criteria(jobpack_max_age=timedelta(days=3)), dry_run=True)
    assert [entry.path for entry in dry.removed] == packs[3:]
    assert dry.freed == 10 and all(path.exists() for path in packs)
    done = stores().prune(Criteria(max_jobpacks=2, report_max_age=timedelta(days=50)))
    assert {entry.path for entry in done.removed} == {*packs[2:], report}
    assert {path.name for path in packs[0].parent.iterdir()} == {
        "jobpack_0.zip", "jobpack_1.zip", "holiday.zip", "jobpack_link.zip",
    }  # fmt: skip


def test_age_wins_over_number_and_nothing_is_counted_twice(stores: Callable[[], Stores], tmp_path: Path) -> None:
    for number in range(4):
        _file(tmp_path / "out" / "jobpacks" / f"jobpack_{number}.zip", number * 10)
    done = stores().prune(Criteria(jobpack_max_age=timedelta(days=30), max_jobpacks=1), dry_run=True)
    assert [entry.path.name for entry in done.removed] == ["jobpack_3.zip", "jobpack_1.zip", "jobpack_2.zip"]
    assert done.removed[0].reason.startswith("written") and done.removed[1].reason == "more than 1 packs"


@pytest.mark.parametrize(("text", "hours"), [("30d", 720), ("12h", 12), ("2w", 336), ("90m", 1.5), ("0d", 0)])
def test_lengths_of_time_are_read(text: str, hours: float) -> None:
    assert parse_age(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "30 d", "1y", "9999999d"])
def test_other_words_are_no_length_of_time(text: str) -> None:
    from clockwork_nb.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match="length of time"):
        parse_age(text)
