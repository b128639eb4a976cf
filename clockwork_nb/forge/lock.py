"""One writer of a workspace's state at a time, on this machine."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.clock import Clock, SystemClock, rfc3339
from clockwork_nb.errors import InvalidInputError, StateLockedError
from clockwork_nb.fs import REAL, FileSystem, make_dirs, raise_storage_error, write_all

__all__ = ["LOCK_NAME", "WorkspaceLock"]

LOCK_NAME = "state.lock"


class WorkspaceLock:
    """The lock of a workspace's state: an exclusive ``flock`` on *path*, for the length of a ``with``.

    The kernel releases it when the owner dies, so there is nothing to take over and the file is never removed. What
    stands in the file (pid, host, job, since) is for messages alone. Not reentrant: a second one, also of this
    process, is refused.
    """

    def __init__(self, path: Path, *, job: str = "", clock: Clock | None = None, fs: FileSystem = REAL) -> None:
        self.path = path
        self._job = job
        self._clock = clock or SystemClock()
        self._fs = fs
        self._handle = -1

    @property
    def held(self) -> bool:
        """Whether this object holds the lock now."""
        return self._handle >= 0

    def acquire(self) -> None:
        """Take the lock at once or not at all.

        Raises:
            StateLockedError: E_STATE_LOCKED, naming the owner; ``details["owner"]`` has the facts.
            StoreIOError: the lock file cannot be made.
        """
        if self.held:
            raise StateLockedError("this process holds the state already", hint="Finish the other run first.")
        make_dirs(self.path.parent)
        try:
            handle = self._fs.open_lock(self.path)
        except OSError as error:
            raise_storage_error(error, self.path, "opening the lock")
        try:
            if not self._fs.try_lock(handle):
                raise self._busy()
            facts = {
                "pid": os.getpid(),
                "host": platform.node(),
                "job": self._job,
                "since": rfc3339(self._clock.now()),
            }
            self._fs.truncate(handle, 0)
            write_all(self._fs, handle, canonical_json(facts) + b"\n")
        except OSError as error:
            self._fs.close(handle)
            raise_storage_error(error, self.path, "taking the lock")
        except StateLockedError:
            self._fs.close(handle)
            raise
        self._handle = handle

    def release(self) -> None:
        """Give the lock back; nothing when it is not held."""
        if self.held:
            handle, self._handle = self._handle, -1
            with contextlib.suppress(OSError):
                self._fs.truncate(handle, 0)
            self._fs.close(handle)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _busy(self) -> StateLockedError:
        owner = self._owner()
        if not owner:
            return StateLockedError(
                "another process holds this workspace's state",
                hint="Wait until it is done and try again.",
                details={"path": str(self.path)},
            )
        who = f"process {owner['pid']}" + (f" (job {owner['job']})" if owner.get("job") else "")
        hint = f"Wait until it is done and try again, or stop it: kill {owner['pid']}"
        if owner.get("job"):
            hint = f"Wait until it is done and try again, or stop it: clockwork job cancel {owner['job']}"
        since = f" since {_clock_text(str(owner.get('since', '')))}"
        return StateLockedError(
            f"{who} holds this workspace's state{since}", hint=hint, details={"owner": owner, "path": str(self.path)}
        )

    def _owner(self) -> dict[str, str | int]:
        try:
            facts = parse_json(self._fs.read(self.path)[:4096], what="the lock")
        except (OSError, InvalidInputError):
            return {}
        if not isinstance(facts, Mapping) or not isinstance(facts.get("pid"), int):
            return {}
        return {k: facts[k] for k in ("pid", "host", "job", "since") if isinstance(facts.get(k), (str, int))}


def _clock_text(stamp: str) -> str:
    try:
        return datetime.fromisoformat(stamp).strftime("%H:%M:%S UTC")
    except ValueError:
        return "some time"
