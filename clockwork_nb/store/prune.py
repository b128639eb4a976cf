"""Removing what is old: which jobs may go, and taking them away so that a crash leaves nothing that looks like a job.

A job goes only when it is at its end, nobody owns it, its log can be read, and its final evidence was exported. A line
in ``pruned.jsonl`` stays for each job that went: its id, and the count and head of its log, which its pack must have.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.clock import Clock, SystemClock, rfc3339
from clockwork_nb.errors import ClockworkError, LeaseConflictError, StoreCorruptError
from clockwork_nb.fs import REAL, FileSystem, raise_storage_error, read_bytes, sync_dir, write_atomic
from clockwork_nb.jobs.events import Event
from clockwork_nb.store.check import job_folders
from clockwork_nb.store.files import may_live
from clockwork_nb.store.lease import read_lease, this_process
from clockwork_nb.store.lock import FileLock, hold
from clockwork_nb.store.reading import JobReader, JobView
from clockwork_nb.store.sweep import GONE_PREFIX, gone_folders, is_temporary, remove_tree, sweep_drafts, sweep_job, tree

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Entry", "age_text", "choose_jobs", "remove_jobs", "sweep_store"]

_TOMBSTONES: Final = "pruned.jsonl"


class Entry(Struct, frozen=True):
    """Something that prune looked at. ``reason`` says why it goes, ``kept`` why it stays although it is old enough."""

    kind: str
    path: Path
    size: int
    reason: str
    job_id: str = ""
    kept: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; ``size_bytes`` is what the files take."""
        document = {"kind": self.kind, "path": str(self.path), "size_bytes": self.size, "reason": self.reason}
        if self.job_id:
            document["job_id"] = self.job_id
        return document | ({"kept": self.kept} if self.kept else {})


