"""Landlock and the few process attributes a step is given, by system call. Standard library only.

Imported by the step launcher and by the program that confines a step inside bubblewrap; both run without this package
on their path. Facts about the interface: Linux, include/uapi/linux/landlock.h and Documentation/userspace-api/landlock.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys

__all__ = [
    "DIE_WITH_PARENT",
    "KEEP_ORPHANS",
    "NO_NEW_PRIVILEGES",
    "build_ruleset",
    "carry_out",
    "landlock_abi",
    "refused",
    "restriction",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
_MAKE_CHAR, _MAKE_DIR, _MAKE_BLOCK = 1 << 6, 1 << 7, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NEVER = _MAKE_CHAR | _MAKE_BLOCK

_libc = ctypes.CDLL(None, use_errno=True)


def _function(name: str, result: object, *arguments: object) -> ctypes._NamedFuncPointer:
    # With the types told beforehand a call makes no objects: right after fork each of their pages would be a copy.
    pointer = _libc[name]
    pointer.restype, pointer.argtypes = result, arguments  # type: ignore[assignment]
    return pointer


_prctl = _function("prctl", ctypes.c_int, ctypes.c_int, *[ctypes.c_ulong] * 4)
_create = _function("syscall", ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32)
_add = _function("syscall", ctypes.c_long, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_restrict = _function("syscall", ctypes.c_long, ctypes.c_long, ctypes.c_int, ctypes.c_uint32)


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise _failed(what)
    return result


def _failed(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")


if TYPE_CHECKING:
    Call = tuple[Callable[..., object], tuple[Any, ...]]

# --- attributes of this process ---------------------------------------------------------------------------------

# Calls with their arguments instead of functions: who has just been forked makes them without running more Python.
# The answer -1 is a failure, which `refused` names.

DIE_WITH_PARENT = (_prctl, (_PR_SET_PDEATHSIG, 9, 0, 0, 0))
"""Have SIGKILL sent to this process when the thread that forked it ends; kept by execve."""
KEEP_ORPHANS = (_prctl, (_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
"""Make this process the parent of whatever is orphaned below it; kept by execve, not inherited by fork."""
NO_NEW_PRIVILEGES = (_prctl, (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
"""Let no program started from here gain rights by its file's set-uid bit or capabilities; for ever."""

_NAMES = {
    _PR_SET_PDEATHSIG: "PR_SET_PDEATHSIG",
    _PR_SET_CHILD_SUBREAPER: "PR_SET_CHILD_SUBREAPER",
    _PR_SET_NO_NEW_PRIVS: "PR_SET_NO_NEW_PRIVS",
    _SYS_RESTRICT_SELF: "landlock_restrict_self",
}


def restriction(ruleset: int) -> Call:
    """Return the call that puts a thread, and what it starts, under *ruleset*; for ever, after `NO_NEW_PRIVILEGES`."""
    return _restrict, (_SYS_RESTRICT_SELF, ruleset, 0)


def refused(arguments: tuple[int, ...]) -> OSError:
    """Return the error of the last call, which was one of these with *arguments*."""
    return _failed(_NAMES[arguments[0]])


def carry_out(call: Call) -> None:
    """Make one of these calls.

    Raises:
        OSError: the kernel refused it.
    """
    function, arguments = call
    if function(*arguments) == -1:
        raise refused(arguments)


# --- rules ------------------------------------------------------------------------------------------------------


def landlock_abi() -> int:
    """Return the Landlock ABI of this kernel, 1 or more, or the negative errno that says why there is none."""
    if sys.platform != "linux":
        return -errno.ENOSYS
    abi = int(_create(_SYS_CREATE_RULESET, None, 0, 1))
    return abi if abi >= 0 else -ctypes.get_errno()


def _handled_files(abi: int) -> int:
    bits = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        if abi >= since:
            bits |= 1 << bit
    return bits


