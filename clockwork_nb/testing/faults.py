"""A file system that fails where it is told to: the k-th call of a kind raises what the operating system would."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from pathlib import Path

    from clockwork_nb.fs import FileStat, FileSystem

__all__ = ["Fault", "FaultFs", "FaultPlan"]


class Fault(Struct, frozen=True):
    """Call number *nth* (from 1) of the operation fails with errno *error*.

    *operation* is a method name of `clockwork_nb.fs.FileSystem`, or ``"*"`` for any that changes something; *name* limits
    it to paths that end with it. With *short* a write takes only that many bytes first, and the next one fails. *times*
    is how often it fails from then on.
    """

    operation: str
    nth: int = 1
    error: int = errno.EIO
    name: str = ""
    short: int | None = None
    times: int = 1_000_000


class FaultPlan(Struct):
    """Faults, and how far each has come. ``operations`` counts every changing call, for sweeps over all of them."""

    faults: tuple[Fault, ...] = ()
    operations: int = 0
    _seen: dict[int, int] = field(default_factory=dict)

    def add(self, *faults: Fault) -> None:
        """Plan more faults; their calls count from now on."""
        self.faults += faults

    def clear(self) -> None:
        """Let the disk work again."""
        self.faults = ()
        self._seen = {}

    def due(self, operation: str, path: str) -> Fault | None:
        """Count the call and return the fault that strikes it, if one does."""
        self.operations += 1
        for index, fault in enumerate(self.faults):
            if fault.operation not in {operation, "*"} or not path.endswith(fault.name):
                continue
            count = self._seen.get(index, 0) + 1
            self._seen[index] = count
            if fault.nth <= count < fault.nth + fault.times:
                return fault
        return None


class FaultFs:
    """A `clockwork_nb.fs.FileSystem` that passes every call to *inner* unless *plan* says it fails."""

    def __init__(self, inner: FileSystem, plan: FaultPlan) -> None:
        self._inner = inner
        self.plan = plan
        self._paths: dict[int, str] = {}

    def _strike(self, operation: str, path: str) -> None:
        fault = self.plan.due(operation, path)
        if fault is not None:
            raise OSError(fault.error, os.strerror(fault.error), path)

    def create(self, path: Path, mode: int) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("create", str(path))
        handle = self._inner.create(path, mode)
        self._paths[handle] = str(path)
        return handle

    def open_append(self, path: Path) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        handle = self._inner.open_append(path)
        self._paths[handle] = str(path)
        return handle

    def open_lock(self, path: Path) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        return self._inner.open_lock(path)

    def try_lock(self, handle: int) -> bool:
        """See `clockwork_nb.fs.FileSystem`."""
        return self._inner.try_lock(handle)

    def write(self, handle: int, data: bytes) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        path = self._paths.get(handle, "")
        fault = self.plan.due("write", path)
        if fault is None:
            return self._inner.write(handle, data)
        if fault.short is not None and len(data) > fault.short:
            return self._inner.write(handle, data[: fault.short]) if fault.short else 0
        raise OSError(fault.error, os.strerror(fault.error), path)

    def truncate(self, handle: int, size: int) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("truncate", self._paths.get(handle, ""))
        self._inner.truncate(handle, size)

    def sync(self, handle: int, *, data_only: bool = False) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("sync", self._paths.get(handle, ""))
        self._inner.sync(handle, data_only=data_only)

    def close(self, handle: int) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._paths.pop(handle, None)
        self._inner.close(handle)

    def read(self, path: Path, offset: int = 0) -> bytes:
        """See `clockwork_nb.fs.FileSystem`."""
        return self._inner.read(path, offset)

    def stat(self, path: Path) -> FileStat | None:
        """See `clockwork_nb.fs.FileSystem`."""
        return self._inner.stat(path)

    def rename(self, source: Path, target: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("rename", str(target))
        self._inner.rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("link", str(target))
        self._inner.link(source, target)

    def unlink(self, path: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("unlink", str(path))
        self._inner.unlink(path)

    def make_dir(self, path: Path, mode: int) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("make_dir", str(path))
        self._inner.make_dir(path, mode)

    def remove_dir(self, path: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("remove_dir", str(path))
        self._inner.remove_dir(path)

    def list_dir(self, path: Path) -> list[str]:
        """See `clockwork_nb.fs.FileSystem`."""
        return self._inner.list_dir(path)

    def sync_dir(self, path: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("sync_dir", str(path))
        self._inner.sync_dir(path)

    def open_dir(self, path: Path) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("open_dir", str(path))
        handle = self._inner.open_dir(path)
        self._paths[handle] = str(path)
        return handle

    def sync_all(self, handle: int) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._strike("sync_all", self._paths.get(handle, ""))
        self._inner.sync_all(handle)
