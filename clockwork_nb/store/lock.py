"""Kernel locks on files that are never renamed or removed.

``flock`` belongs to the open file: it goes when the process dies, whatever the reason, and no clock and no process
number has to be believed. A child that is forked without exec would keep it alive, so children close it.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from typing import TYPE_CHECKING, Final

from clockwork_nb.errors import StateLockedError
from clockwork_nb.fs import REAL, FileSystem, raise_storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FileLock", "hold"]

_held: weakref.WeakSet[FileLock] = weakref.WeakSet()
_STEP_S: Final = 0.002


class FileLock:
    """An exclusive lock on a file that exists only for that."""

    def __init__(self, path: Path, *, fs: FileSystem = REAL) -> None:
        self.path = path
        self._fs = fs
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object has the lock."""
        return self._handle is not None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; return whether this object has it now.

        Raises:
            StoreIOError: E_STORE_IO: the lock file cannot be opened.
        """
        if self._handle is not None:
            return True
        try:
            handle = self._fs.open_lock(self.path)
        except OSError as error:
            raise_storage_error(error, self.path, "opening the lock")
        taken = False
        try:
            taken = self._fs.try_lock(handle)
        except OSError as error:
            raise_storage_error(error, self.path, "locking")
        finally:
            if not taken:
                self._fs.close(handle)
        if taken:
            self._handle = handle
            _held.add(self)
        return taken

    def acquire(self, *, wait_s: float) -> None:
        """Take the lock, waiting up to *wait_s* seconds for it.

        Raises:
            StateLockedError: E_STATE_LOCKED: somebody else still has it.
            StoreIOError: E_STORE_IO.
        """
        deadline = time.monotonic() + wait_s
        pause = _STEP_S
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                raise StateLockedError(
                    f"{self.path} is held by another process for more than {wait_s:g} s",
                    hint="A process hangs or was stopped (SIGSTOP) in the middle of a write: let it go on, or end it.",
                    details={"path": str(self.path)},
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        handle, self._handle = self._handle, None
        _held.discard(self)
        if handle is not None:
            with contextlib.suppress(OSError):
                self._fs.close(handle)


@contextlib.contextmanager
def hold(path: Path, *, fs: FileSystem = REAL, wait_s: float = 10.0) -> Iterator[None]:
    """Hold the lock *path* for the length of a ``with`` block.

    Raises:
        StateLockedError: E_STATE_LOCKED after *wait_s* seconds.
        StoreIOError: E_STORE_IO.
    """
    lock = FileLock(path, fs=fs)
    lock.acquire(wait_s=wait_s)
    try:
        yield
    finally:
        lock.release()


def _close_in_child() -> None:
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
