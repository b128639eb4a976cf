"""A Wrkr job folder as one value: its log replayed, its snapshot, cursor and acceptance compared with that.

Pure: file contents in, a job and findings out. The log is the truth; what the other files say differently is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack.contract import CONTRACT
from clockwork_nb.jobpack.wrkr_log import LOG, Finding, WrkrEvent, WrkrLog, read_log
from clockwork_nb.jobpack.wrkr_replay import COUNTERS, FINAL, Replay, replay
from clockwork_nb.jobpack.wrkr_values import natural, one_of, parse_document, stamp, value
from clockwork_nb.jobs.events import STATUSES
from clockwork_nb.jobs.fields import clip
from clockwork_nb.patterns import pattern

__all__ = ["ACCEPT_RESULT", "CONFIG", "FILES", "MAX_FILE", "SNAPSHOT", "RuntimeConfig", "WrkrJob", "read_job"]

SNAPSHOT: Final = "snapshot.json"
CONFIG: Final = "runtime_config.json"
ACCEPT_RESULT: Final = "accept_result.json"
FILES: Final = (ACCEPT_RESULT, LOG, CONFIG, SNAPSHOT)
"""The files of a job folder that say something about the job, sorted."""

MAX_FILE: Final = 8 << 20
"""The largest snapshot, configuration or acceptance result, in bytes."""

_MOST_FINDINGS: Final = 1000
_JOB_ID: Final = pattern(r"(?!.*\.\.)[A-Za-z0-9._-]{1,200}")  # as Wrkr's store has it


class RuntimeConfig(Struct, frozen=True):
    """What ``runtime_config.json`` says. ``limits`` are those above 0, which are the ones Wrkr enforces."""

    adapter: str
    next_step_index: int
    steps: int | None
    limits: Mapping[str, int | float]


class _Snapshot(Struct, frozen=True):
    last_seq: int
    job_id: str
    view: Mapping[str, Any]


class WrkrJob(Struct, frozen=True):
    """A job folder that was read. ``findings`` say everything about it that a reader must know.

    ``wrkr_status`` is what Wrkr itself would show, from the snapshot and the events after it; empty when Wrkr cannot
    read the job. ``acceptance`` is the contract's acceptance result.
    """

    folder: str
    job_id: str
    log: WrkrLog
    state: Replay
    config: RuntimeConfig | None
    acceptance: Mapping[str, Any] | None
    findings: tuple[Finding, ...]
    wrkr_status: str

    @property
    def final(self) -> bool:
        """Whether the job is at its end, and its log was read to its end."""
        return self.state.status in FINAL and self.log.readable == self.log.size

    @property
    def last_at(self) -> str:
        """The date of the last event, empty when there is none."""
        return self.log.events[-1].created_at if self.log.events else ""

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form of the state, without the findings."""
        state, config = self.state, self.config
        started = len(state.steps)
        total = config.steps if config is not None and config.steps is not None else started
        return {
            "job_id": self.job_id,
            "status": state.status,
            "wrkr_status": self.wrkr_status,
            "final": self.final,
            "adapter": (config.adapter if config else "") or state.adapter,
            "started_at": state.started_at,
            "last_at": self.last_at,
            "steps": [min(config.next_step_index, total) if config else started, total],
            "next_step_index": config.next_step_index if config else None,
            "counters": dict(state.counters),
            "limits": dict(config.limits) if config else {},
            "lease": dict(state.lease) if state.lease else None,
            "environment": {"hash": state.environment_hash, "rules": list(state.environment_rules)},
            "reason_codes": list(state.reason_codes),
            "checkpoints": len(state.checkpoints),
            "approvals": [
                {name: record.document[name] for name in ("checkpoint_id", "approved_by", "reason", "created_at")}
                for record in state.approvals
            ],
            "waiting": [
                {
                    "checkpoint_id": record.document["checkpoint_id"],
                    "summary": record.document["summary"],
                    "required_action": record.document.get("required_action"),
                    "created_at": record.document["created_at"],
                }
                for record in ([] if self.final else state.open_decisions)
            ],
            "acceptance": {name: self.acceptance[name] for name in ("checks_run", "checks_passed")}
            if self.acceptance is not None
            else None,
        }


