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
MANY = [f"script {index}".encode() * 4 for index in range(20)]  # they are synced together


def disk(*, ignore: tuple[str, ...] = ()) -> CrashFs:
    made = CrashFs(ignore=ignore)
    for folder in ("/job", "/job/blobs", "/job/blobs/sha256"):
        made.make_dir(Path(folder), 0o700)
        made.sync_dir(Path(folder).parent)
    return made


def damage(found: CrashFs, contents: list[bytes], *, all_of: bool) -> str:
    """Return what is wrong with the blobs after a power cut: a name with other bytes, or one that was confirmed."""
    blobs = BlobStore(ROOT, fs=found)
    for data in contents:
        path = blobs.path(digest := sha256_hex(data))
        if found.stat(path) is None:
            if all_of:
                return f"{digest} is gone"
        elif found.read(path) != data:
            return f"{digest} has other bytes"
    return ""


def trouble(on: CrashFs, contents: list[bytes]) -> str:
    """Put all blobs, with a power cut before every call and after the last one; return what was damaged."""
    wrong: list[str] = []

    def power_cut(operation: str) -> None:
        wrong.extend(
            f"before {operation}: {w}" for f in on.crash_states(limit=300) if (w := damage(f, contents, all_of=False))
        )

    on.on_op = power_cut
    assert BlobStore(ROOT, fs=on).put_all(contents) == [sha256_hex(data) for data in contents]
    on.on_op = None
    wrong.extend(f"in the end: {w}" for f in on.crash_states(limit=3000) if (w := damage(f, contents, all_of=True)))
    return wrong[0] if wrong else ""


@pytest.mark.parametrize("contents", [CONTENTS, MANY], ids=["few", "many"])
def test_every_name_has_its_bytes_at_every_moment_and_all_are_there_in_the_end(contents: list[bytes]) -> None:
    assert trouble(disk(), contents) == ""


@pytest.mark.parametrize(
    ("contents", "left_out"), [(CONTENTS, "sync"), (CONTENTS, "sync_dir"), (MANY, "sync_all")], ids=str
)
def test_leaving_out_one_kind_of_sync_is_found_out(contents: list[bytes], left_out: str) -> None:
    assert trouble(disk(ignore=(left_out,)), contents) != ""


def test_the_contents_are_on_the_disk_before_the_names_are_given() -> None:
    asked: list[str] = []
    on = disk()
    on.on_op = asked.append
    BlobStore(ROOT, fs=on).put_all(MANY)
    first, last = asked.index("sync_all"), len(asked) - 1
    assert asked[last] == "sync_all"
    assert set(asked[first + 1 : last]) == {"rename"}
    assert asked[first + 1 : last].count("rename") == len(MANY)


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

    def open_dir(self, path: Path) -> int:
        self.open += 1
        return super().open_dir(path)

    def close(self, handle: int) -> None:
        self.open -= 1
        super().close(handle)

    def sync(self, handle: int, *, data_only: bool = False) -> None:
        self.synced["a file"] += 1
        super().sync(handle, data_only=data_only)

    def sync_all(self, handle: int) -> None:
        self.synced["all"] += 1
        super().sync_all(handle)

    def sync_dir(self, path: Path) -> None:
        self.synced[str(path)] += 1
        super().sync_dir(path)


@pytest.mark.parametrize("count", [16, 17, 300])
def test_few_are_synced_one_by_one_and_many_together(count: int) -> None:
    on = Counting()
    for folder in ("/job", "/job/blobs", "/job/blobs/sha256"):
        on.make_dir(Path(folder), 0o700)
        on.sync_dir(Path(folder).parent)
    on.synced.clear()
    contents = [f"{index}".encode() for index in range(count)]
    digests = BlobStore(ROOT, fs=on).put_all(contents)
    folders = {f"/job/blobs/sha256/{digest[:2]}" for digest in digests}
    one_by_one = {"a file": count, **dict.fromkeys(folders, 1)}
    assert on.synced == Counter({"/job/blobs/sha256": 1, **(one_by_one if count <= 16 else {"all": 2})})
    assert (on.files, on.open) == (count, 0)
    assert on.most <= 2
    for found in on.crash_states(limit=5):
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


@pytest.mark.parametrize("contents", [CONTENTS, MANY], ids=["few", "many"])
def test_a_disk_that_fails_at_any_call_poisons_the_writer_and_leaves_no_half_files(contents: list[bytes]) -> None:
    for nth in range(1, 200):
        inner, plan = CrashFs(), FaultPlan()
        store = JobStore(
            Path("/home"), tool_version="0.1.0", fs=FaultFs(inner, plan), clock=ManualClock(), heartbeat=False
        )
        job = store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
        plan.add(Fault("*", nth=nth, times=1))
        try:
            job.put_blobs(contents)
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
        assert set(names) <= {sha256_hex(data) for data in contents}
    else:
        pytest.fail("the sweep did not come to its end")


@pytest.mark.parametrize("operation", ["create", "write", "sync", "rename", "sync_dir", "open_dir", "sync_all"])
@pytest.mark.parametrize("count", [3, 17])
def test_files_written_together_have_the_old_bytes_or_the_new_when_it_fails(
    tmp_path: Path, operation: str, count: int
) -> None:
    files = {tmp_path / f"f{index}": b"new" for index in range(count)}
    together = {"sync": 0, "sync_dir": 0, "open_dir": 1, "sync_all": 2}
    one_by_one = {"sync": count, "sync_dir": 1, "open_dir": 0, "sync_all": 0}
    calls = (together if count > 16 else one_by_one).get(operation, count)
    for nth in range(1, calls + 2):
        for path in files:
            path.write_bytes(b"old")
        broken = FaultFs(REAL, FaultPlan((Fault(operation, nth=nth, error=errno.ENOSPC, times=1),)))
        if nth > calls:
            write_atomic_all(files, fs=broken)
            assert {path.read_bytes() for path in files} == {b"new"}
            continue
        with pytest.raises(StoreFullError):
            write_atomic_all(files, fs=broken)
        assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files}
        assert {path.read_bytes() for path in files} <= {b"old", b"new"}
