"""What a job's log says, gathered in one pass for the parts of the pack that show it, name its evidence or check it.

This reads; it does not judge. Whether the events may follow each other at all is `clockwork_nb.jobs.state`'s question,
whether they agree with plans and bundles is `clockwork_nb.jobpack.crosscheck`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, field

from clockwork_nb.jobpack.layout import PUBLISHED_BY_US
from clockwork_nb.jobs.events import Event
from clockwork_nb.jobs.model import Grant

__all__ = ["Approval", "History", "SectionHistory", "StepRun", "read_history", "tool_version"]


class SectionHistory(Struct):
    """One ``%cw_apply``: its documents by digest. Of documents bound more than once the last one is here."""

    number: int
    verb: str = "apply"
    cell: str = ""
    outcome: str = ""
    binding: Mapping[str, Any] | None = None
    """The payload of the ``plan.bound`` in force."""
    bundle: str = ""
    state_after: str = ""
    runs: list[StepRun] = field(default_factory=list)
    skipped: list[Mapping[str, Any]] = field(default_factory=list)
    bundles: list[str] = field(default_factory=list)
    """Every bundle ever bound here, in order."""

    @property
    def plan(self) -> str:
        """Digest of the plan in force, empty before one is bound."""
        return str(self.binding["plan"]) if self.binding is not None else ""


class StepRun(Struct):
    """One attempt of one step, with the plan and bundle that were in force when it began."""

    start: Mapping[str, Any]
    seq: int
    binding: Mapping[str, Any] | None
    bundle: str
    outcome: str = "running"
    end: Mapping[str, Any] | None = None


class Approval(Struct):
    """One decision, granted once everybody that it asks for said yes. ``uses`` are (seq, section, plan binding, bundle) of each ``approval.used``."""

    approval_id: str
    section: int
    binds: Mapping[str, Any]
    decision: str = "open"
    by: str = ""
    via: str = ""
    reason: str = ""
    at: str = ""
    seq: int = 0
    uses: list[tuple[int, int, Mapping[str, Any] | None, str]] = field(default_factory=list)
    quorum: int = 1
    granted: list[tuple[Mapping[str, Any], str]] = field(default_factory=list)
    """The payload and the time of each ``approval.granted``, in log order."""
    grants: list[Grant] = field(default_factory=list)
    """Who said yes and counts, when several persons are asked for."""


class History(Struct):
    """The facts of one log."""

    genesis: Mapping[str, Any]
    count: int = 0
    head: str = ""
    last_at: str = ""
    epoch: int = 0
    status: str = "queued"
    finished: bool = False
    tainted: str = ""
    objective: str = ""
    producer_version: str = ""
    environment: Mapping[str, Any] | None = None
    sections: dict[int, SectionHistory] = field(default_factory=dict)
    approvals: dict[str, Approval] = field(default_factory=dict)
    cells: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Cell index → (name, outcome)."""
    logs: list[tuple[int, int, int, str, str]] = field(default_factory=list)
    """(section, index, attempt, stream, blob) of each ``step.output``."""
    notebooks: dict[str, str] = field(default_factory=dict)
    """Path of `PUBLISHED_BY_US` → blob of the last one published."""
    blobs: list[str] = field(default_factory=list)
    """Digests of all other evidence that an event names, in log order."""
    published: list[str] = field(default_factory=list)
    """Digests of the artifacts that the job published, in log order."""
    accepted: Mapping[str, Any] | None = None
    open_runs: dict[tuple[int, str], StepRun] = field(default_factory=dict)

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.genesis["job_id"])

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.genesis["name"])

    def runs(self) -> Iterable[StepRun]:
        """Return every attempt of every step, section by section."""
        for number in sorted(self.sections):
            yield from self.sections[number].runs

    def counts(self) -> dict[str, int]:
        """Return how many events, cells, steps (each once, however often tried) and failed steps there are."""
        last: dict[tuple[int, str], str] = {}
        for number, section in self.sections.items():
            for run in section.runs:
                last[number, run.start["step_id"]] = run.outcome
        return {
            "events": self.count,
            "cells": len(self.cells),
            "steps": len(last),
            "failed": sum(outcome == "failed" for outcome in last.values()),
            "sections": len(self.sections),
            "approvals": sum(a.decision == "granted" for a in self.approvals.values()),
        }


def tool_version(text: str) -> str:
    """Return a lease's ``tool_version`` with the tool's name, as ``producer_version`` wants it."""
    return text if text.startswith("clockwork_nb ") else f"clockwork_nb {text}"


def read_history(genesis: Mapping[str, Any], events: Iterable[Event]) -> History:
    """Return what *events* say about the job of *genesis*."""
    history = History(genesis, producer_version=str(genesis["producer_version"]))
    history.head, history.last_at = str(genesis["genesis"]), str(genesis["created_at"])
    for event in events:
        handler = _HANDLERS.get(event.type)
        if handler is not None:
            handler(history, event)
        history.count, history.head, history.last_at, history.epoch = (
            event.seq,
            event.hash,
            event.created_at,
            event.epoch,
        )
    return history


def _section(history: History, number: int) -> SectionHistory:
    return history.sections.setdefault(number, SectionHistory(number))


def _created(history: History, event: Event) -> None:
    history.objective = event.payload["objective"]


def _status(history: History, event: Event) -> None:
    history.status = event.payload["to"]


