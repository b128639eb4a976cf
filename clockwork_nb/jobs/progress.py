"""What a run looks like right now: the one reducer over events that every view uses.

Text in a terminal, the widget, the frozen HTML and a report are drawings of the same `RunProgress.snapshot`. It is pure:
time comes from the events, and feeding the same events gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from clockwork_nb.jobs.model import Grant
from clockwork_nb.ports import EventView

__all__ = ["RunProgress", "StepProgress", "StepStatus", "steps_from_plan"]

StepStatus: TypeAlias = Literal["waiting", "running", "ok", "failed", "skipped", "interrupted"]

_STATUSES: Final[tuple[str, ...]] = ("waiting", "running", "ok", "failed", "skipped", "interrupted")
_TAIL_LINES: Final = 20
_TAIL_CHARS: Final = 4_000
_NO_PERSON: Final = frozenset({"auto", "policy"})


class StepProgress(Struct):
    """One step. ``duration_ms`` is None until it has ended; ``tail`` are the last lines it wrote."""

    id: str
    address: str
    action: str
    status: StepStatus = "waiting"
    duration_ms: int | None = None
    note: str = ""
    tail: str = ""
    log: str = ""
    exit_code: int | None = None
    started_at: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, every field present."""
        return {
            "id": self.id,
            "address": self.address,
            "action": self.action,
            "status": self.status,
            "duration_ms": self.duration_ms,
            "note": self.note,
            "tail": self.tail,
            "log": self.log,
            "exit_code": self.exit_code,
            "started_at": self.started_at,
        }


def steps_from_plan(document: Mapping[str, Any]) -> list[StepProgress]:
    """Return the steps of a plan document's ActionList, all waiting, in their order."""
    return [StepProgress(s["id"], s["address"], s["name"]) for s in document["actions"]["steps"]]


