"""Replays the events of a Wrkr job by Wrkr's own rules, and notes every place where they were broken.

Wrkr's replay applies what it finds and checks nothing: a move that its state machine forbids, a decision that nobody
settled, a step that ran after the job was canceled. Here the resulting state is the same, and each of them is a
finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, field

from clockwork_nb.canonical import digest
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack.contract import CONTRACT
from clockwork_nb.jobpack.wrkr_log import Finding, Severity, WrkrEvent
from clockwork_nb.jobpack.wrkr_values import natural, one_of, stamp, texts, value
from clockwork_nb.jobs.events import STATUSES
from clockwork_nb.jobs.fields import clip

__all__ = ["COUNTERS", "DECISION", "FINAL", "Record", "Replay", "replay"]

COUNTERS: Final = ("retry_count", "step_count", "tool_call_count")
DECISION: Final = "decision-needed"
FINAL: Final = frozenset({"completed", "canceled"})
_PRODUCER: Final = "dev"  # what Wrkr writes into every checkpoint and approval, whatever its version

_STOPS: Final = frozenset({"running", "blocked_error", "canceled"})
_MOVES: Final[Mapping[str, frozenset[str]]] = {
    "queued": frozenset({"running", "canceled"}),
    "running": frozenset(STATUSES) - {"queued", "running"},
    "paused": _STOPS,
    "blocked_decision": _STOPS,
    "blocked_budget": _STOPS,
    "blocked_error": _STOPS - {"blocked_error"},
    "completed": frozenset(),
    "canceled": frozenset(),
}
"""Wrkr's state machine: status → where it may go."""


class Record(Struct, frozen=True):
    """A checkpoint or an approval as the contract has it, with the number of its event."""

    seq: int
    document: Mapping[str, Any]