def read_job(folder: str, files: Mapping[str, bytes]) -> WrkrJob:
    """Return the job of the folder called *folder*, whose *files* are some of `FILES` by name.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: a file is too large, or nothing says which job it is.
    """
    for name, data in files.items():
        if name != LOG and len(data) > MAX_FILE:
            raise InvalidInputError(f"{name} has {len(data)} bytes; at most {MAX_FILE} are read")
    findings: list[Finding] = []
    log = read_log(files.get(LOG, b""))
    findings += log.findings
    if LOG not in files:
        findings.append(Finding("file_missing", "damage", "the log is not there"))
    snapshot = _read(files, SNAPSHOT, _snapshot, findings)
    config = _read(files, CONFIG, _config, findings)
    acceptance = _read(files, ACCEPT_RESULT, _acceptance, findings)
    job_id = _job_id(folder, snapshot, acceptance, log.events, findings)
    if acceptance is not None and acceptance["job_id"] != job_id:
        acceptance = None  # told by _job_id; another job's result says nothing about this one
    state, then = replay(job_id, log.events, snapshot_seq=snapshot.last_seq if snapshot else 0)
    findings += state.findings
    if snapshot is not None:
        findings += _compare_snapshot(snapshot, log, then)
    if config is not None:
        findings += _compare_cursor(config, state)
    shown = "" if any(f.code in _UNREADABLE for f in findings) else _shown(snapshot, log.events)
    return WrkrJob(folder, job_id, log, state, config, acceptance, _capped(findings), shown)


_UNREADABLE: Final = frozenset({"broken_line", "unknown_type", "bad_payload"})
"""What makes Wrkr refuse the whole job."""


def _capped(findings: list[Finding]) -> tuple[Finding, ...]:
    if len(findings) <= _MOST_FINDINGS:
        return tuple(findings)
    left_out = len(findings) - _MOST_FINDINGS
    more = Finding("more_findings", "damage", f"{left_out} more findings are not listed")
    return (*findings[:_MOST_FINDINGS], more)


def _read(files: Mapping[str, bytes], name: str, reader: Any, findings: list[Finding]) -> Any:
    """Return what *reader* makes of the file, None when it is not there or cannot be read, which is a finding."""
    if name not in files:
        return None
    try:
        document = parse_document(files[name], "the file")
        if type(document) is not dict:
            raise InvalidInputError("the file is not an object")
        return reader(document)
    except InvalidInputError as error:
        findings.append(Finding("file_unreadable", "damage", clip(error.message, 400), file=name))
        return None


def _snapshot(document: Mapping[str, Any]) -> _Snapshot:
    state: Mapping[str, Any] = value(document, "state", dict)
    lease: Mapping[str, Any] = value(state, "lease", dict)
    return _Snapshot(
        last_seq=natural(document, "last_seq"),
        job_id=value(state, "job_id", str),
        view={
            "status": one_of(state, "status", STATUSES),
            **{name: natural(state, name) for name in COUNTERS},
            "lease": value(lease, "lease_id", str),
            "started_at": stamp(state, "started_at") if state.get("started_at") else "",
            "env_fingerprint_hash": value(state, "env_fingerprint_hash", str),
            "last_applied_seq": natural(state, "last_applied_seq"),
        },
    )


_LIMITS: Final = {
    "MaxWallTimeSeconds": "wall_time_seconds",
    "MaxRetries": "retry_count",
    "MaxStepCount": "step_count",
    "MaxToolCalls": "tool_call_count",
    "MaxEstimatedCost": "cost",
    "MaxTokens": "tokens",
}
"""Wrkr writes its limits under the names of Go's fields."""


def _config(document: Mapping[str, Any]) -> RuntimeConfig:
    inputs: Mapping[str, Any] = value(document, "inputs", dict)
    budgets: Mapping[str, Any] = value(document, "budgets", dict)
    limits = {_LIMITS[name]: budgets[name] for name in _LIMITS if type(budgets.get(name)) in {int, float}}
    steps = inputs.get("steps")
    return RuntimeConfig(
        adapter=value(document, "adapter", str),
        next_step_index=natural(document, "next_step_index"),
        steps=len(steps) if type(steps) is list else None,
        limits={name: limit for name, limit in limits.items() if limit > 0},
    )


