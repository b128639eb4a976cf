"""Projection ``wrkr-v1/1``: the Wrkr contract files as a pure function of the native log.

One native record gives one line of ``events.jsonl``; some also give a line of ``checkpoints.jsonl`` or
``approvals.jsonl``. A pack's contract files are made and checked by this one function, so nobody ever parses them. The
bytes are frozen: a change of any of them is a new projection version beside this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from clockwork_nb.canonical import canonical_json
from clockwork_nb.clock import rfc3339, rfc3339_short
from clockwork_nb.errors import EvidenceInconsistentError
from clockwork_nb.jobpack.history import tool_version
from clockwork_nb.jobpack.layout import ACCEPT, APPROVALS, ARTIFACTS, CHECKPOINTS, EVENTS, JOB
from clockwork_nb.jobpack.plain import plain_json, plain_text
from clockwork_nb.jobs.events import Event

__all__ = ["PROJECTION", "Projector", "project"]

PROJECTION: Final = "wrkr-v1/1"

_quote: Final = json.JSONEncoder(ensure_ascii=False).encode

_TYPES: Final[Mapping[str, str]] = {
    "job.created": "job_initialized",
    "job.status": "status_changed",
    "lease.taken": "lease_set",
    "lease.released": "lease_released",
    "env.captured": "env_fingerprint_set",
    "env.override": "env_override_recorded",
    "budget.charged": "counters_updated",
    "checkpoint": "checkpoint_emitted",
    "approval.granted": "approval_recorded",
    "step.started": "adapter_step",
    "step.skipped": "adapter_step",
}
_NOT_EXECUTED: Final = frozenset({"step.skipped", "cell.restored"})


class Projector:
    """Turns events into contract lines, in order. Feed each event once to `add`, then take the small files."""

    def __init__(self, genesis: Mapping[str, Any]) -> None:
        self.checkpoints: list[bytes] = []
        self.approvals: list[bytes] = []
        self._job_id = str(genesis["job_id"])
        self._name = str(genesis["name"])
        self._adapter = str(genesis["adapter"])
        self._producer = str(genesis["producer_version"])
        self._last_at = rfc3339_short(str(genesis["created_at"]))
        self._status = "queued"
        self._counters = {"retry_count": 0, "step_count": 0, "tool_call_count": 0}
        self._wall_seconds = 0
        self._delta: dict[str, str] = {}
        self._paths: dict[str, str] = {}
        self._accepted: dict[str, Any] | None = None
        self._set_producer(self._producer)

    def _set_producer(self, producer: str) -> None:
        self._producer = producer
        self._before_payload = f',"job_id":{_quote(self._job_id)},"payload":'
        self._after_payload = (
            f',"producer_version":{_quote(producer)},"schema_id":"wrkr.event","schema_version":"v1","type":"'
        )

    @property
    def created_at(self) -> str:
        """Stamp of the last event, in its shortest form."""
        return self._last_at

    @property
    def producer_version(self) -> str:
        """The tool version in force: the last lease's, else the genesis's."""
        return self._producer

    def add(self, event: Event) -> bytes:
        """Return the line of ``events.jsonl`` for *event*, line end included.

        Raises:
            EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: a stamp that is no date.
        """
        kind = event.type
        if kind == "lease.taken":
            self._set_producer(tool_version(event.payload["tool_version"]))
        self._last_at = stamp = rfc3339_short(event.created_at)
        payload = dict(event.payload)
        added = _ADDED.get(kind)
        if added is not None:
            added(self, event, payload)
        payload["clockwork"] = {"epoch": event.epoch, "hash": event.hash, "type": kind}
        text = (plain_text if kind not in _USER_KEYED else _canonical)(payload)
        executed = "false" if kind in _NOT_EXECUTED else "true"
        line = (
            f'{{"created_at":"{stamp}","event_id":"evt_{event.seq}","executed":{executed}'
            f'{self._before_payload}{text}{self._after_payload}{_TYPES.get(kind) or "cw." + kind}"}}\n'
        )
        return line.encode()

    def small_files(self, left_out: Iterable[str] = ()) -> dict[str, bytes]:
        """Return every contract file but ``events.jsonl`` and the manifest, by entry name.

        *left_out* are the digests of published artifacts that the pack does not hold.
        """
        captured = all(self._paths.values()) and set(self._paths.values()).isdisjoint(left_out)
        files = {
            CHECKPOINTS: b"".join(self.checkpoints),
            JOB: canonical_json(
                {
                    **self._envelope("wrkr.job"),
                    "budgets": {**self._counters, "wall_time_seconds": self._wall_seconds},
                    "name": self._name,
                    "status": self._status,
                }
            ),
            ARTIFACTS: canonical_json(
                {
                    **self._envelope("wrkr.artifacts_manifest"),
                    "artifacts": [{"path": p, "sha256": d} for p, d in sorted(self._paths.items()) if d],
                    "capture_mode": "raw" if captured else "reference-only",
                }
            ),
        }
        if self.approvals:
            files[APPROVALS] = b"".join(self.approvals)
        if self._accepted is not None:
            files[ACCEPT] = canonical_json(self._accepted)
        return files

    def _envelope(self, schema_id: str) -> dict[str, Any]:
        return {
            "created_at": self._last_at,
            "job_id": self._job_id,
            "producer_version": self._producer,
            "schema_id": schema_id,
            "schema_version": "v1",
        }

    # One method for each native type that is more than its payload. ``payload`` is a copy to add to.

    def _created(self, event: Event, payload: dict[str, Any]) -> None:
        payload.update(started_at=self._last_at, status="queued")

    def _moved(self, event: Event, payload: dict[str, Any]) -> None:
        self._status = payload["to"]

    def _lease_taken(self, event: Event, payload: dict[str, Any]) -> None:
        payload.update(
            acquired_at=self._last_at,
            expires_at=rfc3339_short(_later(event.created_at, payload["ttl_ms"])),
            heartbeat_at=self._last_at,
            lease_id=f"lease-{event.epoch}",
            worker_id=payload["runner_id"],
        )

    def _lease_released(self, event: Event, payload: dict[str, Any]) -> None:
        payload.update(lease_id=f"lease-{event.epoch}", worker_id=payload["runner_id"])

    def _fingerprint(self, event: Event, payload: dict[str, Any]) -> None:
        rules = payload["rules"]
        payload["rules"] = [rule["rule"] for rule in rules]
        payload["values"] = {rule["rule"]: rule["value"] for rule in rules}
        payload["captured_at"] = self._last_at
        if event.type == "env.override":
            payload["approved_by"] = payload["by"]

    def _charged(self, event: Event, payload: dict[str, Any]) -> None:
        self._counters = {name: payload[name] for name in self._counters}
        self._wall_seconds = payload["active_ms"] // 1000

    def _published(self, event: Event, payload: dict[str, Any]) -> None:
        path, operation = payload["path"], payload["op"]
        self._delta[path] = operation
        if operation == "removed":
            self._paths.pop(path, None)
        else:
            self._paths[path] = payload.get("blob", "")

    def _checkpoint(self, event: Event, payload: dict[str, Any]) -> None:
        delta: dict[str, list[str]] = {"added": [], "changed": [], "removed": []}
        for path in sorted(self._delta):
            delta[self._delta[path]].append(path)
        self._delta = {}
        facts: dict[str, Any] = {
            "artifacts_delta": delta,
            "budget_state": {**self._counters, "wall_time_seconds": self._wall_seconds},
            "reason_codes": payload["reason_codes"],
            "status": self._status,
            "summary": payload["summary"],
            "type": payload["kind"],
        }
        action = payload.get("required_action")
        record = {**self._envelope("wrkr.checkpoint"), **facts, "checkpoint_id": f"cp_{event.seq}"}
        if action is not None and payload["kind"] == "decision-needed":
            record["required_action"] = action
        self.checkpoints.append(plain_json(record) + b"\n")
        payload.update(facts, required_action=action)  # null is allowed here and nowhere else

    def _granted(self, event: Event, payload: dict[str, Any]) -> None:
        reason = payload["reason"]
        if payload["via"] in {"auto", "policy"}:
            reason = f"no person approved ({payload['via']}): {reason}"
        record = {
            **self._envelope("wrkr.approval_record"),
            "approved_by": payload["by"],
            "checkpoint_id": f"cp_{payload['checkpoint_seq']}",
            "reason": reason,
        }
        self.approvals.append(plain_json(record) + b"\n")
        payload.update(record)

    def _step_started(self, event: Event, payload: dict[str, Any]) -> None:
        artifact = payload.get("artifact", "")
        payload.update(
            adapter=self._adapter, artifacts=[artifact] if artifact else [], executed=True, step_index=payload["index"]
        )

    def _step_skipped(self, event: Event, payload: dict[str, Any]) -> None:
        payload.update(adapter=self._adapter, artifacts=[], command="", executed=False, step_index=payload["index"])

    def _accept(self, event: Event, payload: dict[str, Any]) -> None:
        self._accepted = {**self._envelope("wrkr.accept_result"), **payload}


_ADDED: Final[Mapping[str, Callable[[Projector, Event, dict[str, Any]], None]]] = {
    "job.created": Projector._created,
    "job.status": Projector._moved,
    "lease.taken": Projector._lease_taken,
    "lease.released": Projector._lease_released,
    "env.captured": Projector._fingerprint,
    "env.override": Projector._fingerprint,
    "budget.charged": Projector._charged,
    "artifact.published": Projector._published,
    "checkpoint": Projector._checkpoint,
    "approval.granted": Projector._granted,
    "step.started": Projector._step_started,
    "step.skipped": Projector._step_skipped,
    "accept.recorded": Projector._accept,
}
_USER_KEYED: Final = frozenset({"env.captured", "env.override"})


def _canonical(payload: Mapping[str, Any]) -> str:
    return canonical_json(payload).decode()


def _later(stamp: str, milliseconds: int) -> str:
    try:
        moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        if moment.year < 1970:  # strftime spells such years differently from system to system
            raise ValueError
        return rfc3339(moment + timedelta(milliseconds=milliseconds))
    except (ValueError, OverflowError):
        raise EvidenceInconsistentError(
            f"a lease taken at {stamp} for {milliseconds} ms does not end at any date"
        ) from None


def project(
    genesis: Mapping[str, Any], events: Iterable[Event], left_out: Iterable[str] = ()
) -> tuple[Projector, dict[str, bytes]]:
    """Return the projector after all *events*, and every contract file but the manifest by entry name.

    *left_out* as in `Projector.small_files`.
    """
    projector = Projector(genesis)
    lines = b"".join([projector.add(event) for event in events])
    return projector, {EVENTS: lines, **projector.small_files(left_out)}
