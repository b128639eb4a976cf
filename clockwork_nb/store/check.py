"""A thorough look at one job's folder. Reads everything, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clockwork_nb.errors import ClockworkError
from clockwork_nb.fs import REAL, FileSystem
from clockwork_nb.jobs.state import replay
from clockwork_nb.store.lease import read_lease
from clockwork_nb.store.snapshot import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clockwork_nb.jobs.events import Event
    from clockwork_nb.store.files import JobStore

__all__ = ["Finding", "StoreReport", "check_store"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. ``severity`` is ``error`` (evidence is damaged) or ``note`` (harmless)."""

    severity: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What `check_store` found: how much was looked at, and every finding."""

    job_id: str
    status: str = ""
    events: int = 0
    blobs: int = 0
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
            "findings": [{"severity": f.severity, "where": f.where, "message": f.message} for f in self.findings],
        }


def check_store(store: JobStore, job_id: str, *, fs: FileSystem = REAL) -> StoreReport:
    """Return a report on the job: its whole log, every blob, the caches against the log, and what a crash left behind.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
    """
    try:
        view = store.read(job_id)
    except ClockworkError as error:
        if error.exit_code == 6:
            raise
        return StoreReport(job_id, findings=[Finding("error", "events.jsonl", error.message)])
    folder = store.folder(job_id)
    findings = []
    if view.torn:
        findings.append(
            Finding("note", "events.jsonl", f"{view.torn} bytes of an unfinished write; the next owner cuts them off")
        )
    snapshot = read_snapshot(folder / "snapshot.json", job_id, fs=fs)
    if snapshot is not None:
        rebuilt = replay(view.genesis, view.events[: snapshot.seq])
        if rebuilt.to_document() != snapshot.state.to_document():
            findings.append(Finding("error", "snapshot.json", "its state is not what the log adds up to"))
    elif fs.stat(folder / "snapshot.json") is not None:
        findings.append(Finding("note", "snapshot.json", "not usable; the log is read instead"))
    lease = read_lease(folder / "lease.json", fs=fs)
    if lease.epoch < view.state.epoch:
        findings.append(Finding("error", "lease.json", f"epoch {lease.epoch}, but the log is at {view.state.epoch}"))
    blobs = store.blobs(job_id)
    names = blobs.names()
    for name in sorted(set(names) | set(_named(view.events))):
        try:
            blobs.get(name)
        except ClockworkError as error:
            findings.append(Finding("error", "blobs", error.message))
    for name in fs.list_dir(folder):
        if name.endswith(".tmp") or name.startswith("torn-"):
            findings.append(Finding("note", name, "left behind by a crash; its records, if any, are in the log"))
    return StoreReport(job_id, view.state.status, len(view.events), len(names), findings)


def _named(events: list[Event]) -> Iterator[str]:
    # Digests that an event promises to be among the blobs.
    for event in events:
        for key in ("blob", "entry_blob"):
            digest = event.payload.get(key)
            if isinstance(digest, str):
                yield digest