def choose_jobs(
    store: JobReader, *, max_age: timedelta, now: datetime, include_unexported: bool = False, fs: FileSystem = REAL
) -> list[Entry]:
    """Return the jobs whose last event is *max_age* old or older, sorted by id; those that must stay say so in ``kept``.

    Nothing is changed. A job that cannot be read stays, whatever its age: it is told with no age.
    """
    entries = []
    for job_id in job_folders(store.home, fs=fs):
        folder = store.folder(job_id)
        try:
            view = store.read(job_id)
        except ClockworkError as error:
            entries.append(Entry("job", folder, 0, "", job_id, f"cannot be read: {error.message}"))
            continue
        age = now - _moment(view.state.updated_at)
        if age >= max_age:
            kept = _why_kept(folder, view, include_unexported=include_unexported, fs=fs)
            entries.append(Entry("job", folder, _size(folder, fs), f"last event {age_text(age)} ago", job_id, kept))
    return entries


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def age_text(age: timedelta) -> str:
    """Return a length of time as people read it, rounded down.

    >>> [age_text(timedelta(hours=hours)) for hours in (0.5, 47, 49)]
    ['30 min', '47 h', '2 d']
    """
    hours = int(age.total_seconds() // 3600)
    if hours >= 48:
        return f"{hours // 24} d"
    return f"{hours} h" if hours else f"{int(age.total_seconds() // 60)} min"


def _size(folder: Path, fs: FileSystem) -> int:
    with contextlib.suppress(OSError):
        return sum(found.size for _, found in tree(folder, fs=fs) if found.is_file)
    return 0


def _why_kept(folder: Path, view: JobView, *, include_unexported: bool, fs: FileSystem) -> str:
    state = view.state
    try:
        lease = read_lease(folder / "lease.json", fs=fs)
    except ClockworkError as error:
        return error.message
    if lease.state == "held" and may_live(lease, this_process()):
        return f"owned by {lease.holder}"
    if not state.finished:
        return f"not at its end ({state.status})"
    if not include_unexported and not _exported(folder, view.events, fs):
        return "its final evidence was never exported"
    return ""


def _exported(folder: Path, events: Sequence[Event], fs: FileSystem) -> bool:
    """Return whether an export of the finished log is remembered beside it."""
    end = next((event.seq for event in reversed(events) if event.type == "job.finished"), len(events) + 1)
    try:
        lines = read_bytes(folder / "exports.jsonl", fs=fs).splitlines()
    except (FileNotFoundError, ClockworkError):
        return False
    for line in lines:
        with contextlib.suppress(ClockworkError, KeyError, TypeError, IndexError):
            known = parse_json(line, what="exports.jsonl")
            count = known["count"]
            if isinstance(count, int) and count >= end and events[count - 1].hash == known["head"]:
                return True
    return False


def remove_jobs(
    store: JobReader,
    entries: Sequence[Entry],
    *,
    why: str,
    include_unexported: bool = False,
    fs: FileSystem = REAL,
    clock: Clock | None = None,
) -> list[Entry]:
    """Remove the jobs of *entries* that are not kept, and return all entries as they are now.

    Each is looked at once more, with its locks held. It loses its name first, then a line of ``pruned.jsonl`` is made
    durable, then its files go; `sweep_store` ends what a crash interrupts.

    Raises:
        StoreFullError, StoreIOError.
    """
    clock = clock or SystemClock()
    done: list[Entry] = []
    gone: list[Path] = []
    with _pruning(store.home, fs):
        for entry in entries:
            if entry.kept:
                done.append(entry)
                continue
            kept, folder = _retire(store, entry, include_unexported=include_unexported, fs=fs)
            done.append(Entry(entry.kind, entry.path, entry.size, entry.reason, entry.job_id, kept))
            if folder is not None:
                gone.append(folder)
        _finish(store.home, gone, why, fs, clock)
    return done


@contextlib.contextmanager
def _pruning(home: Path, fs: FileSystem) -> Iterator[None]:
    with hold(home / "prune.lock", fs=fs, wait_s=1.0):
        yield


def _retire(store: JobReader, entry: Entry, *, include_unexported: bool, fs: FileSystem) -> tuple[str, Path | None]:
    """Take the job's name away; return why not, or where its folder is now."""
    folder = entry.path
    lock = FileLock(folder / "owner.lock", fs=fs)
    try:
        if not lock.try_acquire():
            return "owned by a living process", None
        with hold(folder / "append.lock", fs=fs):
            kept = _why_kept(folder, store.read(entry.job_id), include_unexported=include_unexported, fs=fs)
            if kept:
                return kept, None
            target = folder.with_name(f"{GONE_PREFIX}{entry.job_id}-{os.urandom(4).hex()}")
            try:
                fs.rename(folder, target)
            except OSError as error:
                raise_storage_error(error, folder, "renaming")
            return "", target
    except (LeaseConflictError, StoreCorruptError) as error:
        return error.message, None
    finally:
        lock.release()


def _finish(home: Path, gone: Sequence[Path], why: str, fs: FileSystem, clock: Clock) -> None:
    if not gone:
        return
    sync_dir(home / "jobs", fs=fs)
    _write_tombstones(home, gone, why, fs, clock)
    for folder in gone:
        try:
            remove_tree(folder, fs=fs)
        except OSError as error:
            raise_storage_error(error, folder, "removing")
    sync_dir(home / "jobs", fs=fs)


def _write_tombstones(home: Path, gone: Sequence[Path], why: str, fs: FileSystem, clock: Clock) -> None:
    path = home / _TOMBSTONES
    try:
        known = read_bytes(path, fs=fs)
    except FileNotFoundError:
        known = b""
    folders = _tombstoned(known)
    stamp = rfc3339(clock.now())
    lines = [canonical_json(_tombstone(folder, why, stamp, fs)) for folder in gone if folder.name not in folders]
    if lines:
        write_atomic(path, known + b"\n".join(lines) + b"\n", fs=fs)


def _tombstoned(known: bytes) -> set[str]:
    folders: set[str] = set()
    for line in known.splitlines():
        with contextlib.suppress(ClockworkError, KeyError, TypeError):
            folders.add(str(parse_json(line, what=_TOMBSTONES)["folder"]))
    return folders


def _tombstone(folder: Path, why: str, stamp: str, fs: FileSystem) -> dict[str, Any]:
    # Files go only after this line is durable, so the folder is whole whenever it is written.
    job_id = folder.name.removeprefix(GONE_PREFIX).rpartition("-")[0]
    view = _Gone(folder, job_id, fs).view()
    return {
        "schema": "clockwork.pruned.v1",
        "job_id": job_id,
        "folder": folder.name,
        "count": view.state.seq if view else 0,
        "head": view.state.hash if view else "",
        "status": view.state.status if view else "",
        "tainted": bool(view and view.state.tainted),
        "pruned_at": stamp,
        "why": why,
    }


class _Gone(JobReader):
    """The job whose folder lost its name."""

    def __init__(self, folder: Path, job_id: str, fs: FileSystem) -> None:
        super().__init__(folder.parent.parent, fs=fs)
        self._folder, self._job_id = folder, job_id

    def folder(self, job_id: str) -> Path:
        """Return the folder under its new name."""
        return self._folder

    def view(self) -> JobView | None:
        """Return the job, None when it cannot be read."""
        try:
            return self.read(self._job_id)
        except ClockworkError:
            return None


def sweep_store(
    store: JobReader, *, dry_run: bool = False, fs: FileSystem = REAL, clock: Clock | None = None
) -> list[Entry]:
    """Remove what crashes left in the store and return it: jobs half made or half removed, half-written files.

    With *dry_run* only the removals that were begun are told. Jobs that somebody owns are left alone.

    Raises:
        StoreFullError, StoreIOError.
    """
    clock = clock or SystemClock()
    home = store.home
    if fs.stat(home / "jobs") is None:
        return []
    begun = gone_folders(home, fs=fs)
    entries = [Entry("leftover", path, _size(path, fs), "a removal that was interrupted") for path in begun]
    if dry_run:
        return entries
    now = clock.now().timestamp()
    with _pruning(home, fs):
        _finish(home, begun, "a removal that was interrupted", fs, clock)
        entries += [
            Entry("leftover", path, 0, "a job that was never made") for path in sweep_drafts(home, fs=fs, now=now)
        ]
        for name in fs.list_dir(home):
            if is_temporary(name):
                with contextlib.suppress(OSError):
                    fs.unlink(home / name)
                    entries.append(Entry("leftover", home / name, 0, "half-written when a process died"))
        for job_id in store.ids():
            entries += [
                Entry("leftover", path, 0, "half-written when a process died")
                for path in _sweep(store, job_id, fs, now)
            ]
    return entries


def _sweep(store: JobReader, job_id: str, fs: FileSystem, now: float) -> list[Path]:
    folder = store.folder(job_id)
    lock = FileLock(folder / "owner.lock", fs=fs)
    with contextlib.suppress(ClockworkError):
        if not lock.try_acquire():
            return []
        try:
            lease = read_lease(folder / "lease.json", fs=fs)
            if not (lease.state == "held" and may_live(lease, this_process())):
                with hold(folder / "append.lock", fs=fs, wait_s=1.0):
                    return sweep_job(folder, fs=fs, now=now)
        finally:
            lock.release()
    return []
