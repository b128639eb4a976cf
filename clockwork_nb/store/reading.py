"""Reading jobs: without locks, without changing anything, whoever owns them."""

from __future__ import annotations

import contextlib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clockwork_nb.errors import ClockworkError, InvalidInputError, StoreCorruptError
from clockwork_nb.fs import REAL, FileSystem, read_bytes
from clockwork_nb.jobs.events import Event, decode_record, parse_genesis
from clockwork_nb.jobs.state import JobState
from clockwork_nb.store.blobs import BlobStore
from clockwork_nb.store.lease import LeaseFile, read_lease
from clockwork_nb.store.listing import JobList
from clockwork_nb.store.log import LogScan, Watermark, corrupt, extend, scan
from clockwork_nb.store.snapshot import Snapshot, read_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JobReader", "JobView", "check_snapshot", "highest_mark", "read_log"]


class JobView(Struct, frozen=True):
    """A job as read from disk: header, events, their fold, the log's valid bytes, and how many torn bytes follow them."""

    genesis: Mapping[str, Any]
    events: list[Event]
    state: JobState
    raw: bytes
    torn: int = 0


class JobReader(JobList):
    """The jobs below ``<home>/jobs``, for reading them whole."""

    def state(self, job_id: str) -> JobState:
        """Return the job's state now: from the snapshot and the records after it, or from the whole log.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
            StoreCorruptError, StoreIOError.
        """
        folder = self.existing(job_id)
        quick = self.from_snapshot(folder, self.genesis(job_id))
        return self.read(job_id).state if quick is None else quick.state

    def read(self, job_id: str) -> JobView:
        """Return the job's header, all events and their fold, everything checked. Takes no lock and changes nothing.

        Bytes at the end that are not a whole record yet (a write in progress, or a crash) are counted in ``torn``.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
            StoreCorruptError, StoreIOError.
        """
        folder = self.existing(job_id)
        genesis = self.genesis(job_id)
        # The marks first: what they name was durable before they were written, so the log read after must have it.
        snapshot = read_snapshot(folder / "snapshot.json", job_id, fs=self._fs)
        mark = highest_mark(read_lease(folder / "lease.json", fs=self._fs), snapshot, job_id)
        data = read_log(folder, fs=self._fs)
        scanned = scan(data, genesis, watermark=mark)
        if scanned.verdict == "corrupt":
            raise corrupt(scanned, str(folder / "events.jsonl"))
        check_snapshot(folder, scanned, snapshot)
        return JobView(genesis, scanned.events, scanned.state, data[: scanned.offset], len(scanned.tail))

    def blobs(self, job_id: str) -> BlobStore:
        """Return the job's blobs.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
        """
        return BlobStore(self.existing(job_id) / "blobs", fs=self._fs)

    # --- inside ---

    def from_snapshot(self, folder: Path, genesis: Mapping[str, Any]) -> LogScan | None:
        """Return the fold from the snapshot and the records after it, None when only a full reading can judge.

        ``events`` of the result are those after the snapshot. The bytes before it are not taken apart, but they must be
        the ones it was made from; and the record that the lease knows to be durable must be there.

        Raises:
            StoreIOError: E_STORE_IO: the snapshot cannot be read.
        """
        snapshot = read_snapshot(folder / "snapshot.json", genesis["job_id"], fs=self._fs)
        if snapshot is None or not snapshot.log_sha256 or snapshot.state.genesis != genesis["genesis"]:
            return None
        with contextlib.suppress(OSError, ClockworkError):
            mark = highest_mark(read_lease(folder / "lease.json", fs=self._fs), snapshot, genesis["job_id"])
            data = self._fs.read(folder / "events.jsonl")
            if sha256(memoryview(data)[: snapshot.offset]).hexdigest() != snapshot.log_sha256:
                return None
            last = decode_record(data[data.rfind(b"\n", 0, snapshot.offset - 1) + 1 : snapshot.offset - 1])
            if (last.seq, last.hash) != (snapshot.seq, snapshot.head):
                return None
            scanned = extend(data[snapshot.offset :], snapshot.state, base=snapshot.offset, watermark=mark)
            return None if scanned.verdict == "corrupt" else scanned
        return None

    def genesis(self, job_id: str) -> dict[str, Any]:
        """Return the job's header, checked.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT: missing, damaged, or of another job.
        """
        path = self.folder(job_id) / "job.json"
        try:
            genesis = parse_genesis(read_bytes(path, fs=self._fs))
        except FileNotFoundError:
            raise StoreCorruptError(f"{path} is missing", details={"path": str(path), "reason": "missing"}) from None
        except InvalidInputError as error:
            raise StoreCorruptError(
                f"{path} is damaged: {error.message}", details={"path": str(path), "reason": "header"}
            ) from error
        if genesis["job_id"] != job_id:
            raise StoreCorruptError(
                f"{path} is the header of job {genesis['job_id']}", details={"path": str(path), "reason": "header"}
            )
        return genesis


def read_log(folder: Path, *, fs: FileSystem = REAL) -> bytes:
    """Return the bytes of a job's log.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT: it is missing, or a link, pipe or device has its name.
        StoreIOError: E_STORE_IO.
    """
    path = folder / "events.jsonl"
    found = fs.stat(path)
    if found is None or not found.is_file:
        reason = "missing" if found is None else "not_a_file"
        says = "is missing" if found is None else "is not a regular file"
        hint = f"Restore it from a backup. Look with: clockwork store check {folder.name}"
        raise StoreCorruptError(f"{path} {says}", hint=hint, details={"path": str(path), "reason": reason})
    try:
        return read_bytes(path, fs=fs)
    except FileNotFoundError:
        raise StoreCorruptError(f"{path} is missing", details={"path": str(path), "reason": "missing"}) from None


def highest_mark(lease: LeaseFile, snapshot: Snapshot | None, job_id: str) -> Watermark:
    """Return the latest record that lease or snapshot say was durable.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT: the lease is that of another job.
    """
    if lease.job_id != job_id:
        raise StoreCorruptError(
            f"lease.json of job {job_id} is that of job {lease.job_id}",
            hint=f"Look at it with: clockwork store check {job_id}",
            details={"path": "lease.json", "reason": "foreign_lease"},
        )
    if snapshot is not None and snapshot.seq > lease.watermark.seq:
        return Watermark(snapshot.seq, snapshot.head)
    return lease.watermark


def check_snapshot(folder: Path, scanned: LogScan, snapshot: Snapshot | None) -> None:
    """Return when *snapshot* stands for a record of the log that was scanned.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT.
    """
    if snapshot is None or not snapshot.seq:
        return
    if scanned.events[snapshot.seq - 1].hash != snapshot.head:
        raise StoreCorruptError(
            f"{folder / 'snapshot.json'} stands for another record {snapshot.seq} than the log has",
            details={"path": str(folder), "seq": snapshot.seq, "reason": "fork"},
        )
