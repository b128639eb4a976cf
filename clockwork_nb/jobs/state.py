"""The rules by which events build a job's state, and which events may follow which.

`evolve` is the only place that knows them. The store asks it before a record is written, the pack verifier when a log
is read: what cannot happen can neither be stored nor be claimed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import ClockworkError, InvalidInputError
from clockwork_nb.jobs.budget import Counters, limits_from_spec
from clockwork_nb.jobs.model import (
    BY_KEY,
    TERMINAL,
    Checkpoint,
    Decision,
    Grant,
    JobState,
    Lease,
    SectionState,
    StepState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clockwork_nb.jobs.events import Event

__all__ = ["FoldError", "JobState", "allowed", "evolve", "initial_state", "replay"]


class FoldError(ClockworkError):
    """An event that cannot follow the events before it."""

    code = "E_EVIDENCE_INCONSISTENT"
    exit_code = 2


_MOVES: Final[Mapping[str, frozenset[str]]] = {
    "queued": frozenset({"running", "canceled"}),
    "running": frozenset({"paused", "blocked_decision", "blocked_budget", "blocked_error", "completed", "canceled"}),
    "paused": frozenset({"running", "blocked_error", "canceled"}),
    "blocked_decision": frozenset({"running", "blocked_error", "canceled"}),
    "blocked_budget": frozenset({"running", "blocked_error", "canceled"}),
    "blocked_error": frozenset({"running", "canceled"}),
    "completed": frozenset(),
    "canceled": frozenset(),
}

_STOPS: Final = ("", "drain", "pause", "cancel")
"""What was asked of the runner, the weaker first: start nothing more, stop what runs, end the job."""

_AFTER_FINISH: Final = frozenset(
    {"lease.taken", "lease.released", "accept.recorded", "log.recovered", "job.tainted", "job.sealed"}
)
_BIND_NAMES: Final = ("configuration", "plan", "bundle", "policy", "lineage", "serial")
_NO_PERSON: Final = frozenset({"auto", "policy"})


def allowed(before: str, after: str) -> bool:
    """Return whether a job may move from one status to the other; staying is no move."""
    return after in _MOVES.get(before, ())


def initial_state(genesis: Mapping[str, Any]) -> JobState:
    """Return the state of a job that has a header (`clockwork_nb.jobs.events.parse_genesis`) and no event yet."""
    return JobState(
        job_id=genesis["job_id"],
        lineage=genesis["lineage"],
        genesis=genesis["genesis"],
        hash=genesis["genesis"],
        name=genesis["name"],
        adapter=genesis["adapter"],
        created_at=genesis["created_at"],
    )


def replay(genesis: Mapping[str, Any], events: Iterable[Event]) -> JobState:
    """Return what *events* add up to.

    Raises:
        FoldError: E_EVIDENCE_INCONSISTENT at the first event that cannot follow; ``details`` has ``seq`` and ``type``.
    """
    state = initial_state(genesis)
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: JobState, event: Event) -> JobState:
    """Return the state after *event*. Takes *state* over: the caller must not use the old one any more.

    The chain fields (seq, prev, job, epoch) are checked too, so a log that evolves is unbroken. When this raises,
    *state* is unchanged.

    Raises:
        FoldError: E_EVIDENCE_INCONSISTENT; ``details`` has ``seq`` and ``type``.
    """
    try:
        _check_place(state, event)
        _RULES[event.type](state, event.payload, event)
    except _Broken as broken:
        raise FoldError(
            f"event {event.seq} ({event.type}) of job {state.job_id} cannot follow: {broken}",
            details={"seq": event.seq, "type": event.type},
        ) from None
    state.seq, state.hash, state.epoch, state.updated_at = event.seq, event.hash, event.epoch, event.created_at
    return state


class _Broken(Exception):
    """A rule does not hold; becomes a `FoldError` that names the event."""


def _require(condition: object, says: str) -> None:
    if not condition:
        raise _Broken(says)


def _check_place(state: JobState, event: Event) -> None:
    if event.seq != state.seq + 1:
        raise _Broken(f"the event before it is {state.seq}")
    if event.prev != state.hash:
        raise _Broken("it does not chain to the event before it")
    if event.job_id != state.job_id:
        raise _Broken(f"it belongs to job {event.job_id}")
    if event.type == "lease.taken":
        # A new epoch for every lease; only the very first one shares its epoch with job.created.
        _require(event.epoch > state.epoch or state.seq == 1, f"epoch {event.epoch} is not a new one")
    elif state.seq:
        _require(event.epoch == state.epoch, f"epoch {event.epoch} is not {state.epoch}, the last one taken")
    _require((event.type == "job.created") == (event.seq == 1), "job.created is the first event and no other")
    if state.finished and event.type not in _AFTER_FINISH:
        raise _Broken("the job is finished")


# --- the job -----------------------------------------------------------------------------------------------------


def _job_created(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _require(payload["name"] == state.name, "its name is not the header's")
    _require(payload["adapter"] == state.adapter, "its adapter is not the header's")
    try:
        spec = parse_json(payload["spec"], what="the job spec") if payload["spec"] else {}
        limits = limits_from_spec(spec) if isinstance(spec, dict) else {}
    except InvalidInputError as error:
        raise _Broken(error.message) from None
    state.objective, state.spec, state.limits = payload["objective"], payload["spec"], limits
    state.status, state.created_at = "queued", event.created_at


def _job_status(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    before, after = payload["from"], payload["to"]
    _require(before == state.status, f"the job is {state.status}, not {before}")
    _require(allowed(before, after), f"a job cannot go from {before} to {after}")
    state.status, state.reason = after, payload.get("reason", "")
    resumed = after == "running" and before != "queued"
    if after in {"paused", "canceled"} or (resumed and state.stop in {"pause", "drain"}):
        state.stop = ""


def _job_finished(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _require(payload["status"] == state.status, f"the job is {state.status}, not {payload['status']}")
    if payload["status"] == "completed":
        running = _running_step(state)
        _require(not running, f"step {running} has no result")
    state.finished, state.reason_codes = True, list(payload["reason_codes"])


def _job_sealed(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _require(payload["count"] == state.seq and payload["head"] == state.hash, "it seals another log")


def _job_tainted(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    state.tainted = True


def _lease_taken(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    state.lease = Lease(payload["runner_id"], payload["host_id"], payload["ttl_ms"], payload["tool_version"])
    state.tool_version = payload["tool_version"]
    state.env_accepted = ""  # what somebody accepted was good for the resume before


def _lease_released(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    lease = state.lease
    _require(lease is not None and lease.runner_id == payload["runner_id"], "its runner does not hold the lease")
    state.lease = None


def _env_captured(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _require(not state.env_hash, "the environment is recorded already; a change is an env.override")
    state.env_rules, state.env_hash = list(payload["rules"]), payload["hash"]


def _env_override(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _require(payload["expected_hash"] == state.env_hash, "it overrides another environment")
    if payload.get("once"):
        state.env_accepted = payload["actual_hash"]
    else:  # as logs of earlier versions have it
        state.env_rules, state.env_hash = list(payload["rules"]), payload["actual_hash"]


def _control_requested(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _require(state.status not in TERMINAL, f"the job is {state.status}")
    asked = "drain" if payload.get("drain") else payload["action"]
    state.stop = max(state.stop, asked, key=_STOPS.index)


def _checkpoint(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    asks = payload["kind"] == "decision-needed"
    _require(asks == ("required_action" in payload), "required_action belongs to decision-needed, and to it only")
    if "section" in payload:
        _require(payload["section"] in state.sections, f"there is no section {payload['section']}")
    if asks:
        state.asked[event.seq] = ""
    codes = list(payload["reason_codes"])
    state.checkpoints[payload["kind"]] = Checkpoint(
        event.seq, payload["kind"], payload["summary"], codes, event.created_at
    )
    state.reason_codes = codes


# --- sections and what they are bound to -------------------------------------------------------------------------


def _section(state: JobState, payload: Mapping[str, Any]) -> SectionState:
    section = state.sections.get(payload["section"])
    if section is None:
        raise _Broken(f"there is no section {payload['section']}")
    if not section.open:
        raise _Broken(f"section {section.number} is closed ({section.outcome})")
    return section


def _section_opened(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    number = payload["section"]
    _require(number == len(state.sections) + 1, f"the next section is {len(state.sections) + 1}")
    state.sections[number] = SectionState(number, payload["verb"], payload["cell"], payload["call"], payload["inputs"])


def _section_closed(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    open_step = next((name for name, step in section.steps.items() if step.status == "started"), "")
    _require(not open_step, f"step {open_step} has no result")
    section.outcome = payload["outcome"]
    section.done, section.failed, section.skipped = payload["done"], payload["failed"], payload["skipped"]
    section.state_after = payload.get("state_after", "")
    section.steps = {}
    for decision in state.decisions.values():
        if decision.section == section.number and decision.status == "open":
            decision.status = "superseded"


def _plan_bound(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    _require(not section.steps, "steps of the section's present plan have run")
    if section.plan:
        _supersede(state, section)
    section.plan, section.configuration = payload["plan"], payload["configuration"]
    section.lineage, section.serial, section.changes = payload["lineage"], payload["serial"], payload["changes"]
    section.state_before = payload.get("state_before", "")
    section.bundle = section.policy = section.approval = ""


def _supersede(state: JobState, section: SectionState) -> None:
    for decision in state.decisions.values():
        if decision.section == section.number and decision.status != "denied":
            decision.status = "superseded"


def _bundle_bound(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    _require(section.plan, "the section has no plan yet")
    _require(not section.steps, "steps of the section's present bundle have run")
    section.bundle = payload["bundle"]


def _policy_bound(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _section(state, payload).policy = payload["policy"]


# --- approvals ---------------------------------------------------------------------------------------------------


def _approval_requested(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    approval_id, seq = payload["approval_id"], payload["checkpoint_seq"]
    _require(approval_id not in state.decisions, f"approval {approval_id} was requested before")
    _require(seq in state.asked, f"event {seq} is no decision-needed checkpoint")
    _require(not state.asked[seq], f"checkpoint {seq} asks for approval {state.asked[seq]}")
    state.asked[seq] = approval_id
    state.decisions[approval_id] = Decision(
        approval_id,
        seq,
        section.number,
        dict(payload["binds"]),
        expires_at=payload.get("expires_at", ""),
        quorum=payload.get("quorum", 1),
    )


def _decision(state: JobState, payload: Mapping[str, Any]) -> Decision:
    decision = state.decisions.get(payload["approval_id"])
    if decision is None:
        raise _Broken(f"approval {payload['approval_id']} was never requested")
    return decision


def _settles(state: JobState, payload: Mapping[str, Any]) -> Decision:
    decision = _decision(state, payload)
    _require(decision.checkpoint_seq == payload["checkpoint_seq"], "it names another checkpoint than the request")
    _require(decision.status != "superseded", "the plan it decides on was replaced")
    _require(decision.status != "denied", "it was denied")
    return decision


def _approval_granted(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    decision = _settles(state, payload)
    _require(payload["binds"] == decision.binds, "it binds something else than what was requested")
    signed = "signature" in payload
    _require(
        signed == ("signer" in payload) == (BY_KEY in payload["by"]), "by, signer and signature do not fit together"
    )
    expires = payload.get("expires_at", "")
    _require(not expires or event.created_at < expires, f"it expires at {expires}, before it was given")
    if decision.status == "granted":  # only an expired, unused grant may be given again
        lapsed = bool(decision.expires_at) and decision.expires_at <= event.created_at
        _require(lapsed and not decision.uses, "it was granted before")
    elif decision.expires_at:
        _require(event.created_at < decision.expires_at, f"the request expired at {decision.expires_at}")
    if decision.quorum > 1:
        _count_grant(decision, payload, event.created_at)
        return
    decision.status, decision.by, decision.via = "granted", payload["by"], payload["via"]
    decision.reason, decision.granted_at, decision.expires_at = payload["reason"], event.created_at, expires
    decision.max_uses = payload["max_uses"]


def _count_grant(decision: Decision, payload: Mapping[str, Any], now: str) -> None:
    """Add one of several persons; with the last one the decision is granted, until the first of them expires."""
    grant = Grant(payload["by"], payload["via"], payload["reason"], now, payload.get("expires_at", ""))
    _require(grant.via not in _NO_PERSON, f"it asks for {decision.quorum} persons, and {grant.via} is none")
    _require(payload["max_uses"] == 1, "several persons grant one use")
    counting = grant.counted_with(decision.grants)
    if counting is None:
        raise _Broken(f"{grant.by} said yes already")
    if decision.status == "granted":  # it has lapsed: those who are left ask for the others again
        decision.status, decision.expires_at = "open", ""
    decision.grants = counting
    if decision.missing:
        return
    decision.status, decision.max_uses, decision.granted_at = "granted", 1, now
    decision.by = ", ".join(g.by for g in decision.grants)
    decision.via = ", ".join(dict.fromkeys(g.via for g in decision.grants))
    decision.reason = "; ".join(g.reason for g in decision.grants)
    decision.expires_at = min((g.expires_at for g in decision.grants if g.expires_at), default="")


def _approval_denied(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    decision = _settles(state, payload)
    _require(not decision.uses, "it was used already")
    decision.status, decision.by, decision.via = "denied", payload["by"], payload["via"]
    decision.reason = payload["reason"]


def _approval_used(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    decision = _decision(state, payload)
    _require(decision.status == "granted", f"it is {decision.status}")
    _require(decision.section == section.number, f"it was granted for section {decision.section}")
    _require(decision.uses < decision.max_uses, f"it may be used {decision.max_uses} time(s)")
    _require(not section.approval, f"the section runs under approval {section.approval} already")
    _require(not decision.expires_at or event.created_at < decision.expires_at, "it has expired")
    moved = [name for name in _BIND_NAMES if decision.binds[name] != getattr(section, name)]
    if state.env_hash and decision.binds["environment"] != state.environment:
        moved.append("environment")
    _require(not moved, f"it binds another {', '.join(moved)}")
    decision.uses += 1
    section.approval = decision.approval_id


# --- steps -------------------------------------------------------------------------------------------------------


def _running_step(state: JobState) -> str:
    for section in state.sections.values():
        for name, step in section.steps.items():
            if step.status == "started":
                return name
    return ""


def _open_step(state: JobState, payload: Mapping[str, Any]) -> StepState:
    step = _section(state, payload).steps.get(payload["step_id"])
    if step is None or step.status != "started":
        raise _Broken(f"step {payload['step_id']} is not running")
    if step.attempts != payload["attempt"]:
        raise _Broken(f"step {payload['step_id']} is at attempt {step.attempts}, not {payload['attempt']}")
    return step


def _step_started(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    name, attempt = payload["step_id"], payload["attempt"]
    step = section.steps.get(name)
    if step is not None:
        _require(step.status not in {"started", "completed"}, f"step {name} is {step.status}")
    attempts = 0 if step is None else step.attempts
    _require(attempt == attempts + 1, f"the next attempt of step {name} is {attempts + 1}")
    if not section.approval:
        decision = state.decision_for(section.number)
        _require(decision is None, "the section's approval was asked for and is not in use")
    section.steps[name] = StepState("started", payload["index"], attempt, payload["idempotent"])


def _step_output(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _open_step(state, payload)


def _step_completed(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    step = _open_step(state, payload)
    step.status = "completed"
    step.entry, step.entry_blob = payload.get("entry", ""), payload.get("entry_blob", "")


def _step_failed(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _open_step(state, payload).status = "failed"


def _step_interrupted(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _open_step(state, payload).status = "interrupted"


def _step_skipped(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    name = payload["step_id"]
    step = section.steps.get(name)
    attempts = 0
    if step is not None:  # what failed or was skipped before a resume may be skipped after it
        _require(step.status not in {"started", "completed"}, f"step {name} is {step.status}")
        attempts = step.attempts
    section.steps[name] = StepState("skipped", payload["index"], attempts)


def _step_retried(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    name = payload["step_id"]
    step = section.steps.get(name)
    if step is None or step.status not in {"failed", "interrupted"}:
        raise _Broken(f"step {name} is {'unknown' if step is None else step.status}, there is nothing to retry")


def _step_compensated(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    section = _section(state, payload)
    name = payload["step_id"]
    step = section.steps.get(name)
    if step is None or step.status not in {"completed", "failed", "interrupted"}:
        raise _Broken(f"step {name} has nothing to undo")
    step.status = "compensated"


# --- cells, budgets, artifacts, the log --------------------------------------------------------------------------


def _cell(status: str) -> Callable[[JobState, Mapping[str, Any], Event], None]:
    def rule(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
        cell = payload["cell"]
        if status in {"completed", "failed"}:
            _require(state.cells.get(cell) == "started", f"cell {cell} was not started")
        if status == "started":
            state.cells.pop(cell, None)  # the latest start stands last, also when an earlier attempt began it too
        state.cells[cell] = status

    return rule


def _budget_charged(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    after, before = Counters(**payload), state.counters
    for dimension in ("retry_count", "step_count", "tool_call_count", "active_ms", "tokens"):
        _require(getattr(after, dimension) >= getattr(before, dimension), f"{dimension} went down")
    _require(after.used("cost") >= before.used("cost"), "cost went down")
    state.counters = after


def _budget_raised(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    _require(state.status not in TERMINAL, f"the job is {state.status}")
    before = state.limits.get(payload["dimension"], "0")
    _require(Decimal(payload["limit"]) > Decimal(before), f"the limit is {before} already")
    state.limits[payload["dimension"]] = payload["limit"]


def _artifact_published(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    path, op = payload["path"], payload["op"]
    present = path in state.published
    _require(present == (op != "added"), f"{path} is {'there already' if present else 'not there'}")
    if op == "removed":
        del state.published[path]
    else:
        state.published[path] = payload.get("blob", "")


def _no_rule(state: JobState, payload: Mapping[str, Any], event: Event) -> None:
    """Facts that change nothing here."""


_RULES: Final[Mapping[str, Callable[[JobState, Mapping[str, Any], Event], None]]] = {
    "job.created": _job_created,
    "job.status": _job_status,
    "lease.taken": _lease_taken,
    "lease.released": _lease_released,
    "env.captured": _env_captured,
    "env.override": _env_override,
    "section.opened": _section_opened,
    "section.closed": _section_closed,
    "plan.bound": _plan_bound,
    "bundle.bound": _bundle_bound,
    "policy.bound": _policy_bound,
    "checkpoint": _checkpoint,
    "approval.requested": _approval_requested,
    "approval.granted": _approval_granted,
    "approval.denied": _approval_denied,
    "approval.used": _approval_used,
    "step.started": _step_started,
    "step.output": _step_output,
    "step.completed": _step_completed,
    "step.failed": _step_failed,
    "step.interrupted": _step_interrupted,
    "step.skipped": _step_skipped,
    "step.retried": _step_retried,
    "step.compensated": _step_compensated,
    "cell.started": _cell("started"),
    "cell.completed": _cell("completed"),
    "cell.failed": _cell("failed"),
    "cell.restored": _cell("restored"),
    "cell.skipped": _cell("skipped"),
    "budget.charged": _budget_charged,
    "budget.exceeded": _no_rule,
    "budget.raised": _budget_raised,
    "artifact.published": _artifact_published,
    "control.requested": _control_requested,
    "drift.detected": _no_rule,
    "fix.proposed": _no_rule,
    "fix.applied": _no_rule,
    "log.recovered": _no_rule,
    "accept.recorded": _no_rule,
    "job.tainted": _job_tainted,
    "job.sealed": _job_sealed,
    "job.finished": _job_finished,
}
