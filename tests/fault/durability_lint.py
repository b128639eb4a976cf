"""Read what a run did to the disk, from strace's output, and say where it counted on something that was not durable.

The rules are those of the store's write ordering (execution.md; P1 to P3 of the promises):

* ``log``: a log with bytes that are not synced, while a program is started, a message is sent or something is printed;
* ``rename``: a file gets its final name before its content is synced;
* ``name``: a name was made, replaced or removed and its folder not synced, when the same thread goes on to print, to
  send, or to append to a log; for a blob, when anybody appends to a log;
* ``end``: something of all that is still not synced at the end.

A sync counts for what was finished before it began. Text in, findings out; no files here.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["TRACED", "Call", "Finding", "Scope", "calls_of", "lint"]

TRACED: Final = (
    "open,openat,creat,write,writev,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,execve,sendmsg,sendto"
)
"""The calls that strace has to trace, with ``-f -y``."""

_LINE: Final = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))")
_WHERE: Final = r"(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"
_NAMES: Final = re.compile(rf'^{_WHERE}"([^"]*)"(?:, {_WHERE}"([^"]*)")?')
_HANDLE: Final = re.compile(r"^\d+<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that succeeded: the thread, what it was given, and the lines at which it began and ended."""

    thread: int
    name: str
    text: str
    began: int
    ended: int

    @property
    def path(self) -> str:
        """The file behind the descriptor that is the first argument."""
        found = _HANDLE.match(self.text)
        return found[1] if found else ""

    @property
    def names(self) -> list[str]:
        """The paths among the arguments, absolute."""
        found = _NAMES.match(self.text)
        if found is None:
            return []
        pairs = ((found[1], found[2]), (found[3], found[4]))
        return [os.path.normpath(os.path.join(at or "", name)) for at, name in pairs if name is not None]


def calls_of(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls of a trace in the order they ended; those that failed are left out."""
    open_calls: dict[int, tuple[str, str, int]] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.match(line)
        if found is None:
            continue
        thread, resumed, rest, name, text = int(found[1]), found[2], found[3], found[4], found[5]
        began = number
        if resumed:
            name, text, began = open_calls.pop(thread, (resumed, "", number))
            text += rest
        elif text.endswith("<unfinished ...>"):
            open_calls[thread] = (name, text.removesuffix("<unfinished ...>"), number)
            continue
        arguments, _, result = text.rpartition(") ")
        if not result.strip().startswith("= -1"):
            yield Call(thread, name, arguments.rstrip(), began, number)


@dataclass(frozen=True, slots=True)
class Scope:
    """What must be durable: everything ``below`` these folders, and these ``files``; ``told`` are what people read.

    ``loose`` are folders in there that hold only copies.
    """

    below: tuple[str, ...]
    files: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()

    def covers(self, path: str) -> bool:
        """Return whether *path* has to be durable. A lock is only held, and a temporary name may be lost."""
        base = os.path.basename(path)
        if base.endswith((".lock", ".tmp")) or ".lock-probe" in base:
            return False
        if any(f"{path}/".startswith(f"{folder}/") for folder in self.loose):
            return False
        return path in self.files or path.startswith(tuple(f"{folder}/" for folder in self.below))


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a rule was broken: the line of the trace, the rule, and what was not durable."""

    line: int
    rule: str
    path: str


@dataclass(slots=True)
class _Lint:
    scope: Scope
    unsynced: dict[str, int] = field(default_factory=dict)
    """File → line of its last write."""
    unnamed: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """Path whose name changed → folder, thread, line."""
    findings: list[Finding] = field(default_factory=list)

    def take(self, call: Call) -> None:
        if call.name in {"write", "writev", "pwrite64", "ftruncate"}:
            self._written(call)
        elif call.name in {"fsync", "fdatasync"}:
            self._synced(call)
        elif call.name in {"execve", "sendmsg", "sendto"}:
            self._counts(call)
        elif call.name in {"rename", "renameat", "renameat2"}:
            self._renamed(call)
        elif call.name in {"open", "openat", "creat"}:
            if "O_CREAT" in call.text or call.name == "creat":
                self._named(call, call.names[0])
        elif call.names:  # link, unlink, mkdir, rmdir
            self._named(call, call.names[-1])

    def _written(self, call: Call) -> None:
        if call.path in self.scope.told:
            self._counts(call)
        if _is_log(call.path):
            self._check_names(call, everybodys_blobs=True)
        if call.path.startswith("/"):
            self.unsynced[call.path] = call.ended

    def _synced(self, call: Call) -> None:
        if self.unsynced.get(call.path, call.began) < call.began:
            del self.unsynced[call.path]
        for path, (folder, _, line) in list(self.unnamed.items()):
            if folder == call.path and line < call.began:
                del self.unnamed[path]

    def _named(self, call: Call, path: str) -> None:
        # A name that comes and goes in between leaves nothing to be durable; what it replaced was counted already.
        if self.scope.covers(path):
            self.unnamed[path] = (os.path.dirname(path), call.thread, call.ended)
        if call.name.startswith(("unlink", "rmdir")):
            self.unsynced.pop(path, None)

    def _renamed(self, call: Call) -> None:
        source, target = call.names
        for path in [p for p in self.unsynced if p == source or p.startswith(f"{source}/")]:
            renamed = target + path[len(source) :]
            self.unsynced[renamed] = self.unsynced.pop(path)
            if self.scope.covers(renamed):
                self.findings.append(Finding(call.began, "rename", path))
        for path in [p for p in self.unnamed if p == source or p.startswith(f"{source}/")]:
            if path != source:
                self.findings.append(Finding(call.began, "rename", path))
            del self.unnamed[path]
        self._named(call, target)
        if os.path.dirname(source) != os.path.dirname(target):
            self._named(call, source)

    def _counts(self, call: Call) -> None:
        logs = [path for path, line in self.unsynced.items() if _is_log(path) and line < call.ended]
        self.findings += [Finding(call.began, "log", path) for path in logs]
        self._check_names(call)

    def _check_names(self, call: Call, *, everybodys_blobs: bool = False) -> None:
        for path, (_, thread, _) in self.unnamed.items():
            if "/.new-" in path:  # a job that is being made: nobody counts on it before it gets its name
                continue
            if thread == call.thread or (everybodys_blobs and "/blobs/" in path):
                self.findings.append(Finding(call.began, "name", path))

    def end(self, line: int) -> None:
        left = [path for path in (*self.unsynced, *self.unnamed) if self.scope.covers(path)]
        self.findings += [Finding(line, "end", path) for path in left]


def _is_log(path: str) -> bool:
    return os.path.basename(path) == "events.jsonl"


def lint(lines: Iterable[str], scope: Scope) -> list[Finding]:
    """Return where the run that strace's *lines* tell of counted on what was not durable, in order."""
    state = _Lint(scope)
    number = 0
    for call in calls_of(lines):
        state.take(call)
        number = call.ended
    state.end(number)
    return state.findings
