"""What a folder lies on, and whether two processes that lock a file there can rely on it.

Two questions, asked once per disk and boot: does the operating system say that other machines may use the file system
too (statfs(2), magic numbers), and does a lock that one process holds really keep another one out? The answer is kept in
the folder, in ``.lock-probe``, so that asking costs one small file later.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import ClockworkError, StoreIOError, UnsafeOperationError, UnsupportedFileSystemError
from clockwork_nb.fs import read_bytes, write_atomic

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

__all__ = [
    "Mount",
    "boot_id",
    "judge_mount",
    "mount_of",
    "private_folder",
    "probe_locks",
    "remembered",
    "require_locks",
]

# statfs(2) f_type of file systems that several machines use at once, or that hand locks to a program.
_SHARED: Final = {
    0x6969: "nfs",
    0x517B: "smb",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x01021997: "9p",
    0x5346414F: "afs",
    0x6B414653: "afs",
    0x00C36400: "ceph",
    0x0BD00BD0: "lustre",
    0x47504653: "gpfs",
    0x19830326: "beegfs",
    0x20030528: "orangefs",
    0xAAD7AAEA: "panfs",
    0x786F4256: "vboxsf",
    0x65735546: "fuse",
    0x73757245: "coda",
    0x564C: "ncp",
    0x01161970: "gfs2",
    0x7461636F: "ocfs2",
}
_FUSE: Final = 0x65735546
_LOCAL_FUSE: Final = frozenset({"fuseblk", "fuse.fuse-overlayfs"})
"""FUSE types that only ever stand on a disk of this machine; of any other one cannot tell."""

_CACHE: Final = ".lock-probe"
_SCHEMA: Final = "clockwork.lock-probe.v1"
_ANSWER_S: Final = 20.0
_ELSEWHERE: Final = {"the job store": "Set CLOCKWORK_HOME to a folder on a local disk."}
_OTHER_DISK: Final = "Work in a copy of the folder that is on a local disk."
_proven: dict[tuple[int, str], Mount] = {}


class Mount(Struct, frozen=True):
    """A file system: its type (``ext4``, ``nfs4``, ``fuse.sshfs``; empty when it cannot be told), and whether other
    machines may use it at the same time."""

    kind: str
    shared: bool


def mount_of(path: Path) -> Mount:
    """Return what *path*, or its nearest existing parent, lies on.

    Linux only; elsewhere, and when the system cannot tell, it is a local file system without a name.
    """
    if not sys.platform.startswith("linux"):
        return Mount("", shared=False)
    import ctypes

    current = path
    while not current.exists() and current != current.parent:
        current = current.parent
    buffer = ctypes.create_string_buffer(512)  # struct statfs is 120 bytes on 64-bit Linux
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(current), buffer) != 0:
        return Mount("", shared=False)
    width = ctypes.sizeof(ctypes.c_long)
    magic = int.from_bytes(buffer.raw[:width], sys.byteorder) & 0xFFFFFFFF
    return judge_mount(magic, _mounted_type(current))


def judge_mount(magic: int, mounted: str) -> Mount:
    """Return the mount with statfs(2) number *magic* that the list of mounts calls *mounted* (may be empty)."""
    known = _SHARED.get(magic, "")
    if magic == _FUSE and mounted in _LOCAL_FUSE:
        return Mount(mounted, shared=False)
    # A file system that is passed through from the host of a virtual machine has FUSE's number and its own name.
    return Mount(mounted or known, shared=bool(known))


def _mounted_type(path: Path) -> str:
    # proc(5), mountinfo: "36 35 98:0 /root /at options … - ext4 /dev/x …"; the last line for a device is on top.
    try:
        device = path.stat().st_dev
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in reversed(lines):
        before, _, after = line.partition(" - ")
        if before.split()[2:3] == [wanted]:
            return after.split(" ", 1)[0]
    return ""


_CHILD: Final = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDWR)
for _ in sys.stdin:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("taken", flush=True)
    except BlockingIOError:
        print("busy", flush=True)
"""


def probe_locks(folder: Path) -> str:
    """Return what is wrong with file locks in *folder*; empty when they hold.

    A second process tries to take a lock that this one holds (it must not get it), and once more when it was given back
    (then it must). Leaves nothing behind.

    Raises:
        StoreIOError: E_STORE_IO: no file can be made there, or no process started.
    """
    path = folder / f"{_CACHE}.{os.urandom(6).hex()}"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreIOError(f"no file can be made in {folder}: {error.strerror}") from error
    try:
        return _try_locks(path, handle)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _try_locks(path: Path, handle: int) -> str:
    import subprocess

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return f"a file cannot be locked ({error.strerror})"
    kept = {k: os.environ[k] for k in ("LD_LIBRARY_PATH",) if k in os.environ}  # some Pythons do not start without
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CHILD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept,
            bufsize=0,
        )
    except OSError as error:
        raise StoreIOError(f"a process to try locks with cannot be started: {error.strerror}") from error
    with child:
        try:
            held = _answer(child)
            fcntl.flock(handle, fcntl.LOCK_UN)
            freed = _answer(child)
        finally:
            child.kill()
    if held == "busy" and freed == "taken":
        return ""
    if held == "taken":
        return "a file that one process has locked can be locked by another"
    if held == "busy":
        return "a lock that was given back cannot be taken by another process"
    return "a second process could not try the lock"