def _lease(history: History, event: Event) -> None:
    history.producer_version = tool_version(event.payload["tool_version"])


def _environment(history: History, event: Event) -> None:
    history.environment = event.payload


def _section_opened(history: History, event: Event) -> None:
    section = _section(history, event.payload["section"])
    section.verb, section.cell, section.outcome = event.payload["verb"], event.payload["cell"], ""


def _section_closed(history: History, event: Event) -> None:
    section = _section(history, event.payload["section"])
    section.outcome = event.payload["outcome"]
    if state := event.payload.get("state_after", ""):
        section.state_after = state
        history.blobs.append(state)


def _plan_bound(history: History, event: Event) -> None:
    _section(history, event.payload["section"]).binding = event.payload
    history.blobs.append(event.payload["plan"])
    if state := event.payload.get("state_before", ""):
        history.blobs.append(state)


def _bundle_bound(history: History, event: Event) -> None:
    section = _section(history, event.payload["section"])
    section.bundle = event.payload["bundle"]
    section.bundles.append(section.bundle)
    history.blobs.append(section.bundle)


def _approval_requested(history: History, event: Event) -> None:
    p = event.payload
    history.approvals[p["approval_id"]] = Approval(
        p["approval_id"], p["section"], p["binds"], quorum=p.get("quorum", 1)
    )


def _approval_decided(history: History, event: Event) -> None:
    p = event.payload
    approval = history.approvals.setdefault(p["approval_id"], Approval(p["approval_id"], 0, p.get("binds", {})))
    if event.type == "approval.granted":
        approval.granted.append((p, event.created_at))
        grant = Grant(p["by"], p["via"], p["reason"], event.created_at, p.get("expires_at", ""))
        approval.grants = (grant.counted_with(approval.grants) or approval.grants) if approval.quorum > 1 else [grant]
        if len(approval.grants) < approval.quorum:
            return
    approval.decision = event.type.partition(".")[2]
    approval.by, approval.via, approval.reason = p["by"], p["via"], p["reason"]
    if approval.quorum > 1 and approval.decision == "granted":
        approval.by = ", ".join(grant.by for grant in approval.grants)
        approval.reason = "; ".join(grant.reason for grant in approval.grants)
    approval.at, approval.seq = event.created_at, event.seq


def _approval_used(history: History, event: Event) -> None:
    p = event.payload
    approval = history.approvals.setdefault(p["approval_id"], Approval(p["approval_id"], 0, {}))
    section = _section(history, p["section"])
    approval.uses.append((event.seq, section.number, section.binding, section.bundle))


def _step_started(history: History, event: Event) -> None:
    section = _section(history, event.payload["section"])
    run = StepRun(event.payload, event.seq, section.binding, section.bundle)
    section.runs.append(run)
    history.open_runs[section.number, event.payload["step_id"]] = run


def _step_ended(history: History, event: Event) -> None:
    p = event.payload
    run = history.open_runs.get((p["section"], p["step_id"]))
    if run is not None:
        run.outcome, run.end = event.type.partition(".")[2], p
    if blob := p.get("entry_blob", ""):
        history.blobs.append(blob)


def _step_skipped(history: History, event: Event) -> None:
    _section(history, event.payload["section"]).skipped.append(event.payload)


def _step_output(history: History, event: Event) -> None:
    p = event.payload
    run = history.open_runs.get((p["section"], p["step_id"]))
    if run is not None and run.start["attempt"] == p["attempt"]:
        history.logs.append((p["section"], run.start["index"], p["attempt"], p["stream"], p["blob"]))
    history.blobs.append(p["blob"])


def _cell(history: History, event: Event) -> None:
    history.cells[event.payload["index"]] = (event.payload["cell"], event.type.partition(".")[2])


def _published(history: History, event: Event) -> None:
    path, blob = event.payload["path"], event.payload.get("blob", "")
    if path in PUBLISHED_BY_US:
        # A notebook is saved after every cell: only the last copy is evidence of the whole run.
        if blob and event.payload["op"] != "removed":
            history.notebooks[path] = blob
        else:
            history.notebooks.pop(path, None)
    elif blob:
        history.published.append(blob)


def _accepted(history: History, event: Event) -> None:
    history.accepted = {**event.payload, "created_at": event.created_at, "producer_version": history.producer_version}


def _tainted(history: History, event: Event) -> None:
    history.tainted = event.payload["reason"]


def _finished(history: History, event: Event) -> None:
    history.finished = True


_HANDLERS: Final[Mapping[str, Callable[[History, Event], None]]] = {
    "job.created": _created,
    "job.status": _status,
    "lease.taken": _lease,
    "env.captured": _environment,
    "section.opened": _section_opened,
    "section.closed": _section_closed,
    "plan.bound": _plan_bound,
    "bundle.bound": _bundle_bound,
    "approval.requested": _approval_requested,
    "approval.granted": _approval_decided,
    "approval.denied": _approval_decided,
    "approval.used": _approval_used,
    "step.started": _step_started,
    "step.completed": _step_ended,
    "step.failed": _step_ended,
    "step.interrupted": _step_ended,
    "step.skipped": _step_skipped,
    "step.output": _step_output,
    "cell.started": _cell,
    "cell.completed": _cell,
    "cell.failed": _cell,
    "cell.restored": _cell,
    "cell.skipped": _cell,
    "artifact.published": _published,
    "accept.recorded": _accepted,
    "job.tainted": _tainted,
    "job.finished": _finished,
}
