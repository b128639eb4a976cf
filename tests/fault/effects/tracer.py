"""Run a command and end it with SIGKILL right before its k-th system call that could change something outside it.

A program of its own, ``python tracer.py POINT REPORT COMMAND…``, because ptrace(2) belongs to one thread that waits
for all it traces. Unlike ``strace -e inject=…:when=k``, which counts each call of each thread by itself, it has one
count for all threads of the command, so every moment of a run has a number; and processes that the command starts are
not traced at all, so it is always the command itself that dies.

Counting begins with the first folder the command makes: what an interpreter does to start is nobody's kill point. A
call that changes nothing for anybody else is no point of its own, since dying before it cannot be told from dying before
the next one that does: ``openat`` counts when it may write, ``close`` when it gives back a lock or the end of a pipe, of
a socket or of a memory file.

POINT 0 lets the command end by itself. REPORT is a JSON file: ``calls`` (the names, in order, up to the end) and
``status`` (the command's, or minus the signal).
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import random
import signal
import sys
from typing import Final

# linux/ptrace.h
_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_SYSGOOD, _TRACECLONE, _TRACEEXEC, _EXITKILL = 1, 8, 0x10, 0x100000
_ENTRY = 1
_WALL: Final = 0x40000000  # linux/wait.h: threads too

# What P1 names, the calls that make and remove names in other ways, and the one that sends a step to the launcher.
_NUMBERS: Final = {
    "x86_64": {
        1: "write", 3: "close", 18: "pwrite64", 44: "sendto", 46: "sendmsg", 56: "clone", 57: "fork", 58: "vfork",
        59: "execve", 62: "kill", 74: "fsync", 75: "fdatasync", 77: "ftruncate", 82: "rename", 83: "mkdir",
        84: "rmdir", 86: "link", 87: "unlink", 231: "exit_group", 257: "openat", 258: "mkdirat", 263: "unlinkat",
        264: "renameat", 265: "linkat", 316: "renameat2", 435: "clone3",
    },
    "aarch64": {
        34: "mkdirat", 35: "unlinkat", 37: "linkat", 38: "renameat", 46: "ftruncate", 56: "openat", 57: "close",
        64: "write", 68: "pwrite64", 82: "fsync", 83: "fdatasync", 94: "exit_group", 129: "kill", 206: "sendto",
        211: "sendmsg", 220: "clone", 221: "execve", 276: "renameat2", 435: "clone3",
    },
}  # fmt: skip
_MAY_WRITE: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_OPEN_ENDS: Final = ("pipe:", "socket:", "/memfd:")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class _SyscallInfo(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("args", ctypes.c_uint64 * 6),
    )


def _ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, tid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace {request:#x}: {os.strerror(number)}")


class Tracer:
    """One traced run. ``calls`` are the points passed so far."""

    def __init__(self, point: int) -> None:
        self.point = point
        self.calls: list[str] = []
        self._names = _NUMBERS[platform.machine()]
        self._info = _SyscallInfo()
        self._known: set[int] = set()

    def run(self, command: list[str]) -> int:
        """Run *command* to its end, or to its kill point, and return its status (minus the signal)."""
        leader = os.fork()
        if not leader:
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execv(command[0], command)
        os.waitpid(leader, 0)
        self._known.add(leader)
        _ptrace(_SETOPTIONS, leader, 0, _SYSGOOD | _TRACECLONE | _TRACEEXEC | _EXITKILL)
        _ptrace(_SYSCALL, leader)
        while True:
            tid, status = os.waitpid(-1, _WALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                if tid == leader:
                    return os.waitstatus_to_exitcode(status)
                continue
            passed_on = 0
            if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
                if self._is_point(tid) and len(self.calls) == self.point:
                    os.kill(leader, signal.SIGKILL)
                    continue
            elif not status >> 16 and tid in self._known:
                passed_on = os.WSTOPSIG(status)
            self._known.add(tid)
            try:
                _ptrace(_SYSCALL, tid, 0, passed_on)
            except ProcessLookupError:  # the process ends under this thread
                continue

    def _is_point(self, tid: int) -> bool:
        size = _libc.ptrace(_GET_SYSCALL_INFO, tid, ctypes.sizeof(self._info), ctypes.addressof(self._info))
        if size < 0 or self._info.op != _ENTRY:
            return False
        name = self._names.get(self._info.number, "")
        if not name or not (self.calls or name.startswith("mkdir")) or not self._matters(name, tid):
            return False
        self.calls.append(name)
        return True

    def _matters(self, name: str, tid: int) -> bool:
        if name == "openat":
            return bool(self._info.args[2] & _MAY_WRITE)
        if name != "close":
            return True
        try:
            shown = os.readlink(f"/proc/{tid}/fd/{self._info.args[0]}")
        except OSError:
            return False
        return shown.startswith(_OPEN_ENDS) or shown.endswith(".lock")


def main(words: list[str]) -> None:
    """Do what the command line says."""
    point, report, *command = words
    # On one processor the two hand over to each other several times faster than across two.
    os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
    tracer = Tracer(int(point))
    status = tracer.run(command)
    with open(report, "w", encoding="ascii") as file:
        json.dump({"calls": tracer.calls, "status": status}, file)


if __name__ == "__main__":
    main(sys.argv[1:])
