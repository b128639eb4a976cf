"""The records that others append to a log while one looks on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clockwork_nb.fs import REAL, FileSystem, raise_storage_error
from clockwork_nb.store.log import corrupt, extend

if TYPE_CHECKING:
    from clockwork_nb.jobs.events import Event
    from clockwork_nb.store.reading import JobView

__all__ = ["LogTail"]


class LogTail:
    """Reads on from where *view* ended. ``state`` is what all records so far add up to."""

    def __init__(self, path: Path, view: JobView, *, fs: FileSystem = REAL) -> None:
        self.state = view.state.copy()
        self._path = path
        self._offset = len(view.raw)
        self._fs = fs

    def read(self) -> list[Event]:
        """Return the records that became complete since the last call; bytes that are none yet are left for the next.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT: what follows cannot follow.
            StoreIOError: E_STORE_IO.
        """
        found = self._fs.stat(self._path)
        if found is None or found.size == self._offset:
            return []
        try:
            data = self._fs.read(self._path, self._offset)
        except OSError as error:
            raise_storage_error(error, self._path, "reading")
        scanned = extend(data, self.state, base=self._offset)
        if scanned.verdict == "corrupt":
            raise corrupt(scanned, str(self._path))
        self.state, self._offset = scanned.state, scanned.offset
        return scanned.events
