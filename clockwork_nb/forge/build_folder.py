"""Reading and writing below one folder without ever following a link, whatever somebody planted there."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from clockwork_nb.errors import BundlePathError
from clockwork_nb.fs import ONE_BY_ONE, make_dirs, raise_storage_error, sync_file_system

__all__ = ["MAX_READ", "BuildFolder"]

MAX_READ = 64 << 20
"""The largest file that is read back, in bytes: the limit of a whole bundle."""

_OURS = ".clockwork"
_KINDS = {"ws", "nb"}  # named workspaces and notebooks' (clockwork_nb.workspace)
_ANCHOR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a planted FIFO must not wait for a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK = {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}


def _anchor(root: Path) -> Path:
    """Return what may be reached over links: of a workspace's folder its project, else the folder that *root* is in."""
    folder = root.parent
    if folder.parent.name in _KINDS and folder.parent.parent.name == _OURS:
        folder = folder.parent.parent
    return folder.parent if folder.name == _OURS else root.parent


class BuildFolder:
    """Plain files below *root*, named by relative paths with ``/``; the root is made when something is first written.

    Each component is opened by itself and none may be a link, from ``.clockwork`` on: a folder that somebody hands over
    may bring its own. A file must be a regular one with a single name.

    Usable as a context manager: until it is left, the folders above the last file stay open, which many files next to
    each other are read and written faster with. Not thread-safe.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._anchor = _anchor(root)
        self._own = root.relative_to(self._anchor).parts
        self._held: list[tuple[str, int]] = []
        """The open folders from the anchor on, each by its name in the one before, and their handles."""
        self._keeps = False

    def __enter__(self) -> Self:
        """Return the folder itself."""
        self._keeps = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the folders."""
        self._keeps = False
        self._close_below(0)

    def _open_anchor(self, *, make: bool) -> int:
        try:
            return os.open(self._anchor, _ANCHOR)
        except FileNotFoundError:
            if not make:
                raise
            make_dirs(self._anchor)
            return os.open(self._anchor, _ANCHOR)

    @contextlib.contextmanager
    def _parent(self, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
        *folders, name = (*self._own, *path.split("/"))
        try:
            yield self._open_folders(folders, make=make), name
        finally:
            if not self._keeps:
                self._close_below(0)

    def _open_folders(self, folders: Sequence[str], *, make: bool) -> int:
        if not self._held:
            self._held.append(("", self._open_anchor(make=make)))
        depth = 0
        while depth < len(folders) and depth + 1 < len(self._held) and self._held[depth + 1][0] == folders[depth]:
            depth += 1
        self._close_below(depth + 1)
        for place in range(depth, len(folders)):
            self._held.append((folders[place], self._open_folder(folders[place], place, make=make)))
        return self._held[-1][1]

    def _open_folder(self, name: str, depth: int, *, make: bool) -> int:
        above = self._held[-1][1]
        try:
            return os.open(name, _DIR, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700 if depth < len(self._own) else 0o755, dir_fd=above)
        return os.open(name, _DIR, dir_fd=above)

    def _close_below(self, depth: int) -> None:
        while len(self._held) > depth:
            os.close(self._held.pop()[1])

    def read(self, path: str) -> bytes | None:
        """Return the file's bytes; None when there is no such file.

        Raises:
            BundlePathError: E_BUNDLE_PATH, a link, a second name, a device or a folder is in the way.
        """
        try:
            with self._parent(path, make=False) as (parent, name):
                handle = os.open(name, _READ, dir_fd=parent)
                try:
                    return self._read_open(handle, path)
                finally:
                    os.close(handle)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refuse(error, path, "reading")
            raise

    def _read_open(self, handle: int, path: str) -> bytes:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise self._planted(path)
        chunks, size = [], found.st_size
        if size <= MAX_READ:
            size = 0
            while size <= MAX_READ and (chunk := os.read(handle, 1 << 20)):  # it may grow while it is read
                chunks.append(chunk)
                size += len(chunk)
        if size > MAX_READ:
            raise BundlePathError(
                f"{self.root / path} is larger than any artifact may be",
                hint="Look at it, remove it, and build again.",
                details={"path": path},
            )
        return b"".join(chunks)

    def write(self, path: str, data: bytes, mode: int) -> None:
        """Make *data* the content of *path*: the old bytes or the new ones, never a mixture.

        Raises:
            BundlePathError: E_BUNDLE_PATH, a link or a folder is in the way.
            StoreIOError, StoreFullError: the disk failed.
        """
        self.write_all([(path, data, mode)])

    def write_all(self, files: Sequence[tuple[str, bytes, int]]) -> None:
        """Write each of *files*, its path, content and mode, as `write` does; all get their names after the last is synced.

        Raises:
            BundlePathError: E_BUNDLE_PATH, a link or a folder is in the way.
            StoreIOError, StoreFullError: the disk failed. Some may have been written.
        """
        one_by_one = len(files) <= ONE_BY_ONE
        unnamed: dict[str, str] = {}
        path = ""
        try:
            for path, data, mode in files:
                unnamed[path] = self._write_unnamed(path, data, mode, durable=one_by_one)
            if not one_by_one:
                with self._parent(path, make=False) as (parent, _):
                    sync_file_system(parent)  # one wait for all: on a slow disk hundreds of files take minutes
            for path, _, _ in files:
                with self._parent(path, make=False) as (parent, name):
                    os.rename(unnamed[path], name, src_dir_fd=parent, dst_dir_fd=parent)
                del unnamed[path]
        except OSError as error:
            self._remove_unnamed(unnamed)
            self._refuse(error, path, "writing")
            raise

    def _write_unnamed(self, path: str, data: bytes, mode: int, *, durable: bool) -> str:
        """Write *data* to a new file beside *path* and return its name."""
        temporary = f".{os.urandom(8).hex()}.tmp"
        with self._parent(path, make=True) as (parent, _):
            handle = os.open(temporary, _NEW, 0o600, dir_fd=parent)
            try:
                try:
                    os.fchmod(handle, mode)
                    rest = memoryview(data)
                    while rest:
                        rest = rest[os.write(handle, rest) :]
                    if durable:
                        os.fdatasync(handle)
                finally:
                    os.close(handle)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=parent)
                raise
        return temporary

    def _remove_unnamed(self, unnamed: Mapping[str, str]) -> None:
        for path, temporary in unnamed.items():
            with contextlib.suppress(OSError), self._parent(path, make=False) as (parent, _):
                os.unlink(temporary, dir_fd=parent)

    def remove(self, path: str) -> None:
        """Remove the file and the folders it leaves empty; nothing when there is no such file."""
        try:
            with self._parent(path, make=False) as (parent, name):
                os.unlink(name, dir_fd=parent)
            folder = path
            while "/" in folder:
                folder = folder.rpartition("/")[0]
                with self._parent(folder, make=False) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                self._refuse(error, path, "removing")
                raise

    def _planted(self, path: str) -> BundlePathError:
        return BundlePathError(
            f"{self.root / path} is not a plain file of ours",
            hint="A link, a folder or a device is in its place. Look at it, remove it, and build again.",
            details={"path": path},
        )

    def _refuse(self, error: OSError, path: str, doing: str) -> None:
        if error.errno in _LINK or isinstance(error, IsADirectoryError):
            raise self._planted(path) from error
        if isinstance(error, PermissionError):
            raise BundlePathError(
                f"{self.root / path} cannot be opened: {error.strerror}",
                hint="Its permissions were changed, or a folder's. Give them back, or remove it and build again.",
                details={"path": path},
            ) from error
        raise_storage_error(error, self.root / path, doing)
