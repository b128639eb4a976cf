"""What a run that was killed left running: found by the mark every step carries, ended only with that mark.

A step's processes have ``CW_FENCING_TOKEN=<job>:<epoch>`` in their environment. The launcher and its guard end them when the
run dies; only when both are killed in the same moment does anything go on. A process that threw its environment away is not
found: nothing else about it says that it was ours.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from clockwork_nb.patterns import pattern

__all__ = ["MARK_NAME", "Orphan", "end_orphans", "find_orphans"]

MARK_NAME: Final = "CW_FENCING_TOKEN"
"""The variable whose value, ``<job>:<epoch>``, every process of a step has."""

_MARK: Final = pattern(rb"([a-z0-9][a-z0-9._-]{0,63}):([0-9]{1,18})\Z")
_GONE_S: Final = 5.0
_PROC: Final = Path("/proc")


class Orphan(Struct, frozen=True):
    """A living process of a step: of which job and epoch, and what it is called."""

    pid: int
    job: str
    epoch: int
    name: str


def find_orphans(is_over: Callable[[str, int], bool]) -> list[Orphan]:
    """Return this user's processes that carry the mark of a run for which *is_over* (job, epoch) holds, by pid.

    Nothing is touched. Processes of other users, and this one, are passed over.
    """
    known: dict[tuple[str, int], bool] = {}
    found = []
    for pid in sorted(_own_processes()):
        mark = _mark_of(pid)
        if mark is None:
            continue
        if mark not in known:
            known[mark] = is_over(*mark)
        if known[mark]:
            found.append(Orphan(pid, *mark, _name_of(pid)))
    return found


def end_orphans(found: list[Orphan]) -> list[Orphan]:
    """Kill each of *found* that still carries the mark it was found with, and return those that are gone now.

    A number that has gone to another process in between is left alone: the process is held by descriptor first, and its
    mark is looked at again before anything is sent.
    """
    ended = []
    held: list[tuple[Orphan, int]] = []
    try:
        for orphan in found:
            try:
                fd = os.pidfd_open(orphan.pid)
            except OSError:
                continue  # gone by itself
            held.append((orphan, fd))
            if _mark_of(orphan.pid) == (orphan.job, orphan.epoch):
                _send_kill(fd)
                ended.append(orphan)
        deadline = time.monotonic() + _GONE_S
        while any(_mark_of(o.pid) == (o.job, o.epoch) for o in ended) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        for _, fd in held:
            os.close(fd)
    return [o for o in ended if _mark_of(o.pid) != (o.job, o.epoch)]


def _send_kill(fd: int) -> None:
    try:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    except ProcessLookupError:
        return  # it went by itself


def _own_processes() -> Iterator[int]:
    me = os.geteuid()
    with os.scandir(_PROC) as entries:
        for entry in entries:
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if entry.stat().st_uid == me:
                        yield int(entry.name)
                except OSError:
                    continue  # gone since the listing


def _mark_of(pid: int) -> tuple[str, int] | None:
    """Return the mark of process *pid*, None when it has none, is gone or may not be looked at."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            environment = file.read()
    except OSError:
        return None
    prefix = f"{MARK_NAME}=".encode()
    if prefix not in environment:  # nearly every process of the machine
        return None
    for variable in environment.split(b"\0"):
        if variable.startswith(prefix) and (found := _MARK.match(variable[len(prefix) :])):
            return found.group(1).decode(), int(found.group(2))
    return None


def _name_of(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
