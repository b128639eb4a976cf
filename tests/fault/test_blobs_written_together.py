"""Many blobs in one go: fewer waits for the disk than one by one, and the same promises when it loses power or fails."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import pytest

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import StoreFullError, StoreIOError
from clockwork_nb.fs import REAL, write_atomic_all
from clockwork_nb.ports import Draft
from clockwork_nb.store.blobs import BlobStore
from clockwork_nb.store.files import JobStore
from clockwork_nb.testing import CrashFs, Fault, FaultFs, FaultPlan, ManualClock

ROOT = Path("/job/blobs")
CONTENTS = [f"script {index}".encode() * 40 for index in range(5)]
DIGESTS = [sha256_hex(data) for data in CONTENTS]


def disk(*, ignore: tuple[str, ...] = ()) -> CrashFs:
    made = CrashFs(ignore=ignore)
    for folder in ("/job", "/job/blobs", "/job/blobs/sha256"):
        made.make_dir(Path(folder), 0o700)
        made.sync_dir(Path(folder).parent)
    return made


def damage(found: CrashFs, *, all_of: bool) -> str:
    """Return what is wrong with the blobs after a power cut: a name with other bytes, or one that was confirmed."""
    blobs = BlobStore(ROOT, fs=found)
    for digest, data in zip(DIGESTS, CONTENTS, strict=True):
        path = blobs.path(digest)
        if found.stat(path) is None:
            if all_of:
                return f"{digest} is gone"
        elif found.read(path) != data:
            return f"{digest} has other bytes"
    return ""


def trouble(on: CrashFs) -> str:
    """Put all blobs, with a power cut before every call and after the last one; return what was damaged."""
    wrong: list[str] = []

    def power_cut(operation: str) -> None:
        wrong.extend(f"before {operation}: {w}" for f in on.crash_states(limit=300) if (w := damage(f, all_of=False)))

    on.on_op = power_cut
    assert BlobStore(ROOT, fs=on).put_all(CONTENTS) == DIGESTS
    on.on_op = None
    wrong.extend(f"in the end: {w}" for f in on.crash_states(limit=3000) if (w := damage(f, all_of=True)))
    return wrong[0] if wrong else ""


def test_every_name_has_its_bytes_at_every_moment_and_all_are_there_in_the_end() -> None:
    assert trouble(disk()) == ""


@pytest.mark.parametrize("left_out", ["sync", "sync_dir"])
def test_leaving_out_one_kind_of_sync_is_found_out(left_out: str) -> None:
    assert trouble(disk(ignore=(left_out,))) != ""


class Counting(CrashFs):
    """A disk in memory that counts its calls and knows how many files were open at once."""

    def __init__(self) -> None:
        super().__init__()
        self.synced: Counter[str] = Counter()
        self.files = self.open = self.most = 0

    def create(self, path: Path, mode: int) -> int:
        self.files += 1
        self.open += 1
        self.most = max(self.most, self.open)
        return super().create(path, mode)

    def close(self, handle: int) -> None:
        self.open -= 1
        super().close(handle)

    def sync_dir(self, path: Path) -> None:
        self.synced[str(path)] += 1
        super().sync_dir(path)


def test_each_folder_is_synced_once_and_only_some_files_are_open_at_a_time() -> None:
    on = Counting()
    for folder in ("/job", "/job/blobs", "/job/blobs/sha256"):
        on.make_dir(Path(folder), 0o700)
        on.sync_dir(Path(folder).parent)
    on.synced.clear()
    contents = [f"{index}".encode() for index in range(300)]
    digests = BlobStore(ROOT, fs=on).put_all(contents)
    folders = {f"/job/blobs/sha256/{digest[:2]}" for digest in digests}
    assert on.synced == Counter({"/job/blobs/sha256": 1, **dict.fromkeys(folders, 1)})
    assert (on.files, on.open) == (300, 0)
    assert 1 < on.most <= 128
    for found in on.crash_states(limit=5):  # each wait was in one of eight threads
        kept = BlobStore(ROOT, fs=found)
        assert [kept.get(digest) for digest in digests] == contents


def test_contents_that_are_there_or_come_twice_are_written_once() -> None:
    on = Counting()
    for folder in ("/job", "/job/blobs", "/job/blobs/sha256"):
        on.make_dir(Path(folder), 0o700)
    blobs = BlobStore(ROOT, fs=on)
    first = blobs.put(b"a")
    assert blobs.put_all([b"b", b"a", b"b"]) == [sha256_hex(b"b"), first, sha256_hex(b"b")]
    assert on.files == 2
    assert blobs.put_all([]) == []


def test_a_disk_that_fails_at_any_call_poisons_the_writer_and_leaves_no_half_files() -> None:
    for nth in range(1, 200):
        inner, plan = CrashFs(), FaultPlan()
        store = JobStore(
            Path("/home"), tool_version="0.1.0", fs=FaultFs(inner, plan), clock=ManualClock(), heartbeat=False
        )
        job = store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
        plan.add(Fault("*", nth=nth, times=1))
        try:
            job.put_blobs(CONTENTS)
        except StoreIOError:
            with pytest.raises(StoreIOError):  # for ever, although the disk is well again
                job.append([Draft("cell.started", {"cell": "c", "index": 0})])
            assert job.stop_requested() == "lost"
        else:
            assert nth > 20  # every call was struck once
            break
        finally:
            plan.clear()
            job.close()
        base = job.folder / "blobs" / "sha256"
        names = [name for folder in inner.list_dir(base) for name in inner.list_dir(base / folder)]
        assert set(names) <= set(DIGESTS)
    else:
        pytest.fail("the sweep did not come to its end")


@pytest.mark.parametrize("operation", ["create", "write", "sync", "rename", "sync_dir"])
def test_files_written_together_have_the_old_bytes_or_the_new_when_it_fails(tmp_path: Path, operation: str) -> None:
    files = {tmp_path / f"f{index}": b"new" for index in range(3)}
    for nth in (1, 2, 3):
        for path in files:
            path.write_bytes(b"old")
        broken = FaultFs(REAL, FaultPlan((Fault(operation, nth=nth, error=errno.ENOSPC, times=1),)))
        if operation == "sync_dir" and nth > 1:
            write_atomic_all(files, fs=broken)  # there is one folder, and so one such call
            continue
        with pytest.raises(StoreFullError):
            write_atomic_all(files, fs=broken)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["f0", "f1", "f2"]
        assert {path.read_bytes() for path in files} <= {b"old", b"new"}
