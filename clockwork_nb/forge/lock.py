"""One writer of a workspace's state at a time, on this machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.clock import Clock, SystemClock, rfc3339
from clockwork_nb.errors import InvalidInputError, StateLockedError
from clockwork_nb.fs import REAL, FileSystem, make_dirs, raise_storage_error, write_all
from clockwork_nb.mounts import boot_id, require_locks

__all__ = ["LOCK_NAME", "WorkspaceLock", "left_behind_text", "owner_text"]

LOCK_NAME = "state.lock"

_FACTS: Final = ("pid", "host", "job", "verb", "since", "started", "boot")
_POLL_S: Final = 0.1


class WorkspaceLock:
    """The lock of a workspace's state: an exclusive ``flock`` on *path*, for the length of a ``with``.

    The kernel releases it when its owner dies, so a dead owner's lock is simply free, and the file is never removed.
    What stands in the file is for messages alone: pid, host, job, verb, since, and what tells one process from a later
    one with the same pid (its start in clock ticks since boot, the boot's id). An owner that gives the lock back clears
    it; what is found there by the next one is left from an owner that died: `left_behind`.

    Not reentrant: a second one, also of this process, is refused.

    Args:
        job, verb: who takes it, for those who find it taken.
        wait_s: how long to wait for it; 0 not at all.
        on_wait: called once with the owner's facts when waiting begins.
        single_host: the user vouches that no other machine uses the folder (see `clockwork_nb.mounts.require_locks`).
    """

    def __init__(
        self,
        path: Path,
        *,
        job: str = "",
        verb: str = "",
        wait_s: float = 0.0,
        on_wait: Callable[[Mapping[str, Any]], None] | None = None,
        single_host: bool = False,
        clock: Clock | None = None,
        fs: FileSystem = REAL,
    ) -> None:
        self.path = path
        self.left_behind: Mapping[str, Any] = {}
        """The facts of an owner that died with the lock, as `acquire` found them; empty when there was none."""
        self._job, self._verb = job, verb
        self._wait_s, self._on_wait = wait_s, on_wait
        self._single_host = single_host
        self._clock = clock or SystemClock()
        self._fs = fs
        self._handle = -1

    @property
    def held(self) -> bool:
        """Whether this object holds the lock now."""
        return self._handle >= 0

    def acquire(self) -> None:
        """Take the lock, at once or within the time that was given.

        Raises:
            StateLockedError: E_STATE_LOCKED, naming the owner; ``details["owner"]`` has the facts.
            UnsupportedFileSystemError: E_UNSUPPORTED_FS, other machines may use the folder too.
            StoreIOError: the lock file cannot be made.
        """
        if self.held:
            raise StateLockedError("this process holds the state already", hint="Finish the other run first.")
        make_dirs(self.path.parent, fs=self._fs)
        if self._fs is REAL:
            require_locks(self.path.parent, single_host=self._single_host, what="the state")
        try:
            handle = self._fs.open_lock(self.path)
        except OSError as error:
            raise_storage_error(error, self.path, "opening the lock")
        try:
            self._take(handle)
            self.left_behind = self._owner()
            self._fs.truncate(handle, 0)
            write_all(self._fs, handle, canonical_json(self._facts()) + b"\n")
        except OSError as error:
            self._fs.close(handle)
            raise_storage_error(error, self.path, "taking the lock")
        except BaseException:
            self._fs.close(handle)
            raise
        self._handle = handle

    def _take(self, handle: int) -> None:
        until = time.monotonic() + self._wait_s
        told = False
        while not self._fs.try_lock(handle):
            left = until - time.monotonic()
            if left <= 0:
                raise self._busy()
            if not told and self._on_wait is not None:
                self._on_wait(self._owner())
            told = True
            time.sleep(min(_POLL_S, left))

    def _facts(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "job": self._job,
            "verb": self._verb,
            "since": rfc3339(self._clock.now()),
            "started": _started(os.getpid()),
            "boot": boot_id(),
        }

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
        if not owner or not _is_running(owner):  # the facts are an earlier owner's: this one has not written its own
            return StateLockedError(
                "another process holds this workspace's state",
                hint="Wait until it is done and try again.",
                details={"path": str(self.path)},
            )
        stop = f"clockwork job cancel {owner['job']}" if owner.get("job") else f"kill {owner['pid']}"
        return StateLockedError(
            f"{owner_text(owner)} holds this workspace's state since {_clock_text(str(owner.get('since', '')))}",
            hint=f"Wait until it is done and try again, or stop it: {stop}",
            details={"owner": owner, "path": str(self.path)},
        )

    def _owner(self) -> dict[str, str | int]:
        try:
            facts = parse_json(self._fs.read(self.path)[:4096], what="the lock")
        except (OSError, InvalidInputError):
            return {}
        if not isinstance(facts, Mapping) or not isinstance(facts.get("pid"), int):
            return {}
        return {k: facts[k] for k in _FACTS if isinstance(facts.get(k), (str, int))}


def owner_text(owner: Mapping[str, Any]) -> str:
    """Return who the owner with these facts is: ``process 4711 (apply, job_…)``."""
    more = [str(owner[name]) for name in ("verb", "job") if owner.get(name)]
    if more and owner.get("job"):
        more[-1] = f"job {more[-1]}"
    return f"process {owner['pid']}" + (f" ({', '.join(more)})" if more else "")


def left_behind_text(owner: Mapping[str, Any]) -> str:
    """Return the sentence that tells of an owner that died with the lock; empty when there was none."""
    if not owner:
        return ""
    since = _clock_text(str(owner.get("since", "")))
    return f"{owner_text(owner)} took the state at {since} and ended without giving it back; it is free again"


def _is_running(owner: Mapping[str, Any]) -> bool:
    """Return whether the process of these facts may still be the one that wrote them; True where it cannot be told."""
    here, boot = boot_id(), owner.get("boot", "")
    if here and boot and here != boot:
        return False
    started = owner.get("started", 0)
    now = _started(int(owner["pid"]))
    return not started or not here or now == started


def _started(pid: int) -> int:
    """Return when process *pid* started, in clock ticks since boot (proc(5), stat field 22); 0 where it is not known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
        return int(text[text.rindex(b")") + 2 :].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _clock_text(stamp: str) -> str:
    try:
        return datetime.fromisoformat(stamp).strftime("%H:%M:%S UTC")
    except ValueError:
        return "some time"