class RunProgress:
    """Folds events into the state of the section that runs.

    A job may have several sections. The latest one is shown, or, after `expect`, the one that is bound to that plan;
    what happens in others is then left out. Steps nobody expected are added as their events come.

    Args:
        job_id: shown as it is.
        name: the runbook or workspace.
        confinement: the tier, as people read it ("standard (Landlock)").
    """

    def __init__(self, job_id: str = "", *, name: str = "", confinement: str = "") -> None:
        self.job_id = job_id
        self.name = name
        self.confinement = confinement
        self.job_status = ""
        self.reason_codes: list[str] = []
        self.seq = 0
        self.version = 0
        self._target = ""
        self._planned: tuple[tuple[str, str, str], ...] = ()
        self._openings: dict[int, tuple[str, str]] = {}
        self._asked: dict[str, int] = {}
        self._quorums: dict[str, int] = {}
        self._grants: dict[str, list[Grant]] = {}
        self._others: set[int] = set()
        self._reset(0)

    def _reset(self, section: int) -> None:
        self.section = section
        self.verb = "apply"
        self.cell = ""
        self.plan = ""
        self.bundle = ""
        self.status = "new"
        self.message = ""
        self.approval: dict[str, Any] = {"state": "none"}
        self.started_at = ""
        self.finished_at = ""
        self.last_at = ""
        self._steps: list[StepProgress] = []
        self._index: dict[str, int] = {}
        self._counts = dict.fromkeys(_STATUSES, 0)
        self._done_ms = 0
        # Index → version of the last change, oldest change first: `delta` reads it from the end.
        self._touched: dict[int, int] = {}
        for name, address, action in self._planned:
            self._add(StepProgress(name, address, action))

    def expect(self, document: Mapping[str, Any], digest: str) -> None:
        """Follow the section of this plan, and show its steps, all waiting, until their events come."""
        self.version += 1
        self._others.clear()
        self._planned = tuple((s.id, s.address, s.action) for s in steps_from_plan(document))
        self._target = digest
        self._reset(0)
        self.plan = digest
        if not self.confinement:
            self.confinement = str(document["facts"]["confinement"])
        if document["changes"] and all(change["kind"] == "run" for change in document["changes"]):
            self.confinement = "none, host level"
        if document["destroy"]:
            self.verb = "destroy"

    def approved(self, *, by: str, via: str, reason: str = "") -> None:
        """Take in a decision that was recorded before the first event this reducer gets."""
        self.version += 1
        self._decide("granted", {"by": by, "via": via, "reason": reason})

    def _add(self, step: StepProgress) -> int:
        index = len(self._steps)
        self._steps.append(step)
        self._index[step.id] = index
        self._counts[step.status] += 1
        self._touch(index)
        return index

    def _touch(self, index: int) -> None:
        self._touched.pop(index, None)
        self._touched[index] = self.version

    # --- events -------------------------------------------------------------------------------------------------

    def feed(self, event: EventView) -> None:
        """Take one event. An event that was seen before (by ``seq``) changes nothing."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        self.version += 1
        payload = event.payload
        kind = event.type
        if kind == "section.opened":
            self._open(payload)
        elif kind == "plan.bound":
            self._bind(payload)
        elif kind.startswith("approval."):
            self._approve(kind, payload, event.created_at)
        elif kind.startswith("step."):
            self._step(event)
        elif "section" in payload and not self._follows(payload["section"]):
            pass
        elif kind == "section.closed":
            self.status = payload["outcome"]
            self.finished_at = self.last_at = event.created_at
        elif kind == "bundle.bound":
            self.bundle = payload["bundle"]
        elif kind == "checkpoint":
            if payload["kind"] in {"decision-needed", "blocked"}:
                self.message = payload["summary"]
        elif kind == "lease.taken":
            # Another process goes on with the job; the time it stood still is not part of the run.
            self.started_at = ""
        elif kind == "job.created":
            self.name = self.name or payload["name"]
        elif kind == "job.status":
            self.job_status = payload["to"]
        elif kind == "job.finished":
            self.job_status = payload["status"]
            self.reason_codes = list(payload["reason_codes"])

    def feed_all(self, events: Iterable[EventView]) -> None:
        """Take many events, in their order."""
        for event in events:
            self.feed(event)

    def _follows(self, section: int) -> bool:
        return not self._target or section == self.section

    def _open(self, payload: Mapping[str, Any]) -> None:
        section = int(payload["section"])
        self._openings[section] = (payload["verb"], payload["cell"])
        if payload["verb"] == "plan":
            return
        if not self._target and section != self.section:
            self._reset(section)
        if section == self.section:
            self.verb, self.cell = self._openings[section]

    def _bind(self, payload: Mapping[str, Any]) -> None:
        section = int(payload["section"])
        if self._target:
            # A %cw_plan shows the same plan before the apply binds it; it runs nothing and is not the one to follow.
            if payload["plan"] != self._target or self._openings.get(section, ("", ""))[0] == "plan":
                self._others.add(section)
                return
            self._others.discard(section)
            if self.section not in {0, section}:
                self._reset(section)
            self.section = section
        if section == self.section:
            self.plan = payload["plan"]
            self.verb, self.cell = self._openings.get(section, (self.verb, self.cell))

    def _approve(self, kind: str, payload: Mapping[str, Any], at: str) -> None:
        approval_id = payload["approval_id"]
        if kind in {"approval.requested", "approval.used"}:
            self._asked[approval_id] = int(payload["section"])
        section = self._asked.get(approval_id, self.section)
        if section in self._others or (self.section and section != self.section):
            return
        if kind == "approval.requested":
            self.status = "waiting"
            self.approval = {"state": "requested"}
            self._grants[approval_id] = []
            self._quorums[approval_id] = int(payload.get("quorum", 1))
        elif kind == "approval.granted" and self._still_asks(approval_id, payload, at):
            self.approval = {"state": "requested", "persons": [g.by for g in self._grants[approval_id]]}
        elif kind in {"approval.granted", "approval.denied"}:
            names = ", ".join(grant.by for grant in self._grants.get(approval_id, ())) or payload["by"]
            self._decide(
                kind.removeprefix("approval."), {**payload, "by": names if "granted" in kind else payload["by"]}
            )

    def _still_asks(self, approval_id: str, payload: Mapping[str, Any], at: str) -> bool:
        """Return whether more persons have to approve after the one of *payload* did, at the time *at*."""
        quorum = self._quorums.get(approval_id, 1)
        if quorum < 2:
            return False
        grant = Grant(payload["by"], payload["via"], payload["reason"], at, payload.get("expires_at", ""))
        self._grants[approval_id] = grant.counted_with(self._grants[approval_id]) or self._grants[approval_id]
        return len(self._grants[approval_id]) < quorum

    def _decide(self, state: str, payload: Mapping[str, Any]) -> None:
        via = payload["via"]
        self.approval = {
            "state": state,
            "by": payload["by"],
            "via": via,
            "reason": payload["reason"],
            "person": via not in _NO_PERSON,
        }
        self.status = "running" if state == "granted" else "denied"
        self.message = ""

    def _step(self, event: EventView) -> None:
        payload = event.payload
        section = int(payload["section"])
        kind = event.type.removeprefix("step.")
        if kind in {"output", "compensated"} or section in self._others:
            return
        if section != self.section:
            if self._target and self.section:
                return
            if not self._target:
                self._reset(section)
            self.section = section
        self.last_at = event.created_at
        index = self._index.get(payload["step_id"])
        if index is None:
            address, _, action = str(payload["step_id"]).rpartition(":")
            index = self._add(StepProgress(payload["step_id"], address, action))
        step = self._steps[index]
        before = step.status
        if kind == "started":
            self._start(step, event)
        elif kind == "completed":
            self._end(step, "ok", payload)
        elif kind == "failed":
            self._end(step, "failed", payload)
            step.tail, step.log = _tail(payload["tail"]), payload["log"]
        elif kind == "interrupted":
            step.status = "interrupted"
            step.note = payload["found"]
        elif kind == "skipped":
            step.status = "skipped"
            step.note = payload["reason"]
        elif kind == "retried":
            step.status = "waiting"
            step.note = payload["reason"]
        self._counts[before] -= 1
        self._counts[step.status] += 1
        self._touch(index)

    def _start(self, step: StepProgress, event: EventView) -> None:
        step.status = "running"
        step.started_at = event.created_at
        step.duration_ms = step.exit_code = None
        step.tail = step.log = step.note = ""
        self.started_at = self.started_at or event.created_at
        self.status = "running"

    def _end(self, step: StepProgress, status: StepStatus, payload: Mapping[str, Any]) -> None:
        step.status = status
        step.duration_ms = int(payload["duration_ms"])
        step.exit_code = payload.get("exit_code")
        step.note = payload["note"]
        self._done_ms += step.duration_ms

    # --- what views read ------------------------------------------------------------------------------------------

    @property
    def steps(self) -> Sequence[StepProgress]:
        """The steps, in the order of the plan."""
        return self._steps

    def totals(self) -> dict[str, int]:
        """Return how many steps there are (``steps``) and how many have each status."""
        return {"steps": len(self._steps), **self._counts}

    def elapsed_ms(self) -> int:
        """Return the milliseconds from the first step's start to the section's end, or to the last step's event."""
        if not self.started_at:
            return 0
        return max(0, _milliseconds(self.started_at, self.finished_at or self.last_at))

    def left_ms(self) -> int | None:
        """Return about how long the rest takes, by the mean of what is done; None when nothing is known or left."""
        done = self._counts["ok"] + self._counts["failed"]
        rest = self._counts["waiting"] + self._counts["running"]
        if done < 2 or not rest or self.finished_at:
            return None
        return self._done_ms * rest // done

    def _head(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "job_id": self.job_id,
            "name": self.name,
            "confinement": self.confinement,
            "job_status": self.job_status,
            "section": self.section,
            "verb": self.verb,
            "cell": self.cell,
            "plan": self.plan,
            "bundle": self.bundle,
            "status": self.status,
            "message": self.message,
            "approval": dict(self.approval),
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "last_at": self.last_at,
            "elapsed_ms": self.elapsed_ms(),
            "left_ms": self.left_ms(),
            "totals": self.totals(),
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state, JSON-safe: the head and ``steps`` in order."""
        return {**self._head(), "steps": [step.to_dict() for step in self._steps]}

    def delta(self, since: int = -1) -> dict[str, Any]:
        """Return what changed after *since* (the ``version`` of an earlier answer): the head, and ``changed``, a list of
        ``{"index": i, "step": {…}}`` by index. Costs what changed, not what there is."""
        changed = []
        for index in reversed(self._touched):
            if self._touched[index] <= since:
                break
            changed.append(index)
        rows = [{"index": index, "step": self._steps[index].to_dict()} for index in sorted(changed)]
        return {**self._head(), "since": since, "changed": rows}


def _tail(text: str) -> str:
    return "\n".join(text[-_TAIL_CHARS:].splitlines()[-_TAIL_LINES:])


def _milliseconds(start: str, stop: str) -> int:
    return round((datetime.fromisoformat(stop) - datetime.fromisoformat(start)).total_seconds() * 1000)
