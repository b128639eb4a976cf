"""Whether the files of a pack that Wrkr wrote tell one story: its checkpoints, approvals and counts are in its events.

Wrkr's own verify compares none of them, so that an edited view of an untouched log passes there. A pack whose events
and views were edited together still passes here: without a chain nobody can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import EvidenceInconsistentError
from clockwork_nb.jobpack.layout import APPROVALS, ARTIFACTS, CHECKPOINTS, JOB
from clockwork_nb.jobpack.wrkr_replay import COUNTERS

__all__ = ["check_views"]

Document = Mapping[str, Any]

_APPROVAL: Final = ("approved_by", "checkpoint_id", "reason")
_LISTS: Final = ("added", "changed", "removed")


def check_views(
    events: Sequence[Document],
    checkpoints: Iterable[Document],
    approvals: Sequence[Document],
    job: Document,
    artifacts: Document,
) -> None:
    """Compare the small files of a Wrkr pack with its events; each record has the contract's fields already.

    Raises:
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: a view says something that the events do not.
    """
    emitted = {event["event_id"][4:]: event for event in events if event["type"] == "checkpoint_emitted"}
    listed: set[str] = set()
    for record in checkpoints:
        number = record["checkpoint_id"][3:]
        event = emitted[number]
        if event["created_at"] != record["created_at"] or _checkpoint(event["payload"]) != _checkpoint(record):
            raise _differs(CHECKPOINTS, f"cp_{number} is not what event {number} emitted")
        delta = record["artifacts_delta"]
        listed.update(path for name in _LISTS[:2] for path in delta[name])
    recorded = [event["payload"] for event in events if event["type"] == "approval_recorded"]
    if [_approval(payload) for payload in recorded] != [_approval(record) for record in approvals]:
        raise _differs(APPROVALS, "the approvals are not the ones the events recorded")
    counted = [event["payload"] for event in events if event["type"] == "counters_updated"]
    last: Document = counted[-1] if counted else {}
    if any(job["budgets"].get(name, 0) != last.get(name, 0) for name in COUNTERS):
        raise _differs(JOB, "the counters are not the last ones of the events")
    _check_artifacts(artifacts, listed, ours=any(event["type"].startswith("cw.") for event in events))


def _checkpoint(fields: Document) -> Document:
    # Null and absent are one thing to Go; what Wrkr fills in from the job's state when it is empty is left out.
    delta = fields.get("artifacts_delta") or {}
    return {
        "type": fields.get("type"),
        "summary": fields.get("summary"),
        "reason_codes": fields.get("reason_codes") or [],
        "required_action": fields.get("required_action") or None,
        "artifacts_delta": {name: delta.get(name) or [] for name in _LISTS} if type(delta) is dict else delta,
    }


def _approval(record: Document) -> list[Any]:
    return [record.get(name) for name in _APPROVAL]


def _check_artifacts(artifacts: Document, listed: set[str], *, ours: bool) -> None:
    paths = [item["path"] for item in artifacts["artifacts"]]
    if len(set(paths)) != len(paths) or not listed.issuperset(paths):
        raise _differs(ARTIFACTS, "it lists paths that no checkpoint published, or one of them twice")
    if ours:  # a pack of our own without its evidence: digests are of contents, and removed files are not listed
        return
    if set(paths) != {path for path in listed if path}:
        raise _differs(ARTIFACTS, "it leaves out paths that a checkpoint published")
    if artifacts["capture_mode"] != "reference-only":
        raise _differs(ARTIFACTS, "it speaks of contents, and Wrkr captures none")
    for item in artifacts["artifacts"]:
        if item["sha256"] != sha256_hex(f"reference:{item['path']}".encode()):
            raise _differs(ARTIFACTS, f"the digest of {item['path'][:80]} is not that of its name")


def _differs(path: str, message: str) -> EvidenceInconsistentError:
    return EvidenceInconsistentError(message, details={"path": path})
