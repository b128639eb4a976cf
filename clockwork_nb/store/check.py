"""A thorough look at one job's folder, and at the store around it. Reads everything, changes nothing, reports all it finds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import asdict

from clockwork_nb.errors import ClockworkError
from clockwork_nb.fs import REAL, FileStat, FileSystem
from clockwork_nb.ids import JOB_ID
from clockwork_nb.jobs.events import Event, decode_record
from clockwork_nb.jobs.fields import HEX
from clockwork_nb.jobs.state import JobState, replay
from clockwork_nb.store.blobs import BlobStore
from clockwork_nb.store.lease import LeaseFile, read_lease
from clockwork_nb.store.log import LogScan, Watermark, scan
from clockwork_nb.store.reading import JobReader, read_log
from clockwork_nb.store.snapshot import Snapshot, read_runtime, read_snapshot, runtime_document
from clockwork_nb.store.sweep import DRAFT_PREFIX, GONE_PREFIX, is_temporary, tree

__all__ = ["Finding", "StoreReport", "check_home", "check_store", "job_folders"]

_FILES: Final = ("job.json", "events.jsonl", "snapshot.json", "runtime_config.json", "lease.json", "exports.jsonl")
_KNOWN: Final = frozenset({*_FILES, "append.lock", "owner.lock", "blobs"})
_LOCKS: Final = frozenset({"append.lock", "owner.lock", "exports.jsonl"})
_HOME: Final = frozenset({"jobs", "work", "pruned.jsonl", "prune.lock", ".lock-probe", "secret.key"})
_MOST: Final = 50
"""Findings of one kind that are listed; the rest are counted."""
_RESTORE: Final = "restore the file from a backup, or from the job's jobpack"


class Finding(Struct, frozen=True):
    """One thing that is not as it should be.

    ``severity`` is ``error`` (evidence is damaged), ``warning`` (somebody should look) or ``note`` (harmless). ``where``
    is relative to the job's folder (or the store's). ``reason`` is a stable word for machines; ``action`` what to do.
    ``offset`` (bytes) and ``seq`` are the place in the log, where there is one.
    """

    severity: str
    where: str
    reason: str
    message: str
    action: str = ""
    offset: int | None = None
    seq: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


class StoreReport(Struct, frozen=True):
    """What `check_store` found: how much was looked at, and every finding."""

    job_id: str
    status: str = ""
    events: int = 0
    blobs: int = 0
    tainted: bool = False
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "job_id": self.job_id,
            "ok": self.ok,
            "status": self.status,
            "events": self.events,
            "blobs": self.blobs,
            "tainted": self.tainted,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def job_folders(home: Path, *, fs: FileSystem = REAL) -> list[str]:
    """Return the names below ``jobs`` that are job ids, sorted; also those a job cannot be read from."""
    jobs = home / "jobs"
    return [] if fs.stat(jobs) is None else [name for name in fs.list_dir(jobs) if JOB_ID.match(name)]


def check_store(store: JobReader, job_id: str, *, fs: FileSystem = REAL) -> StoreReport:
    """Return a report on the job: its whole log, every blob, the caches against the log, permissions, and leftovers.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
    """
    folder = store.folder(job_id)
    found = fs.stat(folder)
    if found is None:
        store.existing(job_id)
    if found is None or not found.is_dir:
        problem = Finding("error", ".", "not_a_file", "a link or a file has the name of the job's folder", _RESTORE)
        return StoreReport(job_id, findings=[problem])
    return _JobCheck(store, job_id, folder, fs).report()


class _JobCheck:
    """One look at one job; ``findings`` grow as it goes on."""

    def __init__(self, store: JobReader, job_id: str, folder: Path, fs: FileSystem) -> None:
        self.store, self.job_id, self.folder, self.fs = store, job_id, folder, fs
        self.findings: list[Finding] = []

    def report(self) -> StoreReport:
        """Look at everything and return the report."""
        # The marks before the log: what they name was durable before they were written.
        snapshot = self._snapshot()
        lease = self._lease()
        genesis = self._genesis()
        scanned = self._log(genesis)
        state: JobState | None = None
        if scanned is not None and genesis is not None:
            state = scanned.state
            self._marks(scanned, lease, snapshot)
            if snapshot is not None:
                self._compare_snapshot(genesis, scanned, snapshot)
            self._compare_runtime(scanned)
        blobs = self._blobs([] if scanned is None else scanned.events)
        self._permissions_and_names()
        return StoreReport(
            self.job_id,
            state.status if state else "",
            len(scanned.events) if scanned else 0,
            blobs,
            bool(state and state.tainted),
            self.findings,
        )

    def _add(
        self, severity: str, where: str, reason: str, message: str, action: str = "", *, offset: int | None = None,
        seq: int | None = None,
    ) -> None:  # fmt: skip
        self.findings.append(Finding(severity, where, reason, message, action, offset, seq))

    def _failed(self, where: str, error: ClockworkError, action: str) -> None:
        found = self.fs.stat(self.folder / where)
        reason = str(error.details.get("reason", "unreadable"))
        if found is not None and not found.is_file:
            reason = "not_a_file"
        self._add("error", where, reason, error.message, action)

    # --- the files ---

    def _genesis(self) -> Mapping[str, Any] | None:
        try:
            return self.store.genesis(self.job_id)
        except ClockworkError as error:
            self._failed("job.json", error, f"{_RESTORE} (there it is clockwork/genesis.json)")
            return None

    def _lease(self) -> LeaseFile | None:
        repair = f"clockwork store repair {self.job_id} --reason …"
        try:
            lease = read_lease(self.folder / "lease.json", fs=self.fs)
        except ClockworkError as error:
            self._failed("lease.json", error, repair)
            return None
        if lease.job_id != self.job_id:
            self._add("error", "lease.json", "foreign_lease", f"it is the lease of job {lease.job_id}", repair)
            return None
        return lease

    def _snapshot(self) -> Snapshot | None:
        name = "snapshot.json"
        try:
            snapshot = read_snapshot(self.folder / name, self.job_id, fs=self.fs)
        except ClockworkError as error:
            self._failed(name, error, f"remove {self.folder / name}; it is only a cache")
            return None
        if snapshot is None and self.fs.stat(self.folder / name) is not None:
            self._add("note", name, "unusable", "not a usable snapshot; the log is read instead")
        return snapshot

    def _log(self, genesis: Mapping[str, Any] | None) -> LogScan | None:
        name = "events.jsonl"
        try:
            data = read_log(self.folder, fs=self.fs)
        except ClockworkError as error:
            self._failed(name, error, _RESTORE)
            return None
        if genesis is None:
            self._records_without_header(data)
            return None
        scanned = scan(data, genesis)
        if scanned.verdict == "torn":
            self._add(
                "note", name, "torn", f"{len(scanned.tail)} bytes of an unfinished write; the next owner cuts them off",
                offset=scanned.offset, seq=scanned.state.seq + 1,
            )  # fmt: skip
        elif scanned.verdict == "corrupt":
            self._add(
                "error", name, scanned.reason, scanned.problem or "more bytes follow than one write can leave",
                f"clockwork store repair {self.job_id} --to-last-valid --reason … shows what would be lost and asks",
                offset=scanned.offset, seq=scanned.state.seq + 1,
            )  # fmt: skip
            self._after_damage(scanned)
        return scanned

    def _records_without_header(self, data: bytes) -> None:
        good = 0
        for _, line in _lines(data, 0):
            good += _record(line) is not None
        self._add(
            "note", "events.jsonl", "unjudged", f"{good} records read by themselves; job.json anchors their chain"
        )

    def _after_damage(self, scanned: LogScan) -> None:
        good, bad = 0, 0
        previous = ""
        for number, (offset, line) in enumerate(_lines(scanned.tail, scanned.offset)):
            event = _record(line)
            if event is not None:
                good += 1
            if number and (event is None or (previous and event.prev != previous)):
                bad += 1
                if bad <= _MOST:
                    says = "not a record" if event is None else f"record {event.seq} does not follow the one before it"
                    self._add(
                        "error", "events.jsonl", "bad_record", says, offset=offset, seq=event.seq if event else None
                    )
            previous = event.hash if event else ""
        says = f"{good} records after byte {scanned.offset} can be read by themselves"
        if bad > _MOST:
            says += f"; {bad - _MOST} more places are damaged"
        self._add("note", "events.jsonl", "after_damage", says, offset=scanned.offset)

    def _marks(self, scanned: LogScan, lease: LeaseFile | None, snapshot: Snapshot | None) -> None:
        marks = {"lease.json": lease.watermark if lease else None}
        marks["snapshot.json"] = Watermark(snapshot.seq, snapshot.head) if snapshot else None
        for name, mark in marks.items():
            if mark is None or not mark.seq:
                continue
            action = (
                f"restore the log from a backup, or: clockwork store repair {self.job_id} --to-last-valid --reason …"
            )
            if mark.seq > scanned.state.seq:
                if scanned.verdict == "corrupt":
                    continue  # the record may be there, behind the damage
                says = (
                    f"record {mark.seq} was written and confirmed ({name}), but the log ends after {scanned.state.seq}"
                )
                self._add(
                    "error",
                    "events.jsonl",
                    "acked_lost",
                    says,
                    action,
                    offset=scanned.offset,
                    seq=scanned.state.seq + 1,
                )
            elif scanned.events[mark.seq - 1].hash != mark.hash:
                says = f"{name} confirms another record {mark.seq} than the log has: an older copy, or another history"
                self._add("error", name, "fork", says, action, seq=mark.seq)
        if lease is not None and lease.epoch < scanned.state.epoch:
            says = f"epoch {lease.epoch}, but the log is at {scanned.state.epoch}: an older copy"
            self._add("error", "lease.json", "epoch_behind", says, f"clockwork store repair {self.job_id} --reason …")

    def _compare_snapshot(self, genesis: Mapping[str, Any], scanned: LogScan, snapshot: Snapshot) -> None:
        if snapshot.seq > len(scanned.events) or (
            snapshot.seq and scanned.events[snapshot.seq - 1].hash != snapshot.head
        ):
            return  # told already
        rebuilt = replay(genesis, scanned.events[: snapshot.seq])
        if rebuilt.to_document() != snapshot.state.to_document():
            self._add(
                "error", "snapshot.json", "state_differs", "its state is not what the log adds up to",
                f"clockwork store repair {self.job_id} --reason …", seq=snapshot.seq,
            )  # fmt: skip

    def _compare_runtime(self, scanned: LogScan) -> None:
        name = "runtime_config.json"
        try:
            document = read_runtime(self.folder / name, self.job_id, fs=self.fs)
        except ClockworkError as error:
            self._failed(name, error, f"remove {self.folder / name}; it is only a view")
            return
        if document is None:
            if self.fs.stat(self.folder / name) is not None:
                self._add("note", name, "unusable", "not a usable view; the log is read instead")
        elif document["offset"] == scanned.offset and document != runtime_document(scanned.state, scanned.offset):
            self._add(
                "warning", name, "view_differs", "it does not show what the log says",
                f"remove {self.folder / name}; it is only a view",
            )  # fmt: skip

    def _blobs(self, events: list[Event]) -> int:
        store = BlobStore(self.folder / "blobs", fs=self.fs)
        names = store.names()
        bad = 0
        for digest in sorted({*names, *_named(events)}):
            try:
                store.get(digest)
            except ClockworkError as error:
                bad += 1
                if bad <= _MOST:
                    self._failed(str(store.path(digest).relative_to(self.folder)), error, _RESTORE)
        if bad > _MOST:
            self._add("error", "blobs", "digest", f"{bad - _MOST} more blobs are missing or damaged", _RESTORE)
        return len(names)

    def _permissions_and_names(self) -> None:
        for path, found in tree(self.folder, fs=self.fs):
            where = str(path.relative_to(self.folder))
            if problem := writable_by_others(found):
                self._add(
                    "warning", where, "permissions", problem, f"chmod go-w {path}, after looking at what is in it"
                )
            name = path.name
            if where in _LOCKS and not found.is_file:
                self._add("error", where, "not_a_file", "not a regular file", f"look at it, then remove {path}")
            elif is_temporary(name):
                self._add("note", where, "leftover", "half-written when a process died; the next owner removes it")
            elif path.parent == self.folder and name.startswith("torn-"):
                self._add("note", where, "leftover", "the tail of an unfinished write, kept when the log was healed")
            elif path.parent == self.folder and name.startswith("events.jsonl.broken-"):
                self._add("note", where, "leftover", "the log as it was before a repair; keep it as evidence")
            elif not _expected(path, found, self.folder):
                self._add("warning", where, "unknown_file", "not a file of the store", "look at it, then remove it")


def _expected(path: Path, found: FileStat, folder: Path) -> bool:
    if path == folder:
        return True
    parts = path.relative_to(folder).parts
    if len(parts) == 1:
        return parts[0] in _KNOWN and (found.is_dir if parts[0] == "blobs" else True)
    if parts[:2] != ("blobs", "sha256") or len(parts) > 4:
        return False
    if len(parts) < 4:
        return found.is_dir
    return HEX.compiled.fullmatch(parts[3]) is not None and parts[3].startswith(parts[2])


def writable_by_others(found: FileStat) -> str:
    """Return what is wrong with the owner or the permissions, empty when nothing is. Links have none of their own."""
    if found.uid != os.geteuid():
        return "belongs to another user"
    return "can be written by other users" if found.mode & 0o022 and (found.is_file or found.is_dir) else ""


def check_home(store: JobReader, *, fs: FileSystem = REAL) -> list[Finding]:
    """Return what is wrong with the store around the jobs: permissions, and names that do not belong there."""
    findings: list[Finding] = []
    for folder in (store.home, store.home / "jobs"):
        found = fs.stat(folder)
        if found is None:
            continue
        where = "." if folder == store.home else "jobs"
        if problem := writable_by_others(found):
            findings.append(Finding("warning", where, "permissions", f"{folder} {problem}", f"chmod go-w {folder}"))
        if found.is_dir:
            findings += [item for name in fs.list_dir(folder) if (item := _stranger(where, name))]
    return findings


def _stranger(where: str, name: str) -> Finding | None:
    if where == ".":
        if name in _HOME:
            return None
        if is_temporary(name):
            return Finding("note", name, "leftover", "half-written when a process died; prune removes it")
        return Finding("note", name, "unknown_file", "not a file of the store")
    place = f"jobs/{name}"
    if JOB_ID.match(name):
        return None
    if name.startswith(DRAFT_PREFIX):
        return Finding(
            "note", place, "leftover", "a job in the making; removed when it is an hour old and nobody makes it"
        )
    if name.startswith(GONE_PREFIX):
        return Finding(
            "note", place, "leftover", "a job whose removal was interrupted; prune ends it", "clockwork store prune"
        )
    return Finding("warning", place, "unknown_file", "not a job of this store", "look at it, then move it away")


def _lines(data: bytes, base: int) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        end = data.find(b"\n", position)
        end = len(data) if end < 0 else end
        yield base + position, data[position:end]
        position = end + 1


def _record(line: bytes) -> Event | None:
    try:
        return decode_record(line)
    except ClockworkError:
        return None


def _named(events: list[Event]) -> Iterator[str]:
    # Digests that an event promises to be among the blobs.
    for event in events:
        for key in _BLOB_KEYS.get(event.type, ()):
            digest = event.payload.get(key)
            if isinstance(digest, str):
                yield digest


_BLOB_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "plan.bound": ("plan", "state_before"),
    "bundle.bound": ("bundle",),
    "section.closed": ("state_after",),
    "step.output": ("blob",),
    "step.completed": ("entry_blob",),
    "artifact.published": ("blob",),
}
