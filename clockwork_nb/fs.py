"""Durable files: the one place of the store, the state and the packs that writes to a disk.

Everything goes through `FileSystem`, about a dozen calls, so that the tests can put a disk underneath that loses power
(`clockwork_nb.testing.CrashFs`) or fails on demand (`clockwork_nb.testing.FaultFs`). A ``FileSystem`` raises
``OSError`` like the operating system does; the functions of this module turn that into errors with a code, once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from msgspec import Struct

from clockwork_nb.errors import StoreFullError, StoreIOError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = [
    "ONE_BY_ONE",
    "REAL",
    "FileStat",
    "FileSystem",
    "RealFileSystem",
    "create_atomic",
    "make_dirs",
    "raise_storage_error",
    "read_bytes",
    "sync_dir",
    "sync_file_system",
    "write_all",
    "write_atomic",
    "write_atomic_all",
]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_READ_CHUNK: Final = 1 << 20
ONE_BY_ONE: Final = 16
"""So many files are synced one by one; more wait for the whole file system instead."""


class FileStat(Struct, frozen=True):
    """What is known about a file: its size in bytes, and an identity that a replaced file does not share."""

    size: int
    identity: tuple[int, int]
    is_file: bool
    is_dir: bool
    uid: int
    mode: int
    modified: float = 0.0
    """Seconds since the epoch; 0 where it is not known."""


class FileSystem(Protocol):
    """The calls the durable parts make. All may raise ``OSError``; handles are small integers."""

    def create(self, path: Path, mode: int) -> int:
        """Return a handle for a new file opened for writing; ``FileExistsError`` when the name is taken."""
        ...

    def open_append(self, path: Path) -> int:
        """Return a handle for an existing regular file, opened for reading and appending; never follows a link."""
        ...

    def open_lock(self, path: Path) -> int:
        """Return a handle for the lock file *path*, made when missing; no child process inherits it."""
        ...

    def try_lock(self, handle: int) -> bool:
        """Take the exclusive lock of the open lock file; False when another handle holds it."""
        ...

    def write(self, handle: int, data: bytes) -> int:
        """Write at the end (or the current place) and return how many bytes were taken, possibly fewer than given."""
        ...

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file to *size* bytes."""
        ...

    def sync(self, handle: int, *, data_only: bool = False) -> None:
        """Return when the file's content (and, unless *data_only*, its metadata) is on the disk."""
        ...

    def close(self, handle: int) -> None:
        """Give the handle back; a lock held through it is released."""
        ...

    def read(self, path: Path, offset: int = 0) -> bytes:
        """Return the regular file's bytes from *offset* on; never follows a link."""
        ...

    def stat(self, path: Path) -> FileStat | None:
        """Return what *path* is, links not followed; None when there is nothing."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give *source* the name *target*, in place of whatever had it, in one step."""
        ...

    def link(self, source: Path, target: Path) -> None:
        """Give the file *source* a second name; ``FileExistsError`` when it is taken."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        ...

    def make_dir(self, path: Path, mode: int) -> None:
        """Make one folder; ``FileExistsError`` when the name is taken."""
        ...

    def remove_dir(self, path: Path) -> None:
        """Remove an empty folder."""
        ...

    def list_dir(self, path: Path) -> list[str]:
        """Return the names in a folder, sorted."""
        ...

    def sync_dir(self, path: Path) -> None:
        """Return when the folder's names are on the disk."""
        ...

    def open_dir(self, path: Path) -> int:
        """Return a handle for the folder *path*, for `sync_all`."""
        ...

    def sync_all(self, handle: int) -> None:
        """Return when all that was written to the folder's file system since it was opened is on the disk, and its names."""
        ...


