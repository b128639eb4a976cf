"""One job's log, open for appending: the append protocol, and the state that follows from the records.

Not thread-safe and without locks: whoever uses it holds the append lock (`clockwork_nb.store.lock`) and, among its own
threads, has it to itself.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from clockwork_nb.clock import Clock, rfc3339
from clockwork_nb.errors import (
    ClockworkError,
    InvalidInputError,
    InvalidTransitionError,
    StoreCorruptError,
    StoreIOError,
)
from clockwork_nb.fs import FileSystem, raise_storage_error, write_atomic
from clockwork_nb.jobs.commands import completed
from clockwork_nb.jobs.events import CONTROL_TYPES, Event, encode_record
from clockwork_nb.jobs.state import FoldError, evolve, replay
from clockwork_nb.ports import Draft
from clockwork_nb.store.log import MAX_BATCH, LogScan, Watermark, check_limits, corrupt, extend, scan
from clockwork_nb.store.reading import read_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Batch", "Journal", "open_journal", "save_torn_tail"]

# What another process may have written while this one owns the job.
_FOREIGN: Final = CONTROL_TYPES | {"log.recovered"}


class Batch(Struct):
    """Drafts that are written as one unit; then ``events``, or ``error`` when this batch was refused or failed.

    ``epoch`` None means the epoch of the record before (control events).
    """

    drafts: Sequence[Draft]
    epoch: int | None
    events: list[Event] = field(default_factory=list)
    error: ClockworkError | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Journal:
    """The open log of the job in *folder*.

    ``events`` are all durable records, ``state`` their fold, ``offset`` the size of the log in bytes. With *whole*
    False ``events`` begin after a snapshot; such a journal is good for one control event. *covered* are the bytes of
    the records that were *scanned*.
    """

    def __init__(
        self,
        folder: Path,
        genesis: Mapping[str, Any],
        handle: int,
        scanned: LogScan,
        *,
        fs: FileSystem,
        clock: Clock,
        whole: bool = True,
        covered: bytes = b"",
    ) -> None:
        self.move(folder)
        self.genesis = genesis
        self.events = scanned.events
        self.state = scanned.state
        self.offset = scanned.offset
        self._digest = sha256(covered)
        self._whole = whole
        self._handle: int | None = handle
        self._fs = fs
        self._clock = clock
        self._identity = self._stat()

    def move(self, folder: Path) -> None:
        """Take note that the job's folder is called *folder* now."""
        self.folder = folder
        self.path = folder / "events.jsonl"

    @property
    def watermark(self) -> Watermark:
        """What is durable now."""
        return Watermark(self.state.seq, self.state.hash)

    @property
    def log_sha256(self) -> str:
        """The SHA-256 of the `offset` bytes of the log; of a journal that is not *whole* it is not known, and empty."""
        return self._digest.hexdigest() if self._whole else ""

    def close(self) -> None:
        """Close the file."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):
                self._fs.close(handle)

    def longer(self) -> bool:
        """Return whether the file on disk is not as long as this journal knows: another process appended. One stat."""
        found = self._fs.stat(self.path)
        return found is None or found.size != self.offset

    def refresh(self) -> list[Event]:
        """Return the control events that other processes appended since, and follow them; heal a tail they tore.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT: the file was exchanged, cut or damaged, or holds events of a runner.
            StoreFullError, StoreIOError.
        """
        found = self._fs.stat(self.path)
        if found is None or found.identity != self._identity or found.size < self.offset:
            says = "is gone" if found is None else "was exchanged or cut by somebody"
            raise StoreCorruptError(
                f"{self.path} {says}; {self.offset} bytes of it were durable",
                details={"path": str(self.path), "offset": self.offset, "reason": "acked_lost"},
            )
        if found.size == self.offset:
            return []
        try:
            data = self._fs.read(self.path, self.offset)
        except OSError as error:
            raise_storage_error(error, self.path, "reading")
        scanned = extend(data, self.state.copy(), base=self.offset)
        foreign = [event for event in scanned.events if event.type not in _FOREIGN]
        if scanned.verdict == "corrupt":
            raise corrupt(scanned, str(self.path))
        if foreign:
            raise StoreCorruptError(
                f"{self.path} holds a {foreign[0].type} event (record {foreign[0].seq}) that its owner did not write",
                details={"path": str(self.path), "offset": self.offset, "seq": foreign[0].seq, "reason": "foreign"},
            )
        self._digest.update(data[: scanned.offset - self.offset])
        self.state, self.offset = scanned.state, scanned.offset
        self.events += scanned.events
        if scanned.tail:
            self.heal(scanned)
        return scanned.events

    def heal(self, scanned: LogScan) -> None:
        """Cut the torn tail off, keep its bytes beside the log, and record that.

        Raises:
            StoreFullError, StoreIOError.
        """
        saved = save_torn_tail(self.folder, scanned, fs=self._fs)
        try:
            self._fs.truncate(self._open(), scanned.offset)
            self._fs.sync(self._open())
        except OSError as error:
            raise_storage_error(error, self.path, "cutting the torn tail of")
        payload = {"offset": scanned.offset, "bytes": len(scanned.tail), "saved": saved}
        batch = Batch([Draft("log.recovered", payload)], None)
        self.commit([batch])
        if batch.error is not None:
            raise batch.error

    def commit(self, batches: Sequence[Batch]) -> None:
        """Write *batches* with as few syncs as their size allows; each then has its events, or its error.

        Raises:
            StoreFullError, StoreIOError: the write failed. What was not durable is cut off again if the disk lets us;
                batches without events are not durable. This journal must not be used any more.
        """
        written: list[Batch] = []
        lines: list[bytes] = []
        size = 0
        for batch in batches:
            try:
                encoded = self._encode(batch, size)
            except FoldError as error:
                batch.error = InvalidTransitionError(error.message, details=error.details)
                self._rewind(written)
                continue
            except ClockworkError as error:
                batch.error = error
                self._rewind(written)
                continue
            length = sum(map(len, encoded))
            if size and size + length > MAX_BATCH:
                self._write(lines, written)
                lines, written, size = [], [], 0
            written.append(batch)
            lines += encoded
            size += length
        if written:
            self._write(lines, written)

    def _encode(self, batch: Batch, pending: int) -> list[bytes]:
        lines: list[bytes] = []
        events: list[Event] = []
        asked = 0
        stamp = rfc3339(self._clock.now())
        for draft in batch.drafts:
            state = self.state
            event, line = encode_record(
                seq=state.seq + 1,
                created_at=stamp,
                event_type=draft.type,
                payload=completed(draft, state, asked),
                epoch=state.epoch if batch.epoch is None else batch.epoch,
                prev=state.hash,
                job_id=state.job_id,
            )
            self.state = evolve(state, event)
            if draft.type == "checkpoint":
                asked = event.seq
            events.append(event)
            lines.append(line)
        length = sum(map(len, lines))
        if length > MAX_BATCH:
            raise InvalidInputError(
                f"one append has {length} bytes, more than {MAX_BATCH}", hint="Append the events in several calls."
            )
        check_limits(self.state.seq, self.offset + pending + length)
        batch.events = events
        return lines

    def _rewind(self, written: Sequence[Batch]) -> None:
        # A batch was refused half way: build the state again from what is durable and what is about to be written.
        if self._whole:
            accepted = [event for batch in written for event in batch.events]
            self.state = replay(self.genesis, [*self.events, *accepted])

    def _write(self, lines: Sequence[bytes], batches: Sequence[Batch]) -> None:
        data = b"".join(lines)
        handle = self._open()
        try:
            taken = self._fs.write(handle, data)
            if taken != len(data):
                raise OSError(errno.ENOSPC, "the disk took only part of an append")
            self._fs.sync(handle, data_only=True)
        except OSError as error:
            for batch in batches:
                batch.events = []
            # Never tried again: after a failed sync nobody knows which pages are on the disk. Cut what may be there.
            with contextlib.suppress(OSError):
                self._fs.truncate(handle, self.offset)
                self._fs.sync(handle)
            self._rewind(())
            raise_storage_error(error, self.path, "appending to")
        self.offset += len(data)
        self._digest.update(data)
        for batch in batches:
            self.events += batch.events

    def _open(self) -> int:
        if self._handle is None:
            raise StoreIOError(f"{self.path} is closed")
        return self._handle

    def _stat(self) -> tuple[int, int]:
        found = self._fs.stat(self.path)
        if found is None:
            raise StoreIOError(f"{self.path} is gone", details={"path": str(self.path)})
        return found.identity


def save_torn_tail(folder: Path, scanned: LogScan, *, fs: FileSystem) -> str:
    """Keep the bytes of a torn tail in the job's folder and return the file's name.

    Raises:
        StoreFullError, StoreIOError.
    """
    name = f"torn-{scanned.offset}-{sha256(scanned.tail).hexdigest()[:8]}.bin"
    write_atomic(folder / name, scanned.tail, fs=fs)
    return name


def open_journal(
    folder: Path, genesis: Mapping[str, Any], *, watermark: Watermark, fs: FileSystem, clock: Clock
) -> tuple[Journal, LogScan]:
    """Return the journal of the whole log and what was found in it; a torn tail is not healed yet.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT: nothing was changed.
        StoreIOError: E_STORE_IO.
    """
    path = folder / "events.jsonl"
    data = read_log(folder, fs=fs)
    scanned = scan(data, genesis, watermark=watermark)
    if scanned.verdict == "corrupt":
        raise corrupt(scanned, str(path))
    try:
        handle = fs.open_append(path)
    except OSError as error:
        raise_storage_error(error, path, "opening")
    covered = data[: scanned.offset]
    return Journal(folder, genesis, handle, scanned, fs=fs, clock=clock, covered=covered), scanned
