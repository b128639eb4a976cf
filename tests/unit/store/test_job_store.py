"""Jobs on a real disk: made, owned, listed, read, closed."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.clock import SystemClock
from clockwork_nb.errors import (
    InvalidInputError,
    InvalidTransitionError,
    LeaseConflictError,
    LeaseLostError,
    StoreCorruptError,
    StoreIOError,
    UnsafeOperationError,
)
from clockwork_nb.jobs import commands
from clockwork_nb.jobs.model import JobState
from clockwork_nb.jobs.state import replay
from clockwork_nb.ports import Draft
from clockwork_nb.store.check import check_store
from clockwork_nb.store.files import JobStore, TakeOver
from clockwork_nb.store.handle import JobHandle
from clockwork_nb.store.lease import read_lease
from clockwork_nb.store.snapshot import write_snapshot
from clockwork_nb.testing import ManualClock


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "home", tool_version="0.1.0")


def make(store: JobStore, job_id: str = "job_a", **spec: object) -> JobHandle:
    return store.create(name="a job", adapter="pipeline", lineage="", spec=spec, job_id=job_id)


def cell(index: int) -> Draft:
    return Draft("cell.started", {"cell": f"c{index}", "index": index})


def test_a_new_job_is_whole_and_private(store: JobStore) -> None:
    with make(store, budgets={"max_step_count": 2}) as job:
        assert [event.type for event in job.events()] == ["job.created", "lease.taken"]
        assert (job.epoch, job.state.status, job.state.limits) == (1, "queued", {"step_count": "2"})
    folder = store.folder("job_a")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "job.json",
        "events.jsonl",
        "snapshot.json",
        "runtime_config.json",
        "lease.json",
        "append.lock",
        "owner.lock",
        "blobs",
    }
    for path in (folder.parent.parent, folder.parent, folder, folder / "blobs"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (folder / "events.jsonl").stat().st_mode & 0o777 == 0o600
    assert json.loads((folder / "job.json").read_text())["producer_version"] == "clockwork_nb 0.1.0"


@pytest.mark.parametrize("job_id", ["", "A", "a/b", "..", ".hidden", "con", "a" * 65, "a."])
def test_a_bad_job_id_is_refused(store: JobStore, job_id: str) -> None:
    with pytest.raises(InvalidInputError, match="not a job id"):
        make(store, job_id)


def test_a_job_id_is_given_once(store: JobStore) -> None:
    make(store).close()
    with pytest.raises(InvalidInputError, match="taken"):
        make(store)
    assert store.ids() == ["job_a"]


def test_events_come_back_as_they_were_written(store: JobStore) -> None:
    with make(store) as job:
        written = job.append([cell(1), cell(2)])
        assert [event.seq for event in written] == [3, 4]
        assert job.append([]) == []
    view = store.read("job_a")
    assert view.events[2:4] == written
    assert view.events[-1].type == "lease.released"
    assert view.raw == (store.folder("job_a") / "events.jsonl").read_bytes()
    assert view.torn == 0


def test_a_refused_batch_leaves_nothing_behind(store: JobStore) -> None:
    with make(store) as job:
        with pytest.raises(InvalidTransitionError, match="cannot follow"):
            job.append([cell(1), Draft("job.finished", {"status": "completed", "reason_codes": []})])
        with pytest.raises(InvalidInputError, match="unknown key"):
            job.append([cell(1), Draft("cell.started", {"cell": "x", "index": 1, "more": 2})])
        assert len(job.events()) == 2
        job.append([cell(1)])
    assert store.read("job_a").state.cells == {"c1": "started"}


def test_a_batch_larger_than_one_write_is_refused(store: JobStore) -> None:
    big = Draft("cell.skipped", {"cell": "c", "index": 0, "reason": "r" * 4096})
    with make(store) as job:
        with pytest.raises(InvalidInputError, match="one append"):
            job.append([big] * 64)
        job.append([big] * 50)
        assert len(job.events()) == 52


def test_threads_append_together_and_lose_nothing(store: JobStore) -> None:
    with make(store) as job:
        answers: list[tuple[int, str]] = []

        def work(number: int) -> None:
            for index in range(20):
                (event,) = job.append([cell(number * 100 + index)])
                answers.append((event.seq, event.payload["cell"]))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = {event.seq: event.payload["cell"] for event in job.events()[2:]}
    assert dict(answers) == told
    assert sorted(told) == list(range(3, 163))
    assert len(store.read("job_a").state.cells) == 160


def test_the_list_is_newest_first_and_shows_what_is_damaged(tmp_path: Path) -> None:
    clock = ManualClock()
    store = JobStore(tmp_path / "home", tool_version="0.1.0", clock=clock, heartbeat=False)
    assert store.list() == []
    for job_id in ("job_1", "job_2", "job_3"):
        clock.advance(1)
        make(store, job_id).close()
    (store.folder("job_1") / "runtime_config.json").unlink()
    (store.folder("job_2") / "lease.json").write_bytes(b"{}")
    listed = {line.job_id: line for line in store.list()}
    assert [line.job_id for line in store.list()] == ["job_3", "job_1", "job_2"]
    assert listed["job_1"].status == "queued" and not listed["job_1"].damaged
    assert "damaged" in listed["job_2"].damaged


def test_the_list_says_who_is_alive_and_follows_decisions_made_elsewhere(store: JobStore) -> None:
    with make(store) as job:
        job.append([commands.move(job.state, "running")])
        assert store.summary("job_a").running
        store.append_control("job_a", commands.request_stop(store.state("job_a"), "pause", by="ann"))
        assert store.state("job_a").stop == "pause"
        assert store.summary("job_a").seq == 4
    assert not store.summary("job_a").running
    assert store.summary("job_a").status == "running"


def test_the_quick_state_equals_the_full_one_wherever_the_snapshot_stands(store: JobStore) -> None:
    with make(store) as job:
        for index in range(200):
            job.append([cell(index)])
            if index % 50 == 0:
                assert store.state("job_a") == store.read("job_a").state == job.state
    folder = store.folder("job_a")
    assert store.state("job_a") == store.read("job_a").state
    snapshot = (folder / "snapshot.json").read_bytes()
    for damaged in (b"", b"{}", snapshot[:-1], snapshot.replace(b'"started"', b'"failed!"', 1), b"[" * 100_000):
        (folder / "snapshot.json").write_bytes(damaged)
        assert store.state("job_a") == store.read("job_a").state
    (folder / "snapshot.json").unlink()
    assert store.state("job_a").cells["c199"] == "started"


def test_an_older_snapshot_is_as_good_as_the_latest(store: JobStore) -> None:
    with make(store) as job:
        job.append([commands.move(job.state, "running")])
        assert job.state.status == "running"  # answered after the caches are written
        older = (store.folder("job_a") / "snapshot.json").read_bytes()
        job.append([cell(index) for index in range(100)])
    (store.folder("job_a") / "snapshot.json").write_bytes(older)
    assert store.state("job_a") == store.read("job_a").state
    store.open("job_a").close()


def test_a_snapshot_of_records_that_are_gone_is_an_error(store: JobStore) -> None:
    with make(store) as job:
        job.append([cell(1)])
    folder = store.folder("job_a")
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[:-1]))
    for attempt in (store.read, store.state, store.open):
        with pytest.raises(StoreCorruptError) as caught:
            attempt("job_a")
        assert caught.value.details["reason"] == "acked_lost"
    assert not check_store(store, "job_a").ok


@pytest.mark.parametrize("behind", [0, 3])
def test_a_snapshot_of_another_history_is_an_error(store: JobStore, behind: int) -> None:
    make(store).close()
    view = store.read("job_a")
    lines = view.raw.splitlines(keepends=True)
    kept = lines[: len(lines) - behind] if behind < len(lines) else lines[:1]
    state = replay(view.genesis, view.events[: len(kept)])
    state.hash, state.status = "0" * 64, "completed"
    path = store.folder("job_a") / "snapshot.json"
    write_snapshot(path, state, len(b"".join(kept)), version="0.1.0")
    for attempt in (store.read, store.state, store.open):
        with pytest.raises(StoreCorruptError) as caught:
            attempt("job_a")
        assert caught.value.details["reason"] == "fork"


def test_an_unknown_job_names_its_neighbours(store: JobStore) -> None:
    make(store, "job_alpha").close()
    for attempt in (store.open, store.read, store.state, store.summary):
        with pytest.raises(InvalidInputError, match="no job 'job_alhpa'") as caught:
            attempt("job_alhpa")
        assert caught.value.exit_code == 6
        assert "job_alpha" in caught.value.hint
    with pytest.raises(InvalidInputError, match=r"no job '\.\./x'"):
        store.read("../x")


def test_two_owners_conflict_and_the_second_hears_who_the_first_is(store: JobStore) -> None:
    with make(store), pytest.raises(LeaseConflictError) as caught:
        store.open("job_a")
    assert caught.value.exit_code == 7
    assert f"process {os.getpid()}" in caught.value.message
    assert caught.value.details["pid"] == os.getpid()


def test_a_new_owner_begins_a_new_epoch(store: JobStore) -> None:
    make(store).close("done")
    with store.open("job_a") as job:
        assert job.epoch == 2
        assert job.events()[-1].payload["takeover"] is False
    assert [event.payload["outcome"] for event in store.read("job_a").events if event.type == "lease.released"] == [
        "done",
        "released",
    ]
    lease = read_lease(store.folder("job_a") / "lease.json")
    assert (lease.state, lease.epoch, lease.watermark.seq) == ("free", 2, 5)


def test_a_stale_owner_is_fenced_off_whatever_the_clocks_say(store: JobStore) -> None:
    old = make(store)
    new = store.open("job_a", take_over=TakeOver("ann", "it hangs"))
    try:
        assert new.epoch == 2 and new.events()[-1].payload["takeover"] is True
        with pytest.raises(LeaseLostError, match="taken over") as caught:
            old.append([cell(1)])
        assert caught.value.exit_code == 7
        assert old.stop_requested() == "lost"
        with pytest.raises(LeaseLostError):
            old.put_blob(b"x")
        new.append([cell(2)])
    finally:
        old.close()
        new.close()
    view = store.read("job_a")
    assert [event.epoch for event in view.events] == [1, 1, 2, 2, 2]
    assert "c1" not in view.state.cells


def test_a_job_taken_over_from_a_living_process_cannot_be_opened_by_a_third(store: JobStore) -> None:
    old = make(store)
    new = store.open("job_a", take_over=TakeOver("ann", "it hangs"))
    old.close()  # gives the owner's lock back before the new owner has taken it
    try:
        with pytest.raises(LeaseConflictError):
            store.open("job_a")
    finally:
        new.close()


def test_a_handle_stops_working_when_closed(store: JobStore) -> None:
    job = make(store)
    job.close()
    job.close()
    for attempt in (lambda: job.append([cell(1)]), lambda: job.put_blob(b"x"), lambda: job.state):
        with pytest.raises(StoreIOError, match="closed"):
            attempt()
    assert job.stop_requested() == "lost"


def test_control_events_of_others_reach_the_owner(tmp_path: Path) -> None:
    clock = ManualClock()
    store = JobStore(tmp_path / "home", tool_version="0.1.0", clock=clock, heartbeat=False)
    with make(store) as job:
        job.append([commands.move(job.state, "running")])
        store.append_control("job_a", commands.request_stop(job.state, "pause", by="ann"))
        assert job.stop_requested() == ""
        clock.advance(0.25)
        job.stop_requested()
        assert job.state.stop == "pause"  # asked behind the look in the same queue
        assert job.stop_requested() == "pause"
        (event,) = job.append([cell(1)])
        assert event.seq == 5
        assert [e.type for e in job.events()][3] == "control.requested"


def test_only_control_events_may_come_from_others(store: JobStore) -> None:
    with make(store) as job:
        with pytest.raises(InvalidInputError, match="not a control event"):
            store.append_control("job_a", cell(1))
        with pytest.raises(InvalidTransitionError, match="cannot follow"):
            store.append_control(
                "job_a",
                Draft(
                    "approval.denied", {"approval_id": "x", "checkpoint_seq": 1, "by": "a", "via": "cli", "reason": ""}
                ),
            )
        assert len(job.events()) == 2


def test_a_log_that_was_exchanged_under_the_owner_stops_it(store: JobStore) -> None:
    job = make(store)
    log = store.folder("job_a") / "events.jsonl"
    content = log.read_bytes()
    log.unlink()
    log.write_bytes(content)
    with pytest.raises(StoreCorruptError, match="exchanged"):
        job.append([cell(1)])
    assert job.stop_requested() == "lost"
    job.close()


def test_events_of_another_runner_stop_the_owner(store: JobStore, tmp_path: Path) -> None:
    from clockwork_nb.jobs.events import encode_record

    job = make(store)
    state = job.state
    _, line = encode_record(
        seq=3,
        created_at="2026-11-22T01:02:03.000004Z",
        event_type="cell.started",
        payload={"cell": "x", "index": 1},
        epoch=1,
        prev=state.hash,
        job_id="job_a",
    )
    with (store.folder("job_a") / "events.jsonl").open("ab") as log:
        log.write(line)
    with pytest.raises(StoreCorruptError) as caught:
        job.append([cell(1)])
    assert caught.value.details["reason"] == "foreign"
    job.close()


def test_a_lease_that_cannot_be_renewed_in_time_is_proven_or_lost(tmp_path: Path) -> None:
    clock = ManualClock()
    store = JobStore(tmp_path / "home", tool_version="0.1.0", clock=clock, heartbeat=False)
    job = make(store)
    clock.advance(20)  # the machine slept: the lease is checked, found ours, and renewed
    assert job.stop_requested() == ""
    assert read_lease(job.folder / "lease.json").beat == 1
    (job.folder / "lease.json").unlink()
    clock.advance(20)
    assert job.stop_requested() == "lost"
    job.close()


def test_heartbeats_move_the_watermark(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "home", tool_version="0.1.0", ttl_ms=300)
    with make(store) as job:
        job.append([cell(1)])
        deadline = SystemClock().boottime() + 10
        while read_lease(job.folder / "lease.json").watermark.seq < 3:
            assert SystemClock().boottime() < deadline
        assert job.stop_requested() == ""


def test_blobs_are_named_by_content_and_checked_when_read(store: JobStore) -> None:
    with make(store) as job:
        digest = job.put_blob(b"hello")
        assert digest == sha256_hex(b"hello") == job.put_blob(b"hello")
        assert job.get_blob(digest) == b"hello"
        path = job.blobs.path(digest)
        assert path.stat().st_mode & 0o777 == 0o400
        assert job.blobs.names() == [digest]
        with pytest.raises(StoreCorruptError, match="missing"):
            job.get_blob("0" * 64)
        with pytest.raises(InvalidInputError):
            job.get_blob("../../job.json")
        path.chmod(0o600)
        path.write_bytes(b"HELLO")
        with pytest.raises(StoreCorruptError, match="another digest"):
            store.blobs("job_a").get(digest)
    with store.open("job_a") as job:
        assert job.put_blob(b"hello") == digest  # a damaged file of that name is replaced
        assert job.get_blob(digest) == b"hello"


def test_the_check_finds_what_is_damaged(store: JobStore) -> None:
    with make(store) as job:
        blob = job.put_blob(b"x")
        job.append([Draft("artifact.published", {"path": "p", "op": "added", "blob": blob})])
    report = check_store(store, "job_a")
    assert (report.ok, report.events, report.blobs, report.findings) == (True, 4, 1, [])
    folder = store.folder("job_a")
    (folder / ".snapshot.json.1.tmp").write_bytes(b"half")
    assert check_store(store, "job_a").ok
    assert check_store(store, "job_a").findings[0].severity == "note"
    folder.joinpath("blobs", "sha256", blob[:2], blob).unlink()
    assert not check_store(store, "job_a").ok
    store.open("job_a").close()
    assert not (folder / ".snapshot.json.1.tmp").exists()


def test_the_check_compares_the_snapshot_with_the_log(store: JobStore) -> None:
    with make(store) as job:
        job.append([cell(1)])
    path = store.folder("job_a") / "snapshot.json"
    document = json.loads(path.read_bytes())
    document["state"]["cells"] = [["c1", "failed"]]
    body = json.dumps(document["state"], sort_keys=True, separators=(",", ":")).encode()
    document["state_sha256"] = sha256_hex(body)
    path.write_bytes(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    report = check_store(store, "job_a")
    assert [finding.where for finding in report.findings] == ["snapshot.json"]
    assert not report.ok


def test_a_store_others_can_write_to_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    home.chmod(0o770)
    with pytest.raises(UnsafeOperationError, match="other users"):
        make(JobStore(home, tool_version="0.1.0"))


@pytest.mark.parametrize("name", ["events.jsonl", "snapshot.json", "job.json"])
def test_a_link_or_a_pipe_in_place_of_a_file_is_not_followed(store: JobStore, name: str, tmp_path: Path) -> None:
    make(store).close()
    path = store.folder("job_a") / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises((StoreIOError, StoreCorruptError)):
        store.read("job_a")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises((StoreIOError, StoreCorruptError)):
        store.read("job_a")


def test_a_forked_child_cannot_write_to_its_parents_job(store: JobStore) -> None:
    with make(store) as job:
        child = os.fork()
        if child == 0:
            try:
                job.append([cell(1)])
            except LeaseLostError:
                os._exit(7)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7
        job.append([cell(2)])


def test_the_owners_lock_does_not_outlive_it_in_a_forked_child(store: JobStore) -> None:
    job = make(store)
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(ready, 1)  # lives on until the parent says so
        os._exit(0)
    try:
        job.close()
        store.open("job_a").close()
    finally:
        os.close(go)
        os.close(ready)
        os.waitpid(child, 0)


def test_a_state_document_that_is_no_state_is_refused() -> None:
    documents: list[object] = [None, {}, {"counters": {}}, []]
    for document in documents:
        with pytest.raises(InvalidInputError, match="not a job state"):
            JobState.from_document(document)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_writer_that_has_ended(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make(store)

    def break_down(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(job._journal, "commit", break_down)
    for attempt in (lambda: job.append([cell(1)]), lambda: job.append([cell(2)]), lambda: job.state):
        with pytest.raises(StoreIOError, match="has ended"):
            attempt()
    assert job.stop_requested() == "lost"
    job.close()
    store.open("job_a").close()
