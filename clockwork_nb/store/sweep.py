"""What a crash leaves behind, and taking it away: half-written files, jobs that were never finished being made or removed.

None of it was ever confirmed to anybody. Files of a job may go when its owner looks (nobody else writes there then);
folders of jobs in the making, once they are old and no process holds their lock.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from clockwork_nb.errors import ClockworkError
from clockwork_nb.fs import REAL, FileStat, FileSystem
from clockwork_nb.store.lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "DRAFT_AGE_S",
    "DRAFT_PREFIX",
    "GONE_PREFIX",
    "draft_folders",
    "gone_folders",
    "is_temporary",
    "job_leftovers",
    "remove_tree",
    "sweep_drafts",
    "sweep_job",
    "tree",
]

DRAFT_PREFIX: Final = ".new-"
"""Folders of jobs that are being made."""
GONE_PREFIX: Final = ".gone-"
"""Folders of jobs that are being removed."""
DRAFT_AGE_S: Final = 3600.0
"""Seconds after which a folder in the making counts as forgotten."""
# Written by exports, which hold no lock: such a file may be in use while the owner looks.
_SHARED: Final = (".exports.jsonl.",)


def is_temporary(name: str) -> bool:
    """Return whether *name* is that of a file which was not renamed into place."""
    return name.startswith(".") and name.endswith(".tmp")


def job_leftovers(folder: Path, *, fs: FileSystem = REAL) -> Iterator[Path]:
    """Yield the half-written files in a job's folder and among its blobs, in order."""
    for path in _folders_of(folder, fs):
        yield from (path / name for name in fs.list_dir(path) if is_temporary(name))


def _folders_of(folder: Path, fs: FileSystem) -> Iterator[Path]:
    yield folder
    base = folder / "blobs" / "sha256"
    for path in (folder / "blobs", base):
        if not _is_dir(path, fs):
            return
        yield path
    for name in fs.list_dir(base):
        if _is_dir(base / name, fs):
            yield base / name


def _is_dir(path: Path, fs: FileSystem) -> bool:
    found = fs.stat(path)
    return found is not None and found.is_dir


def sweep_job(folder: Path, *, fs: FileSystem = REAL, now: float) -> list[Path]:
    """Remove the half-written files of a job and return them. The caller owns the job and holds its append lock.

    *now* is in seconds since the epoch. What cannot be removed stays; that is no error.
    """
    removed: list[Path] = []
    with contextlib.suppress(OSError):
        for path in list(job_leftovers(folder, fs=fs)):
            if path.name.startswith(_SHARED) and not _is_old(fs.stat(path), now):
                continue
            with contextlib.suppress(OSError):
                fs.unlink(path)
                removed.append(path)
    return removed


def draft_folders(home: Path, *, fs: FileSystem = REAL) -> list[Path]:
    """Return the folders of jobs in the making, whether or not somebody still makes them."""
    return _named(home, DRAFT_PREFIX, fs)


def gone_folders(home: Path, *, fs: FileSystem = REAL) -> list[Path]:
    """Return the folders of jobs whose removal was begun."""
    return _named(home, GONE_PREFIX, fs)


def _named(home: Path, prefix: str, fs: FileSystem) -> list[Path]:
    jobs = home / "jobs"
    if fs.stat(jobs) is None:
        return []
    return [jobs / name for name in fs.list_dir(jobs) if name.startswith(prefix) and _is_dir(jobs / name, fs)]


def sweep_drafts(home: Path, *, fs: FileSystem = REAL, now: float) -> list[Path]:
    """Remove the folders of jobs that nobody makes any more and return them. *now* is in seconds since the epoch."""
    removed: list[Path] = []
    with contextlib.suppress(OSError):
        for path in draft_folders(home, fs=fs):
            if not _is_old(fs.stat(path), now):
                continue
            lock = FileLock(path / "owner.lock", fs=fs)
            with contextlib.suppress(OSError, ClockworkError):
                if lock.try_acquire():
                    try:
                        remove_tree(path, fs=fs)
                    finally:
                        lock.release()
                    removed.append(path)
    return removed


def _is_old(found: FileStat | None, now: float) -> bool:
    return found is not None and now - found.modified > DRAFT_AGE_S


def tree(folder: Path, *, fs: FileSystem = REAL) -> list[tuple[Path, FileStat]]:
    """Return *folder* and everything below it, what is inside before what it is in; links are not followed."""
    found: list[tuple[Path, FileStat]] = []
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        known = fs.stat(path)
        if known is None:
            continue
        found.append((path, known))
        if known.is_dir:
            waiting += [path / name for name in fs.list_dir(path)]
    return found[::-1]


def remove_tree(folder: Path, *, fs: FileSystem = REAL) -> None:
    """Remove *folder* and everything below it; ``OSError`` when something stays."""
    for path, known in tree(folder, fs=fs):
        if known.is_dir:
            fs.remove_dir(path)
        else:
            fs.unlink(path)
