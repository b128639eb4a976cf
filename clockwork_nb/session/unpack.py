"""Writes a verified pack's files into a new folder: all of them or none, and nothing outside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.fs import raise_storage_error

if TYPE_CHECKING:
    from clockwork_nb.jobpack.archive import Archive

__all__ = ["unpack"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(archive: Archive, target: Path) -> Path:
    """Write every entry of *archive* below *target* (files 0600, folders 0700) and return where that is.

    *target* must not exist, or be an empty folder. The files are written into a fresh private folder beside it, through
    open folders and never through paths, and that folder gets the name at the end in one step: nobody else can lead a
    single write elsewhere, and when this raises, nothing of the pack is left.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION: something is there already.
        StoreFullError, StoreIOError: E_STORE_FULL, E_STORE_IO.
    """
    target = target.expanduser().absolute()
    _refuse_existing(target)
    try:
        parent = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise_storage_error(error, target.parent, "opening the folder")
    staging = f".{target.name[:80]}.{os.urandom(6).hex()}.unpacking"
    try:
        os.mkdir(staging, 0o700, dir_fd=parent)
        whole = False
        try:
            root = os.open(staging, _FOLDER, dir_fd=parent)
            try:
                _write_all(root, {name: archive.view(name) for name in archive.entries})
            finally:
                os.close(root)
            # Replaces an empty folder only: anything else, a link included, makes this fail (rename(2)).
            os.rename(staging, target.name, src_dir_fd=parent, dst_dir_fd=parent)
            whole = True
        finally:
            if not whole:
                shutil.rmtree(staging, ignore_errors=True, dir_fd=parent)
    except OSError as error:
        _refuse_existing(target)
        raise_storage_error(error, target, "unpacking into")
    finally:
        os.close(parent)
    return target


def _refuse_existing(target: Path) -> None:
    try:
        found = os.lstat(target)
        empty = stat.S_ISDIR(found.st_mode) and not any(target.iterdir())
    except OSError:
        return  # not there, or what is wrong shows when it is used
    if not empty:
        raise UnsafeOperationError(
            f"{target} is there already, and unpacking never overwrites", hint="Name a new or an empty folder."
        )


def _write_all(root: int, files: Mapping[str, memoryview]) -> None:
    """Write *files* below the open folder *root*, a folder at a time: no more than nine handles are open at once."""
    from clockwork_nb.jobpack.layout import check_entry_name

    for name in sorted(files):
        *folders, last = check_entry_name(name).split("/")  # the reader has done so; here it is what keeps us inside
        with _opened(root, folders) as folder:
            handle = os.open(last, _FILE, 0o600, dir_fd=folder)
            try:
                rest = files[name]
                while rest:
                    rest = rest[os.write(handle, rest) :]
            finally:
                os.close(handle)


@contextlib.contextmanager
def _opened(root: int, folders: Iterable[str]) -> Iterator[int]:
    handle = os.dup(root)
    try:
        for name in folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=handle)
            inner = os.open(name, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)
