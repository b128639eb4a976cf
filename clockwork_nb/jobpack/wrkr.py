"""Checks a pack that Wrkr itself has written: no native log, no signature, and digests of names instead of contents.

Such a pack can be intact; it can prove no more. Beyond Wrkr's own rules, records must belong to one job, be numbered
without gaps and agree with each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import EvidenceInconsistentError, InvalidInputError, PackMissingError, PackUndeclaredError
from clockwork_nb.jobpack.archive import Archive
from clockwork_nb.jobpack.contract import CONTRACT
from clockwork_nb.jobpack.layout import ACCEPT, APPROVALS, ARTIFACTS, CHECKPOINTS, EVENTS, JOB, MANIFEST
from clockwork_nb.jobpack.manifest import Manifest
from clockwork_nb.jobpack.wrkr_values import utc_stamp
from clockwork_nb.jobpack.wrkr_views import check_views
from clockwork_nb.jobs.events import STATUSES
from clockwork_nb.patterns import pattern

__all__ = ["MISSING", "WrkrFacts", "verify_wrkr"]

MISSING: Final = (
    "a signature: anybody can have made or changed this pack",
    "a hash-chained log: events can have been left out or rewritten",
    "plans, scripts, step logs and artifact contents: only names are listed",
)

_SCHEMAS: Final = {
    JOB: "wrkr.job",
    ARTIFACTS: "wrkr.artifacts_manifest",
    ACCEPT: "wrkr.accept_result",
    EVENTS: "wrkr.event",
    CHECKPOINTS: "wrkr.checkpoint",
    APPROVALS: "wrkr.approval_record",
}
_REQUIRED: Final = (JOB, EVENTS, CHECKPOINTS, ARTIFACTS)
_NUMBERED: Final = pattern(r"(?:evt|cp)_([1-9][0-9]{0,15})\Z")


class WrkrFacts(Struct, frozen=True):
    """What the records say about the job."""

    job_id: str
    name: str
    status: str
    events: int
    files: int
    steps: int
    approvals: int
    missing: tuple[str, ...] = MISSING

    def to_facts(self) -> dict[str, Any]:
        """Return the facts as fields of a `VerificationReport`."""
        return {
            "job_id": self.job_id,
            "name": self.name,
            "status": self.status,
            "final": self.status in {"completed", "canceled"},
            "count": self.events,
            "counts": {
                "files": self.files,
                "events": self.events,
                "cells": 0,
                "steps": self.steps,
                "failed": 0,
                "sections": 0,
                "approvals": self.approvals,
            },
        }


def verify_wrkr(archive: Archive, manifest: Manifest) -> WrkrFacts:
    """Return the facts of a Wrkr pack whose files have the digests of *manifest*.

    Raises:
        PackMissingError, PackUndeclaredError: E_PACK_MISSING, E_PACK_UNDECLARED.
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: a record without the contract's fields, or two records that
            contradict each other.
    """
    for name in _REQUIRED:
        if name not in archive.entries:
            raise PackMissingError(f"{name} is missing", details={"path": name})
    for name in archive.entries:
        if name not in _SCHEMAS and name != MANIFEST:
            raise PackUndeclaredError(f"the contract has no place for {name}", details={"path": name})
    _date(manifest.created_at, MANIFEST)
    job = _document(archive, JOB, manifest.job_id)
    artifacts = _document(archive, ARTIFACTS, manifest.job_id)
    if ACCEPT in archive.entries:
        _document(archive, ACCEPT, manifest.job_id)
    events = list(_lines(archive, EVENTS, manifest.job_id))
    status, steps, count, emitted = "", 0, 0, []
    for count, event in enumerate(events, 1):
        if _number(event["event_id"]) != count:
            raise _contradiction(EVENTS, f"event {count} is called {event['event_id']}")
        kind, payload = event["type"], event["payload"]
        if kind == "status_changed":
            status = str(payload.get("to", ""))
        elif kind == "job_initialized":
            status = str(payload.get("status", ""))
        elif kind == "checkpoint_emitted":
            emitted.append(count)
        elif kind == "adapter_step":
            steps += bool(event["executed"])
    checkpoints = list(_lines(archive, CHECKPOINTS, manifest.job_id))
    if [_number(record["checkpoint_id"]) for record in checkpoints] != emitted:
        raise _contradiction(CHECKPOINTS, "the checkpoints are not the ones the events emitted")
    if job["status"] != status or status not in STATUSES:
        raise _contradiction(JOB, f"the job says {job['status'][:40]!r} and its events say {status[:40]!r}")
    decisions = {record["checkpoint_id"] for record in checkpoints if record["type"] == "decision-needed"}
    approvals = list(_lines(archive, APPROVALS, manifest.job_id)) if APPROVALS in archive.entries else []
    for record in approvals:
        if record["checkpoint_id"] not in decisions:
            raise _contradiction(APPROVALS, f"{record['checkpoint_id'][:40]} asks for no decision")
    check_views(events, checkpoints, approvals, job, artifacts)
    return WrkrFacts(
        job_id=manifest.job_id,
        name=job["name"],
        status=status,
        events=count,
        files=len(archive.entries),
        steps=steps,
        approvals=len(approvals),
    )


def _document(archive: Archive, name: str, job_id: str) -> dict[str, Any]:
    return _record(archive.read(name), name, name, job_id)


def _lines(archive: Archive, name: str, job_id: str) -> Iterator[dict[str, Any]]:
    lines = archive.read(name).split(b"\n")
    if lines.pop():
        raise _contradiction(name, "the last line has no end")
    for number, line in enumerate(lines, 1):
        yield _record(line, name, f"{name} line {number}", job_id)


def _record(data: bytes, name: str, where: str, job_id: str) -> dict[str, Any]:
    try:
        document = parse_json(data, what=where)
        CONTRACT[_SCHEMAS[name]].check(document, where)
        canonical = canonical_json(document) == data
    except InvalidInputError as error:
        raise _contradiction(name, error.message) from None
    if not canonical:
        raise _contradiction(name, f"{where} is not in canonical form")
    if document["job_id"] != job_id:
        raise _contradiction(name, f"{where} belongs to another job")
    _date(document["created_at"], where)
    found: dict[str, Any] = document
    return found


def _date(text: str, where: str) -> None:
    try:
        shortest = utc_stamp(text)
    except InvalidInputError as error:
        raise _contradiction(where.partition(" ")[0], f"{where}: {error.message}") from None
    if text.endswith("Z") and text != shortest:
        raise _contradiction(where.partition(" ")[0], f"{where}: {text[:40]!r} is not as Go prints it: {shortest}")


def _number(name: str) -> int:
    match = _NUMBERED.match(name)
    return int(match[1]) if match else 0


def _contradiction(path: str, message: str) -> EvidenceInconsistentError:
    return EvidenceInconsistentError(message, details={"path": path})
