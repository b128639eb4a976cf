"""A disk in memory that can lose power.

It keeps what programs see and, apart from it, what is on the platter. `CrashFs.crash_states` gives the disks that may be
found after the power comes back: un-synced data may be missing, cut at any byte, or have sectors of zeros; un-synced
names may be missing, each on its own; a rename may be there before the data of the file it names. (The states are those
that Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, found file systems to allow.)
"""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from clockwork_nb.fs import FileStat

__all__ = ["CrashFs"]

_SECTOR: Final = 512
_Names = dict[str, "int | None"]


class _File(Struct):
    seen: bytearray = field(default_factory=bytearray)
    kept: bytes = b""
    shrunk: bool = False  # truncated since the last sync


class _Folder(Struct):
    seen: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    pending: list[_Names] = field(default_factory=list)


class _Handle(Struct):
    inode: int
    append: bool
    locks: bool = False
    position: int = 0


class CrashFs:
    """A `clockwork_nb.fs.FileSystem` in memory. ``on_op`` is called before each call that changes something, by its name.

    *ignore* names calls that do nothing (``"sync"``, ``"sync_data"``, ``"sync_dir"``, ``"sync_all"``): what a test of durability must
    notice.
    """

    def __init__(self, *, on_op: Callable[[str], None] | None = None, ignore: Sequence[str] = ()) -> None:
        self._inodes: dict[int, _File | _Folder] = {1: _Folder()}
        self._next = itertools.count(2)
        self._handles: dict[int, _Handle] = {}
        self._next_handle = itertools.count(100)
        self._locked: dict[int, int] = {}
        self._ignore = frozenset(ignore)
        self.on_op = on_op
        self.operations = 0

    # --- the FileSystem calls ---

    def create(self, path: Path, mode: int) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("create")
        folder = self._folder(path.parent)
        if path.name in folder.seen:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        inode = self._add(_File())
        self._name(folder, {path.name: inode})
        return self._open(inode, append=False)

    def open_append(self, path: Path) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        return self._open(self._file(path), append=True)

    def open_lock(self, path: Path) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        folder = self._folder(path.parent)
        if path.name not in folder.seen:
            self._about_to("open_lock")
            self._name(folder, {path.name: self._add(_File())})
        return self._open(self._file(path), append=True)

    def try_lock(self, handle: int) -> bool:
        """See `clockwork_nb.fs.FileSystem`."""
        inode = self._handles[handle].inode
        if self._locked.setdefault(inode, handle) != handle:
            return False
        self._handles[handle].locks = True
        return True

    def write(self, handle: int, data: bytes) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("write")
        opened = self._handles[handle]
        content = self._content(opened.inode).seen
        at = len(content) if opened.append else opened.position
        content[at : at + len(data)] = data
        opened.position = at + len(data)
        return len(data)

    def truncate(self, handle: int, size: int) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("truncate")
        file = self._content(self._handles[handle].inode)
        del file.seen[size:]
        file.shrunk = True

    def sync(self, handle: int, *, data_only: bool = False) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        name = "sync_data" if data_only else "sync"
        self._about_to(name)
        if name not in self._ignore:
            file = self._content(self._handles[handle].inode)
            file.kept, file.shrunk = bytes(file.seen), False

    def close(self, handle: int) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        opened = self._handles.pop(handle)
        if opened.locks:
            del self._locked[opened.inode]

    def read(self, path: Path, offset: int = 0) -> bytes:
        """See `clockwork_nb.fs.FileSystem`."""
        return bytes(self._content(self._file(path)).seen[offset:])

    def stat(self, path: Path) -> FileStat | None:
        """See `clockwork_nb.fs.FileSystem`."""
        inode = self._find(path)
        if inode is None:
            return None
        node = self._inodes[inode]
        folder = isinstance(node, _Folder)
        size = len(node.seen)
        return FileStat(size, (0, inode), not folder, folder, os.geteuid(), 0o700 if folder else 0o600)

    def rename(self, source: Path, target: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`; within one folder only."""
        self._about_to("rename")
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "this disk renames within a folder only", str(target))
        folder = self._folder(source.parent)
        if source.name not in folder.seen:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
        old = folder.seen.get(target.name)
        if old is not None and isinstance(node := self._inodes[old], _Folder) and node.seen:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(target))
        self._name(folder, {source.name: None, target.name: folder.seen[source.name]})

    def link(self, source: Path, target: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("link")
        folder = self._folder(target.parent)
        if target.name in folder.seen:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        self._name(folder, {target.name: self._file(source)})

    def unlink(self, path: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("unlink")
        self._file(path)
        self._name(self._folder(path.parent), {path.name: None})

    def make_dir(self, path: Path, mode: int) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("make_dir")
        folder = self._folder(path.parent)
        if path.name in folder.seen:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self._name(folder, {path.name: self._add(_Folder())})

    def remove_dir(self, path: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("remove_dir")
        if self._folder(path).seen:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
        self._name(self._folder(path.parent), {path.name: None})

    def list_dir(self, path: Path) -> list[str]:
        """See `clockwork_nb.fs.FileSystem`."""
        return sorted(self._folder(path).seen)

    def sync_dir(self, path: Path) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("sync_dir")
        if "sync_dir" not in self._ignore:
            folder = self._folder(path)
            folder.kept, folder.pending = dict(folder.seen), []

    def open_dir(self, path: Path) -> int:
        """See `clockwork_nb.fs.FileSystem`."""
        self._folder(path)
        return self._open(self._find(path) or 0, append=False)

    def sync_all(self, handle: int) -> None:
        """See `clockwork_nb.fs.FileSystem`."""
        self._about_to("sync_all")
        if "sync_all" in self._ignore:
            return
        for node in self._inodes.values():
            if isinstance(node, _Folder):
                node.kept, node.pending = dict(node.seen), []
            else:
                node.kept, node.shrunk = bytes(node.seen), False

    # --- losing power ---

    def crash_states(self, *, limit: int = 100_000, seed: int = 0, every_byte_of: str = "") -> Iterator[CrashFs]:
        """Return the disks that may be found if the power went now; at most *limit*, then a random choice of them.

        Un-synced data of files whose name contains *every_byte_of* is cut at every byte, of other files at the edges and
        in the middle.
        """
        names = dict(self._names())
        choices: list[list[tuple[int, bytes | dict[str, int]]]] = []
        for inode, node in self._inodes.items():
            outcomes: list[bytes | dict[str, int]]
            if isinstance(node, _File):
                every_byte = bool(every_byte_of) and every_byte_of in names.get(inode, "")
                outcomes = list(_file_outcomes(node, every_byte=every_byte))
            else:
                outcomes = list(_folder_outcomes(node))
            if len(outcomes) > 1:
                choices.append([(inode, outcome) for outcome in outcomes])
        total = 1
        for outcomes_of in choices:
            total *= len(outcomes_of)
        if total <= limit:
            yield from (self._after(dict(combination)) for combination in itertools.product(*choices))
            return
        chance = random.Random(seed)  # noqa: S311 - a sample of states, not a secret
        for _ in range(limit):
            yield self._after(dict(chance.choice(outcomes_of) for outcomes_of in choices))

    def _after(self, outcome: dict[int, bytes | dict[str, int]]) -> CrashFs:
        disk = CrashFs()
        for inode, node in self._inodes.items():
            found = outcome.get(inode)
            if isinstance(node, _File):
                content = found if isinstance(found, bytes) else node.kept
                disk._inodes[inode] = _File(bytearray(content), content)
            else:
                names = found if isinstance(found, dict) else node.kept
                disk._inodes[inode] = _Folder(dict(names), dict(names))
        disk._next = itertools.count(max(self._inodes) + 1)
        return disk

    # --- inside ---

    def _about_to(self, operation: str) -> None:
        self.operations += 1
        if self.on_op is not None:
            self.on_op(operation)

    def _add(self, node: _File | _Folder) -> int:
        inode = next(self._next)
        self._inodes[inode] = node
        return inode

    def _open(self, inode: int, *, append: bool) -> int:
        handle = next(self._next_handle)
        self._handles[handle] = _Handle(inode, append)
        return handle

    def _name(self, folder: _Folder, changes: _Names) -> None:
        _apply(folder.seen, changes)
        folder.pending.append(changes)

    def _find(self, path: Path) -> int | None:
        inode = 1
        for part in path.parts[1:]:
            node = self._inodes[inode]
            if not isinstance(node, _Folder) or part not in node.seen:
                return None
            inode = node.seen[part]
        return inode

    def _folder(self, path: Path) -> _Folder:
        inode = self._find(path)
        node = None if inode is None else self._inodes[inode]
        if not isinstance(node, _Folder):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return node

    def _file(self, path: Path) -> int:
        inode = self._find(path)
        if inode is None or not isinstance(self._inodes[inode], _File):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return inode

    def _content(self, inode: int) -> _File:
        node = self._inodes[inode]
        if not isinstance(node, _File):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return node

    def _names(self) -> Iterator[tuple[int, str]]:
        for node in self._inodes.values():
            if isinstance(node, _Folder):
                for name, inode in node.seen.items():
                    yield inode, name


def _apply(names: dict[str, int], changes: _Names) -> None:
    for name, inode in changes.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def _file_outcomes(file: _File, *, every_byte: bool) -> Iterator[bytes]:
    kept, seen = file.kept, bytes(file.seen)
    yield kept
    if seen == kept:
        return
    if file.shrunk or not seen.startswith(kept):  # truncated or overwritten in place: the old bytes or the new ones
        yield seen
        return
    start, end = len(kept), len(seen)
    cuts: Sequence[int] = range(start + 1, end + 1)
    if not every_byte:
        cuts = sorted({start + 1, (start + end) // 2, end - 1, end} - {start})
    yield from (seen[:cut] for cut in cuts)
    # The new size reached the disk, some of the sectors did not: they read as zeros.
    edges = [start, *range((start // _SECTOR + 1) * _SECTOR, end, _SECTOR), end]
    pieces = list(itertools.pairwise(edges))
    lost_sets = range(1, 2 ** len(pieces)) if len(pieces) <= 6 else [1, 2 ** len(pieces) - 1, 2 ** (len(pieces) - 1)]
    for lost in lost_sets:
        data = bytearray(seen)
        for index, (low, high) in enumerate(pieces):
            if lost >> index & 1:
                data[low:high] = bytes(high - low)
        yield bytes(data)


def _folder_outcomes(folder: _Folder) -> Iterator[dict[str, int]]:
    pending = folder.pending
    subsets: Iterator[Sequence[_Names]]
    if len(pending) <= 6:
        subsets = (chosen for size in range(len(pending) + 1) for chosen in itertools.combinations(pending, size))
    else:  # in order, as a journal keeps them, and each alone missing
        prefixes = [pending[:count] for count in range(len(pending) + 1)]
        subsets = itertools.chain(prefixes, ([*pending[:i], *pending[i + 1 :]] for i in range(len(pending))))
    known = set()
    for chosen in subsets:
        names = dict(folder.kept)
        for changes in chosen:
            _apply(names, changes)
        key = tuple(sorted(names.items()))
        if key not in known:
            known.add(key)
            yield names