class RealFileSystem:
    """The operating system."""

    def create(self, path: Path, mode: int) -> int:
        """Return a handle for a new file opened for writing; ``FileExistsError`` when the name is taken."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)

    def open_append(self, path: Path) -> int:
        """Return a handle for an existing regular file, opened for reading and appending; never follows a link."""
        return _regular(os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC), path)

    def open_lock(self, path: Path) -> int:
        """Return a handle for the lock file *path*, made when missing; no child process inherits it."""
        return _regular(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), path)

    def try_lock(self, handle: int) -> bool:
        """Take the exclusive lock of the open lock file; False when another handle holds it."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def write(self, handle: int, data: bytes) -> int:
        """Write and return how many bytes were taken, possibly fewer than given."""
        return os.write(handle, data)

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file to *size* bytes."""
        os.ftruncate(handle, size)

    def sync(self, handle: int, *, data_only: bool = False) -> None:
        """Return when the file is on the disk."""
        if sys.platform == "darwin":  # there fsync stops at the drive's cache (fcntl(2), F_FULLFSYNC)
            try:
                fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
                return
            except OSError as error:
                if error.errno not in {errno.ENOTSUP, errno.EINVAL, errno.ENOTTY}:
                    raise
            os.fsync(handle)
        elif data_only:
            os.fdatasync(handle)
        else:
            os.fsync(handle)

    def close(self, handle: int) -> None:
        """Give the handle back; a lock held through it is released."""
        os.close(handle)

    def read(self, path: Path, offset: int = 0) -> bytes:
        """Return the regular file's bytes from *offset* on; never follows a link."""
        # O_NONBLOCK: opening a planted FIFO must not wait for a writer.
        handle = _regular(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), path)
        try:
            chunks = []
            while chunk := os.pread(handle, _READ_CHUNK, offset):
                chunks.append(chunk)
                offset += len(chunk)
            return b"".join(chunks)
        finally:
            os.close(handle)

    def stat(self, path: Path) -> FileStat | None:
        """Return what *path* is, links not followed; None when there is nothing."""
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileStat(
            size=found.st_size,
            identity=(found.st_dev, found.st_ino),
            is_file=stat.S_ISREG(found.st_mode),
            is_dir=stat.S_ISDIR(found.st_mode),
            uid=found.st_uid,
            mode=stat.S_IMODE(found.st_mode),
            modified=found.st_mtime,
        )

    def rename(self, source: Path, target: Path) -> None:
        """Give *source* the name *target*, in place of whatever had it, in one step."""
        os.rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        """Give the file *source* a second name; ``FileExistsError`` when it is taken."""
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        os.unlink(path)

    def make_dir(self, path: Path, mode: int) -> None:
        """Make one folder; ``FileExistsError`` when the name is taken."""
        os.mkdir(path, mode)

    def remove_dir(self, path: Path) -> None:
        """Remove an empty folder."""
        os.rmdir(path)

    def list_dir(self, path: Path) -> list[str]:
        """Return the names in a folder, sorted."""
        return sorted(os.listdir(path))

    def sync_dir(self, path: Path) -> None:
        """Return when the folder's names are on the disk."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems cannot sync a folder; an I/O error is never swallowed
                raise
        finally:
            os.close(handle)

    def open_dir(self, path: Path) -> int:
        """Return a handle for the folder *path*, for `sync_all`."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def sync_all(self, handle: int) -> None:
        """Return when all that was written to the folder's file system since it was opened is on the disk, and its names."""
        sync_file_system(handle)


def _regular(handle: int, path: Path) -> int:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return handle


REAL: Final = RealFileSystem()


def raise_storage_error(error: OSError, path: Path, doing: str) -> NoReturn:
    """Raise what *error* means to callers: the disk is full, or it failed.

    Raises:
        StoreFullError: E_STORE_FULL for ENOSPC and EDQUOT.
        StoreIOError: E_STORE_IO for everything else.
    """
    details = {"path": str(path), "errno": errno.errorcode.get(error.errno or 0, "")}
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        hint = (
            "Free some space (or raise the quota) on that disk, then run `clockwork job resume`; nothing saved is lost."
        )
        raise StoreFullError(f"no space is left for {doing} {path}", hint=hint, details=details) from error
    raise StoreIOError(
        f"{doing} {path} failed: {reason}", hint="Check the disk and the permissions of that folder.", details=details
    ) from error


def write_all(fs: FileSystem, handle: int, data: bytes) -> None:
    """Write every byte of *data*; raises ``OSError`` (ENOSPC when the disk takes nothing more)."""
    rest = memoryview(data)
    while rest:
        taken = fs.write(handle, bytes(rest) if len(rest) != len(data) else data)
        if taken <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = rest[taken:]


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, fs: FileSystem = REAL) -> None:
    """Make *data* the durable content of *path*: readers see the old bytes or the new ones, never a mixture.

    The folder must exist. *mode* is subject to the umask. When this raises, *path* is what it was.

    Raises:
        StoreFullError: E_STORE_FULL.
        StoreIOError: E_STORE_IO.
    """
    write_atomic_all({path: data}, mode=mode, fs=fs)