class Replay(Struct):
    """The state of a job after its events. `replay` makes it."""

    job_id: str
    status: str = "queued"
    started_at: str = ""
    adapter: str = ""
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    lease: Mapping[str, str] | None = None
    environment_hash: str = ""
    environment_rules: list[str] = field(default_factory=list)
    reason_codes: list[str] = field(default_factory=list)
    idempotency_keys: list[str] = field(default_factory=list)
    checkpoints: list[Record] = field(default_factory=list)
    approvals: list[Record] = field(default_factory=list)
    steps: dict[int, str] = field(default_factory=dict)
    """Index → id of every step that was started."""
    findings: list[Finding] = field(default_factory=list)
    _decisions: set[str] = field(default_factory=set)
    _settled: set[str] = field(default_factory=set)
    _unsettled: dict[str, None] = field(default_factory=dict)
    _asked_last: int = 0
    _running_since: int = 0
    _begun: bool = False

    @property
    def open_decisions(self) -> list[Record]:
        """The decisions that nobody has approved, oldest first."""
        return [
            record
            for record in self.checkpoints
            if record.document["type"] == DECISION and record.document["checkpoint_id"] not in self._settled
        ]

    def snapshot_view(self) -> dict[str, Any]:
        """Return what Wrkr's snapshot of this state would say, in the fields that are compared with it."""
        return {
            "status": self.status,
            **self.counters,
            "lease": self.lease["lease_id"] if self.lease else "",
            "started_at": self.started_at,
            "env_fingerprint_hash": self.environment_hash,
        }

    def apply(self, event: WrkrEvent) -> None:
        """Apply one event; what does not fit its type has no effect and is a finding."""
        if not self._begun:
            self._begun = True
            if event.type != "job_initialized":
                self._find("not_initialised", "contradiction", "the first event does not begin a job", event)
        effect = _EFFECTS.get(event.type)
        if effect is None:
            name = clip(event.type, 80)
            self._find("unknown_type", "damage", f"Wrkr has no event {name!r} and reads no job that holds one", event)
            return
        try:
            effect(self, event)
        except InvalidInputError as error:
            self._find("bad_payload", "damage", f"this {event.type} has no effect: {error.message}", event)

    def _find(self, code: str, severity: Severity, message: str, event: WrkrEvent) -> None:
        self.findings.append(
            Finding(code, severity, message, seq=event.seq, line=event.line, offset=event.offset)
        )  # fmt: skip

    # One method for each type of event.

    def _initialized(self, event: WrkrEvent) -> None:
        payload = event.payload
        status, started = one_of(payload, "status", STATUSES), stamp(payload, "started_at")
        if self.started_at:
            self._find("reinitialised", "contradiction", f"a second job begins while the first is {self.status}", event)
        self.status, self.started_at = status, started

    def _fingerprint(self, event: WrkrEvent) -> None:
        payload = event.payload
        name = "hash" if event.type == "env_fingerprint_set" else "actual_hash"
        rules, stated = texts(payload, "rules"), value(payload, name, str)
        values: Mapping[str, Any] = value(payload, "values", dict)
        if digest({"rules": rules, "values": values}) != stated:
            self._find("fingerprint_hash", "contradiction", "the fingerprint's hash is not that of its values", event)
        for rule in rules:
            if rule.startswith("env:") and values.get(rule):
                self._find("value_in_clear", "note", f"the value of {clip(rule, 80)} stands in the log in clear", event)
        self.environment_hash, self.environment_rules = stated, rules

    def _moved(self, event: WrkrEvent) -> None:
        before, after = one_of(event.payload, "from", STATUSES), one_of(event.payload, "to", STATUSES)
        if before != self.status:
            self._find("from_differs", "contradiction", f"it says the job was {before}; it was {self.status}", event)
        if after not in _MOVES[self.status]:
            self._find("illegal_transition", "contradiction", f"{self.status} → {after} is not a move of Wrkr's", event)
        if after in {"running", "completed"}:
            self._pass_over(event)
        if after == "running":
            self._running_since = event.seq
        if after == "blocked_decision" and self._asked_last <= self._running_since:
            self._find("decision_missing", "contradiction", "the job waits for a decision that was not recorded", event)
        self.status = after

    def _pass_over(self, event: WrkrEvent) -> None:
        """Note the decisions that the job goes on without."""
        for name in self._unsettled:
            self._find("decision_skipped", "contradiction", f"the job goes on; nobody approved {name}", event)
        self._unsettled.clear()  # each is told once

    def _counted(self, event: WrkrEvent) -> None:
        self.counters = {name: natural(event.payload, name) for name in COUNTERS}

    def _key(self, event: WrkrEvent) -> None:
        self.idempotency_keys.append(value(event.payload, "key", str))

    def _lease_set(self, event: WrkrEvent) -> None:
        names, stamps = ("worker_id", "lease_id"), ("acquired_at", "heartbeat_at", "expires_at")
        lease = {name: value(event.payload, name, str) for name in names}
        self.lease = lease | {name: stamp(event.payload, name) for name in stamps}

    def _lease_released(self, event: WrkrEvent) -> None:
        value(event.payload, "lease_id", str)
        self.lease = None

    def _checkpoint(self, event: WrkrEvent) -> None:
        payload = event.payload
        delta: Mapping[str, Any] = value(payload, "artifacts_delta", dict)
        document: dict[str, Any] = {
            "artifacts_delta": {name: texts(delta, name) for name in ("added", "changed", "removed")},
            "budget_state": value(payload, "budget_state", dict),
            "checkpoint_id": f"cp_{event.seq}",
            "created_at": event.created_at,
            "job_id": self.job_id,
            "producer_version": _PRODUCER,
            "reason_codes": texts(payload, "reason_codes"),
            "schema_id": "wrkr.checkpoint",
            "schema_version": "v1",
            "status": value(payload, "status", str),
            "summary": value(payload, "summary", str),
            "type": value(payload, "type", str),
        }
        if payload.get("required_action") is not None:
            document["required_action"] = payload["required_action"]
        CONTRACT["wrkr.checkpoint"].check(document, "the checkpoint")
        if document["type"] == DECISION:
            name = document["checkpoint_id"]
            self._decisions.add(name)
            self._asked_last = event.seq
            if name not in self._settled:
                self._unsettled[name] = None
        self.checkpoints.append(Record(event.seq, document))
        self.reason_codes = document["reason_codes"]

    def _approved(self, event: WrkrEvent) -> None:
        document = event.payload
        CONTRACT["wrkr.approval_record"].check(document, "the approval")
        name = document["checkpoint_id"]
        if document["job_id"] != self.job_id:
            raise InvalidInputError(f"it is of the job {clip(document['job_id'], 80)!r}")
        if name not in self._decisions:
            self._find("approval_of_nothing", "contradiction", f"{clip(name, 80)} asks for no decision", event)
        self._settled.add(name)
        self._unsettled.pop(name, None)
        self.approvals.append(Record(event.seq, document))

    def _step(self, event: WrkrEvent) -> None:
        payload = event.payload
        index, name = natural(payload, "step_index"), value(payload, "step_id", str)
        adapter, executed = value(payload, "adapter", str), payload.get("executed", True)
        if type(executed) is not bool:
            raise InvalidInputError("executed must be true or false")
        if self.status in FINAL and executed:
            self._find("step_after_end", "contradiction", f"a step ran while the job was {self.status}", event)
        self.steps[index], self.adapter = name, adapter


_EFFECTS: Final[Mapping[str, Callable[[Replay, WrkrEvent], None]]] = {
    "job_initialized": Replay._initialized,
    "env_fingerprint_set": Replay._fingerprint,
    "env_override_recorded": Replay._fingerprint,
    "status_changed": Replay._moved,
    "counters_updated": Replay._counted,
    "idempotency_recorded": Replay._key,
    "lease_set": Replay._lease_set,
    "lease_released": Replay._lease_released,
    "checkpoint_emitted": Replay._checkpoint,
    "approval_recorded": Replay._approved,
    "adapter_step": Replay._step,
}


def replay(job_id: str, events: Iterable[WrkrEvent], *, snapshot_seq: int = 0) -> tuple[Replay, dict[str, Any]]:
    """Return the state after *events*, and what a snapshot should say that was made at event *snapshot_seq*."""
    state = Replay(job_id)
    then: dict[str, Any] | None = None
    for event in events:
        if then is None and event.seq > snapshot_seq:
            then = state.snapshot_view()
        state.apply(event)
    return state, state.snapshot_view() if then is None else then