def _open_exactly(path: str) -> int:
    """Open *path* for a rule; it must be where it was when the rights were decided, through no symlink."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    if _is_link(fd) or os.readlink(f"/proc/self/fd/{fd}") != path:
        os.close(fd)
        raise OSError(errno.ELOOP, f"{path} is not what it was when the rights were decided")
    return fd


def _is_link(fd: int) -> bool:
    return stat.S_ISLNK(os.fstat(fd).st_mode)


class _Ruleset:
    """A Landlock ruleset under construction; ``fd`` is what the step restricts itself with."""

    def __init__(self, abi: int, ports: list[int] | None) -> None:
        self.files = _handled_files(abi)
        # TCP bind and connect from ABI 4; abstract sockets and signals to outsiders from ABI 6.
        net = 3 if ports is not None and abi >= 4 else 0
        attr = struct.pack("=QQQ", self.files, net, 3)[: 8 if abi < 4 else 16 if abi < 6 else 24]
        self.fd = _checked(_create(_SYS_CREATE_RULESET, attr, len(attr), 0), "landlock_create_ruleset")
        for port in ports if ports and net else ():
            self._add(_RULE_NET_PORT, struct.pack("=QQ", net, port))

    def _add(self, kind: int, attr: bytes) -> None:
        if _add(_SYS_ADD_RULE, self.fd, kind, attr, 0) < 0:
            raise _failed("landlock_add_rule")

    def allow(self, fd: int, rights: int, mode: int = 0) -> None:
        mode = mode or os.fstat(fd).st_mode
        rights &= self.files if stat.S_ISDIR(mode) else self.files & _ON_FILES
        self._add(_RULE_PATH_BENEATH, struct.pack("=Qi", rights, fd))

    def allow_path(self, path: str, rights: int) -> None:
        fd = _open_exactly(path)
        try:
            self.allow(fd, rights)
        finally:
            os.close(fd)

    def allow_read(self, path: str) -> None:
        """Like `allow_path`, but follows links and skips what this system does not have."""
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            self.allow(fd, _READ)
        finally:
            os.close(fd)

    def allow_children(self, path: str, hidden: list[str]) -> None:
        """Let every entry of *path* be read but the *hidden* ones and symlinks; names may be listed everywhere."""
        top = _open_exactly(path)
        try:
            self.allow(top, _READ_DIR)
            skip = frozenset(hidden)
            for name in os.listdir(path):
                if name in skip:
                    continue
                try:
                    fd = os.open(name, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=top)
                except OSError:
                    continue  # gone since the listing
                try:
                    mode = os.fstat(fd).st_mode
                    if not stat.S_ISLNK(mode):
                        self.allow(fd, _READ, mode)
                finally:
                    os.close(fd)
        finally:
            os.close(top)


def build_ruleset(rules: dict[str, object], abi: int) -> int:
    """Return the descriptor of a new ruleset for *rules*; everything not named there is denied.

    *rules*: ``read``, ``write``, ``mkdir``, ``rmdir`` are lists of absolute paths, ``children`` of [path, names to leave
    out], ``net`` is a list of TCP ports or None for an open network; `clockwork_nb.forge.confinement.Grant` says what
    the kinds mean.

    Raises:
        OSError: no Landlock, a path to write to that is gone or moved, or too few descriptors.
    """
    if abi < 1:
        raise OSError(-abi, "this kernel offers no Landlock")
    ruleset = _Ruleset(abi, rules["net"])  # type: ignore[arg-type] # JSON of our own caller
    try:
        _allow_all(ruleset, rules)
    except BaseException:
        os.close(ruleset.fd)
        raise
    return ruleset.fd


def _allow_all(ruleset: _Ruleset, rules: dict) -> None:  # type: ignore[type-arg] # JSON of our own caller
    for path in rules["read"]:
        ruleset.allow_read(path)
    for path, hidden in rules["children"]:
        ruleset.allow_children(path, hidden)
    for path in rules["write"]:
        ruleset.allow_path(path, ruleset.files & ~_NEVER)
    for path in rules["mkdir"]:
        ruleset.allow_path(path, _MAKE_DIR)
    for path in rules["rmdir"]:
        ruleset.allow_path(path, _REMOVE_DIR)