def _acceptance(document: Mapping[str, Any]) -> Mapping[str, Any]:
    CONTRACT["wrkr.accept_result"].check(document, "the result")
    return document


def _job_id(
    folder: str,
    snapshot: _Snapshot | None,
    acceptance: Mapping[str, Any] | None,
    events: tuple[WrkrEvent, ...],
    findings: list[Finding],
) -> str:
    """Return the id that the files tell, else the folder's name; events name no job, approvals do.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is none.
    """
    told: list[tuple[str, str]] = []
    if snapshot is not None:
        told.append((SNAPSHOT, snapshot.job_id))
    if acceptance is not None:
        told.append((ACCEPT_RESULT, acceptance["job_id"]))
    for event in events:
        name = event.payload.get("job_id") if event.type == "approval_recorded" else None
        if type(name) is str:
            told.append((LOG, name))
            break
    valid = [name for _, name in told if _JOB_ID.fullmatch(name)]
    if not valid and not _JOB_ID.fullmatch(folder):
        raise InvalidInputError(
            f"nothing in the folder says which job it is, and {clip(folder, 80)!r} is no job id of Wrkr's",
            hint="Give the folder the name it has below ~/.wrkr/jobs.",
        )
    found = valid[0] if valid else folder
    for file, name in told:
        if name != found:
            message = f"it is of the job {clip(name, 80)!r}, not of {found!r}"
            findings.append(Finding("other_job", "contradiction", message, file=file))
    if folder != found:
        findings.append(Finding("folder_renamed", "note", f"the folder is called {clip(folder, 80)!r}", file="."))
    return found


def _compare_snapshot(snapshot: _Snapshot, log: WrkrLog, then: Mapping[str, Any]) -> Iterator[Finding]:
    last = log.events[-1].seq if log.events else 0
    if snapshot.last_seq > last:
        yield Finding(
            "snapshot_ahead",
            "contradiction",
            f"it was made at event {snapshot.last_seq}, and the log ends at {last}: events were lost or removed",
            file=SNAPSHOT,
            seq=snapshot.last_seq,
        )
        return
    if snapshot.last_seq < last:
        behind = f"it was made at event {snapshot.last_seq}; the log goes on to {last}"
        yield Finding("snapshot_behind", "note", behind, file=SNAPSHOT, seq=snapshot.last_seq)
    for name, expected in {**then, "last_applied_seq": snapshot.last_seq}.items():
        found = snapshot.view[name]
        if found != expected:
            yield Finding(
                "snapshot_differs",
                "contradiction",
                f"{name} is {found!r}; at event {snapshot.last_seq} the log says {expected!r}",
                file=SNAPSHOT,
                seq=snapshot.last_seq,
                field=name,
            )


def _compare_cursor(config: RuntimeConfig, state: Replay) -> Iterator[Finding]:
    cursor = config.next_step_index
    if state.steps and cursor > max(state.steps) + 1:
        yield Finding(
            "cursor_ahead",
            "contradiction",
            f"next_step_index is {cursor}; the log knows steps 0 to {max(state.steps)} only",
            file=CONFIG,
        )
    for index in sorted(state.steps):
        if index >= cursor:
            yield Finding(
                "step_unconfirmed",
                "note",
                f"step {clip(state.steps[index], 80)!r} ({index}) began and is not known to have succeeded; Wrkr's resume"
                " runs it again",
                file=CONFIG,
            )


def _shown(snapshot: _Snapshot | None, events: tuple[WrkrEvent, ...]) -> str:
    """Return the status that Wrkr's own recovery comes to: the snapshot's, then what the events after it say."""
    status = str(snapshot.view["status"]) if snapshot else "queued"
    for event in events:
        if snapshot is None or event.seq > snapshot.last_seq:
            if event.type == "status_changed":
                status = str(event.payload.get("to", ""))
            elif event.type == "job_initialized":
                status = str(event.payload.get("status", ""))
    return status
