"""Reading jobs: without locks, without changing anything, whoever owns them."""

from __future__ import annotations

import contextlib
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clockwork_nb.errors import ClockworkError, InvalidInputError, StoreCorruptError
from clockwork_nb.fs import REAL, FileSystem, read_bytes
from clockwork_nb.ids import JOB_ID, check_job_id
from clockwork_nb.jobs.events import MAX_LINE, Event, decode_record, parse_genesis
from clockwork_nb.jobs.state import JobState
from clockwork_nb.store.blobs import BlobStore
from clockwork_nb.store.lease import LeaseFile, lives, read_lease, this_process
from clockwork_nb.store.log import LogScan, Watermark, corrupt, extend, scan
from clockwork_nb.store.snapshot import Snapshot, read_runtime, read_snapshot, runtime_document

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JobReader", "JobSummary", "JobView", "check_snapshot", "highest_mark"]


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One line of ``job list``. ``damaged`` is why the job could not be read, else empty; then only ``job_id`` is known.

    ``running`` says whether a live process holds the lease now.
    """

    job_id: str
    name: str = ""
    adapter: str = ""
    status: str = ""
    reason: str = ""
    created_at: str = ""
    updated_at: str = ""
    seq: int = 0
    sections: int = 0
    steps_done: int = 0
    steps_failed: int = 0
    steps_skipped: int = 0
    open_decisions: tuple[int, ...] = ()
    finished: bool = False
    tainted: bool = False
    running: bool = False
    damaged: str = ""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as read from disk: header, events, their fold, the log's valid bytes, and how many torn bytes follow them."""

    genesis: Mapping[str, Any]
    events: list[Event]
    state: JobState
    raw: bytes
    torn: int = 0


class JobReader:
    """The jobs below ``<home>/jobs``, for reading. Making one touches no file."""

    def __init__(self, home: Path, *, fs: FileSystem = REAL) -> None:
        self.home = home
        self._fs = fs

    def folder(self, job_id: str) -> Path:
        """Return the folder of the job, existing or not.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: not a job id.
        """
        return self.home / "jobs" / check_job_id(job_id)

    def exists(self, job_id: str) -> bool:
        """Return whether there is a job of that id."""
        return JOB_ID.match(job_id) is not None and self._fs.stat(self.folder(job_id) / "job.json") is not None

    def ids(self) -> list[str]:
        """Return the ids of all jobs, sorted."""
        jobs = self.home / "jobs"
        if self._fs.stat(jobs) is None:
            return []
        return [name for name in self._fs.list_dir(jobs) if self.exists(name)]

    def list(self) -> list[JobSummary]:
        """Return a line for every job, newest first. Cheap: reads the short view, and the log only where that is behind."""
        return sorted(
            (self.summary(job_id) for job_id in self.ids()), key=lambda s: (s.created_at, s.job_id), reverse=True
        )

    def summary(self, job_id: str) -> JobSummary:
        """Return the job's line of the list; a damaged job gets one too.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
        """
        folder = self.existing(job_id)
        try:
            document = read_runtime(folder / "runtime_config.json", job_id, fs=self._fs)
            size = self._fs.stat(folder / "events.jsonl")
            if document is None or size is None or size.size != document["offset"]:
                document = runtime_document(self.state(job_id), 0)
            lease = read_lease(folder / "lease.json", fs=self._fs)
            return JobSummary(
                **{name: document[name] for name in _SUMMARY_NAMES},
                open_decisions=tuple(document["open_decisions"]),
                running=lease.state == "held" and lives(lease.holder, this_process()),
            )
        except (ClockworkError, KeyError, TypeError) as error:
            return JobSummary(job_id=job_id, damaged=str(error) or type(error).__name__)

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
        mark = highest_mark(read_lease(folder / "lease.json", fs=self._fs), snapshot)
        path = folder / "events.jsonl"
        try:
            data = read_bytes(path, fs=self._fs)
        except FileNotFoundError:
            raise StoreCorruptError(f"{path} is missing", details={"path": str(path), "reason": "missing"}) from None
        scanned = scan(data, genesis, watermark=mark)
        if scanned.verdict == "corrupt":
            raise corrupt(scanned, str(path))
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

        ``events`` of the result are those after the snapshot. Reads no more of the log than that.

        Raises:
            StoreIOError: E_STORE_IO: the snapshot cannot be read.
        """
        snapshot = read_snapshot(folder / "snapshot.json", genesis["job_id"], fs=self._fs)
        if snapshot is None or snapshot.state.genesis != genesis["genesis"]:
            return None
        start = max(0, snapshot.offset - MAX_LINE)
        with contextlib.suppress(OSError, ClockworkError):
            data = self._fs.read(folder / "events.jsonl", start)
            covered = data[: snapshot.offset - start]
            if len(covered) != snapshot.offset - start or not covered.endswith(b"\n"):
                return None
            last = decode_record(covered[covered.rfind(b"\n", 0, -1) + 1 : -1])
            if (last.seq, last.hash) != (snapshot.seq, snapshot.head):
                return None
            scanned = extend(data[len(covered) :], snapshot.state, base=snapshot.offset)
            return None if scanned.verdict == "corrupt" else scanned
        return None

    def existing(self, job_id: str) -> Path:
        """Return the folder of a job that exists.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is none; the hint names the nearest ids.
        """
        if self.exists(job_id):
            return self.folder(job_id)
        known = self.ids()
        near = difflib.get_close_matches(job_id, known, n=3, cutoff=0.4) or known[-3:]
        raise InvalidInputError(
            f"there is no job {job_id[:80]!r} in {self.home}",
            hint=f"Nearest: {', '.join(near)}." if near else "The store is empty.",
            details={"job_id": job_id[:80], "near": near},
        )

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


_SUMMARY_NAMES: Final = (
    "job_id",
    "name",
    "adapter",
    "status",
    "reason",
    "created_at",
    "updated_at",
    "seq",
    "sections",
    "steps_done",
    "steps_failed",
    "steps_skipped",
    "finished",
    "tainted",
)


def highest_mark(lease: LeaseFile, snapshot: Snapshot | None) -> Watermark:
    """Return the latest record that lease or snapshot say was durable."""
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