def _answer(child: subprocess.Popen[bytes]) -> str:
    import select

    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(b"\n")
    except BrokenPipeError:
        return ""
    if not select.select([child.stdout], [], [], _ANSWER_S)[0]:
        return ""
    return child.stdout.readline().decode().strip()


def require_locks(
    home: Path,
    *,
    single_host: bool = False,
    what: str = "the job store",
    mount: Callable[[Path], Mount] = mount_of,
    probe: Callable[[Path], str] = probe_locks,
) -> str:
    """Return when locks in the existing folder *home* can be relied on; with what to tell the user, usually nothing.

    Args:
        single_host: the user vouches that no other machine uses the folder. That makes a shared file system good
            enough, not one whose locks do not even hold between two processes here.
        mount, probe: what is asked; the machine by default.

    Raises:
        UnsupportedFileSystemError: E_UNSUPPORTED_FS.
        StoreIOError: E_STORE_IO.
    """
    try:
        device = home.stat().st_dev
    except OSError as error:
        raise StoreIOError(f"{home} cannot be looked at: {error.strerror}", details={"path": str(home)}) from error
    key = (device, boot_id())
    known = _known(home, key)
    if known is None:
        known = mount(home)
        problem = probe(home) if single_host or not known.shared else ""
        if problem:
            raise UnsupportedFileSystemError(
                f"locks do not work in {what} {home}: {problem}",
                hint=_ELSEWHERE.get(what, _OTHER_DISK),
                details={"path": str(home), "kind": known.kind},
            )
        if single_host or not known.shared:
            document = {"schema": _SCHEMA, "device": device, "boot_id": key[1], **_fields(known)}
            write_atomic(home / _CACHE, canonical_json(document))
    if known.shared and not single_host:
        raise UnsupportedFileSystemError(
            f"{what} {home} would lie on a file system that other machines may use too ({known.kind}), "
            "and their locks cannot be trusted",
            hint=f"{_ELSEWHERE.get(what, _OTHER_DISK)}\n"
            "If no other machine uses it: --i-know-single-host, or CW_SINGLE_HOST=1.",
            details={"path": str(home), "kind": known.kind},
        )
    _proven[key] = known
    if not known.shared:
        return ""
    return f"{what} {home} is on {known.kind}; you vouch that no other machine uses it"


def remembered(home: Path) -> Mount | None:
    """Return what `require_locks` found out about the folder *home* since the machine was started; None if nothing."""
    try:
        return _known(home, (home.stat().st_dev, boot_id()))
    except OSError:
        return None


def _known(home: Path, key: tuple[int, str]) -> Mount | None:
    return _proven.get(key) or _recorded(home, key)


def _fields(mount: Mount) -> dict[str, Any]:
    return {"kind": mount.kind, "shared": mount.shared}


def _recorded(home: Path, key: tuple[int, str]) -> Mount | None:
    """Return what an earlier process found in this boot; a cache only, so anything odd in it counts as nothing."""
    try:
        found = parse_json(read_bytes(home / _CACHE)[:4096], what=_CACHE)
    except (FileNotFoundError, ClockworkError):
        return None
    if not isinstance(found, dict) or not key[1] or (found.get("device"), found.get("boot_id")) != key:
        return None
    kind, shared = found.get("kind"), found.get("shared")
    if found.get("schema") != _SCHEMA or not isinstance(kind, str) or not isinstance(shared, bool):
        return None
    return Mount(kind, shared)


def boot_id() -> str:
    """Return what names this start of the machine (random(4)); empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def private_folder(path: Path) -> Path:
    """Return the folder *path*, made when missing, in a place where everybody may make names (``/var/tmp``).

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION: something else has the name: a link, a folder of another user, or one
            that others can look into.
        StoreIOError: E_STORE_IO: it cannot be made.
    """
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise StoreIOError(f"{path} cannot be made: {error.strerror}", details={"path": str(path)}) from error
    problem = ""
    if not stat.S_ISDIR(found.st_mode):
        problem = "is not a folder"
    elif found.st_uid != os.geteuid():
        problem = "belongs to another user"
    elif found.st_mode & 0o077:
        problem = "is open to other users"
    if problem:
        raise UnsafeOperationError(
            f"{path}, where the job store would go, {problem}",
            hint="Set CLOCKWORK_HOME to a folder of your own on a local disk.",
            details={"path": str(path)},
        )
    return path