def write_atomic_all(files: Mapping[Path, bytes], *, mode: int = 0o600, fs: FileSystem = REAL) -> None:
    """Make each of *files* (path → content) durable as `write_atomic` does.

    A few are synced one by one, each of their folders once; more with one wait for the contents and one for the names:
    on a slow disk hundreds of waits take minutes. That one also waits for what others write to the same file system.
    When this raises, every path is what it was or has its new content; which of them is not known.

    Raises:
        StoreFullError: E_STORE_FULL.
        StoreIOError: E_STORE_IO.
    """
    if not files:
        return
    unnamed: dict[Path, Path] = {}
    folders = list(dict.fromkeys(path.parent for path in files))
    path = folders[0]  # the one to name in an error
    try:
        with contextlib.ExitStack() as opened:
            # Opened before the first write: a disk that fails meanwhile is told through these handles (syncfs(2)).
            disks = _open_disks(folders, fs, opened) if len(files) > ONE_BY_ONE else []
            for path, data in files.items():
                temporary = _temporary(path)
                _write_new(temporary, data, mode, fs, durable=not disks)
                unnamed[path] = temporary
            for disk in disks:
                fs.sync_all(disk)
            for path in files:
                fs.rename(unnamed[path], path)
                del unnamed[path]
            for disk in disks:
                fs.sync_all(disk)
            for path in folders if not disks else ():
                fs.sync_dir(path)
    except OSError as error:
        for temporary in unnamed.values():
            with contextlib.suppress(OSError):
                fs.unlink(temporary)
        raise_storage_error(error, path, "writing")


def _open_disks(folders: Iterable[Path], fs: FileSystem, opened: contextlib.ExitStack) -> list[int]:
    """Return a handle for each file system that *folders* are on, closed with *opened*; none where syncfs(2) is not there."""
    if sys.platform != "linux":
        return []
    disks: dict[int, int] = {}
    for folder in folders:
        found = fs.stat(folder)
        if found is not None and found.identity[0] not in disks:
            disks[found.identity[0]] = handle = fs.open_dir(folder)
            opened.callback(fs.close, handle)
    return list(disks.values())


def create_atomic(path: Path, data: bytes, *, mode: int = 0o600, fs: FileSystem = REAL) -> None:
    """Make the new file *path* with *data*, durably and in one step, unless the name is taken.

    Raises:
        FileExistsError: the name is taken; nothing was changed.
        StoreFullError: E_STORE_FULL.
        StoreIOError: E_STORE_IO.
    """
    temporary = _temporary(path)
    try:
        _write_new(temporary, data, mode, fs)
        try:
            fs.link(temporary, path)  # unlike a rename, this never replaces a file that somebody made just now
        finally:
            with contextlib.suppress(OSError):
                fs.unlink(temporary)
        fs.sync_dir(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise_storage_error(error, path, "making")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name[:80]}.{os.urandom(6).hex()}.tmp")


def _write_new(path: Path, data: bytes, mode: int, fs: FileSystem, *, durable: bool = True) -> None:
    handle = fs.create(path, mode)
    try:
        try:
            write_all(fs, handle, data)
            if durable:
                fs.sync(handle)
        finally:
            fs.close(handle)
    except OSError:
        with contextlib.suppress(OSError):
            fs.unlink(path)
        raise


def read_bytes(path: Path, *, fs: FileSystem = REAL) -> bytes:
    """Return the content of the regular file *path*; a link in its place is refused.

    Raises:
        FileNotFoundError: there is no such file; callers know what that means for them.
        StoreIOError: E_STORE_IO for any other failure.
    """
    try:
        return fs.read(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise_storage_error(error, path, "reading")


def sync_dir(path: Path, *, fs: FileSystem = REAL) -> None:
    """Return when the names in the folder *path* are durable.

    Raises:
        StoreIOError: E_STORE_IO.
    """
    try:
        fs.sync_dir(path)
    except OSError as error:
        raise_storage_error(error, path, "syncing the folder")


def sync_file_system(handle: int) -> None:
    """Return when all that was written so far to the file system of the open file *handle* is on the disk.

    One wait, however many files; but also for what others wrote there. Raises ``OSError``.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # Linux has it alone
        os.sync()
    elif libc.syncfs(handle) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def make_dirs(path: Path, *, mode: int = 0o700, fs: FileSystem = REAL) -> None:
    """Make the folder *path* and its missing parents, durably; an existing folder is left as it is.

    Raises:
        StoreFullError, StoreIOError: also when something that is not a folder has the name.
    """
    missing = []
    current = path
    while fs.stat(current) is None and current != current.parent:
        missing.append(current)
        current = current.parent
    for folder in reversed(missing):
        try:
            with contextlib.suppress(FileExistsError):  # somebody else made it just now
                fs.make_dir(folder, mode)
            fs.sync_dir(folder.parent)
        except OSError as error:
            raise_storage_error(error, folder, "making the folder")
    found = fs.stat(path)
    # A person may link ~/.clockwork to another disk: a link to a folder counts as that folder.
    if found is None or not (found.is_dir or os.path.isdir(path)):
        raise StoreIOError(f"{path} is not a folder", details={"path": str(path)})
