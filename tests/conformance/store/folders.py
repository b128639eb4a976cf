"""Job folders made from nothing but values: every byte of them is fixed, and a case may change any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from clockwork_nb.canonical import canonical_json, sha256_hex
from clockwork_nb.jobs.events import Event, encode_record, genesis_document
from clockwork_nb.jobs.state import evolve, initial_state, replay
from clockwork_nb.store.lease import Holder, LeaseFile, write_lease
from clockwork_nb.store.log import Watermark
from clockwork_nb.store.snapshot import write_runtime, write_snapshot

STAMP: Final = "2026-11-22T01:02:03.000004Z"
HOLDER: Final = Holder("01M80RUNNER000000000000000", "a" * 16, "there", "", 4711, 12345)


@dataclass
class Log:
    """A log in the making; ``add`` appends a record that fits, ``raw`` one that need not."""

    job_id: str = "job_a"
    name: str = "a job"
    stamps: Sequence[str] = (STAMP,)
    lines: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.genesis: Mapping[str, Any] = genesis_document(
            job_id=self.job_id, name=self.name, adapter="pipeline", lineage="lin_1", created_at=STAMP,
            producer_version="clockwork_nb 0.1.0",
        )  # fmt: skip

    def add(self, event_type: str, payload: Mapping[str, Any], *, epoch: int = 1) -> Event:
        event, line = self.record(event_type, payload, epoch=epoch)
        self.events.append(event)
        self.lines.append(line)
        return event

    def record(self, event_type: str, payload: Mapping[str, Any], *, epoch: int = 1) -> tuple[Event, bytes]:
        return encode_record(
            seq=len(self.lines) + 1,
            created_at=self.stamps[len(self.lines) % len(self.stamps)],
            event_type=event_type,
            payload=payload,
            epoch=epoch,
            prev=self.events[-1].hash if self.events else str(self.genesis["genesis"]),
            job_id=self.job_id,
        )

    def cell(self, index: int) -> Event:
        return self.add("cell.started", {"cell": f"c{index}", "index": index})

    @property
    def data(self) -> bytes:
        return b"".join(self.lines)

    @property
    def mark(self) -> Watermark:
        return Watermark(self.events[-1].seq, self.events[-1].hash)


def log_of(records: int, **fields: Any) -> Log:
    """Return a log of *records* valid records."""
    log = Log(**fields)
    log.add("job.created", {"name": log.name, "adapter": "pipeline", "objective": "", "spec": "{}"})
    if records > 1:
        taken = {"runner_id": HOLDER.runner_id, "host_id": HOLDER.host_id, "ttl_ms": 30_000, "takeover": False}
        log.add("lease.taken", {**taken, "tool_version": "clockwork_nb 0.1.0"})
    for index in range(records - 2):
        log.cell(index)
    return log


@dataclass(frozen=True)
class Folder:
    """A job's folder as values: the files by name, and what is planted on the disk after they were written."""

    files: Mapping[str, bytes]
    job_id: str = "job_a"
    plant: Callable[[Path], None] | None = None

    def having(self, **files: bytes | None) -> Folder:
        """Return it with other contents; the first ``_`` of a name is a dot, None takes the file away."""
        new = dict(self.files)
        for key, data in files.items():
            name = key.replace("_", ".", 1) if not key.startswith("runtime") else "runtime_config.json"
            if data is None:
                new.pop(name, None)
            else:
                new[name] = data
        return replace(self, files=new)

    def planting(self, plant: Callable[[Path], None]) -> Folder:
        return replace(self, plant=plant)

    def write(self, home: Path) -> Path:
        """Write it below ``home/jobs`` as the store would have, and return where it is."""
        folder = home / "jobs" / self.job_id
        (folder / "blobs" / "sha256").mkdir(parents=True, mode=0o700)
        for path in (home, home / "jobs", folder, folder / "blobs", folder / "blobs" / "sha256"):
            path.chmod(0o700)
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(data)
            path.chmod(0o600)
        if self.plant is not None:
            self.plant(folder)
        return folder


def folder_of(
    log: Log, tmp: Path, *, snapshot: bool = True, lease: bool = True, mark: Watermark | None = None, epoch: int = 1
) -> Folder:
    """Return the folder of a job with that log, released by its owner. *tmp* is any empty place."""
    files = {
        "job.json": canonical_json(dict(log.genesis)),
        "events.jsonl": log.data,
        "append.lock": b"",
        "owner.lock": b"",
    }
    if snapshot:
        files["snapshot.json"] = snapshot_of(log, tmp)
        write_runtime(tmp / "r", replay(log.genesis, log.events), len(log.data))
        files["runtime_config.json"] = (tmp / "r").read_bytes()
    if lease:
        files["lease.json"] = lease_of(log, tmp, mark=mark, epoch=epoch)
    return Folder(files, log.job_id)


def snapshot_of(log: Log, tmp: Path, *, at: int | None = None, **changes: Any) -> bytes:
    """Return the snapshot of *log* after record *at* (the last), with *changes* of its state, the digests made to fit."""
    count = len(log.lines) if at is None else at
    state = initial_state(log.genesis)
    for event in log.events[:count]:
        state = evolve(state, event)
    for name, value in changes.items():
        setattr(state, name, value)
    covered = b"".join(log.lines[:count])
    write_snapshot(tmp / "s", state, len(covered), version="0.1.0", log_sha256=sha256_hex(covered))
    return (tmp / "s").read_bytes()


def lease_of(
    log: Log, tmp: Path, *, mark: Watermark | None = None, epoch: int = 1, job_id: str = "", state: str = "free"
) -> bytes:
    write_lease(
        tmp / "l",
        LeaseFile(job_id or log.job_id, epoch, state, HOLDER, 3, 30_000, mark or log.mark, acquired_at=STAMP),
    )
    return (tmp / "l").read_bytes()
