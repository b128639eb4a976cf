"""Decisions of a job, pure: a state goes in, the events to append come out, or an error says why not.

Nothing here knows the log's next number, because another process may append a control event at any time. Where a
payload must name the seq of a checkpoint of its own batch it says `SAME_BATCH`, and what a step used up is given as an
amount that comes on top (`charge_budget`); the store completes both while it holds the append lock (`completed`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from clockwork_nb.clock import rfc3339
from clockwork_nb.errors import InvalidInputError, InvalidTransitionError
from clockwork_nb.jobs.budget import SPEC_KEYS, Counters, charge, limits_from_spec
from clockwork_nb.jobs.events import DIMENSIONS, MAX_QUORUM, SUMMARY_LIMIT
from clockwork_nb.jobs.fields import clip
from clockwork_nb.jobs.state import allowed
from clockwork_nb.ports import Draft

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from clockwork_nb.jobs.model import JobState, SectionState

__all__ = [
    "SAME_BATCH",
    "bind_plan",
    "charge_budget",
    "checkpoint",
    "close_section",
    "completed",
    "finish",
    "interrupted_steps",
    "move",
    "open_section",
    "raise_budget",
    "request_approval",
    "request_stop",
]

SAME_BATCH: Final = 0
"""``checkpoint_seq`` of an ``approval.requested`` draft: the last checkpoint before it in the same batch."""

_ON_TOP: Final = "on_top"

Outcome = Literal["completed", "failed", "denied", "canceled", "stale"]


def completed(draft: Draft, state: JobState, last_checkpoint: int) -> dict[str, Any]:
    """Return the payload of *draft* as it is to be written after *state*.

    *last_checkpoint* is the seq of the last checkpoint of the same batch, 0 when there is none.
    """
    payload = dict(draft.payload)
    if draft.type == "approval.requested" and payload.get("checkpoint_seq") == SAME_BATCH:
        payload["checkpoint_seq"] = last_checkpoint
    if draft.type == "budget.charged" and payload.pop(_ON_TOP, False):
        cost = payload.pop("cost", "0")
        payload = charge(state.counters, cost=cost, **payload).to_payload()
    return payload


def charge_budget(amount: Counters) -> Draft:
    """Return the event that adds *amount* to what the job used up; several threads may charge at once."""
    return Draft("budget.charged", {**amount.to_payload(), _ON_TOP: True})


def move(state: JobState, to: str, reason: str = "") -> Draft:
    """Return the event that gives the job the status *to*.

    Raises:
        InvalidTransitionError: E_INVALID_STATE_TRANSITION.
    """
    if not allowed(state.status, to):
        raise InvalidTransitionError(
            f"job {state.job_id} is {state.status} and cannot become {to}",
            hint="A finished job stays as it is; start a new one." if state.final else "",
            details={"from": state.status, "to": to},
        )
    payload = {"from": state.status, "to": to}
    if reason:
        payload["reason"] = clip(reason, 4096)
    return Draft("job.status", payload)


def finish(
    state: JobState, status: Literal["completed", "canceled"], reason_codes: Sequence[str] = (), *, reason: str = ""
) -> list[Draft]:
    """Return the events that end the job.

    Raises:
        InvalidTransitionError: E_INVALID_STATE_TRANSITION.
    """
    return [
        move(state, status, reason),
        Draft("job.finished", {"status": status, "reason_codes": list(reason_codes)}),
    ]


def checkpoint(
    kind: Literal["plan", "progress", "blocked", "completed"],
    summary: str,
    *,
    reason_codes: Sequence[str] = (),
    section: int = 0,
) -> Draft:
    """Return a checkpoint; a long summary is cut with a marker, never dropped. ``decision-needed``: `request_approval`."""
    payload: dict[str, Any] = {
        "kind": kind,
        "summary": clip(summary.strip(), SUMMARY_LIMIT) or kind,
        "reason_codes": list(reason_codes),
    }
    if section:
        payload["section"] = section
    return Draft("checkpoint", payload)


def open_section(
    state: JobState, *, verb: Literal["plan", "apply", "destroy", "verify", "run"], cell: str, call: int, inputs: str
) -> tuple[int, Draft]:
    """Return the number of a new section and the event that opens it.

    *cell* and *call* say which call of the notebook it is (``""``, 0 outside one); *inputs* is the digest of the call's
    inputs.

    Raises:
        InvalidTransitionError: E_INVALID_STATE_TRANSITION: the job is at its end.
    """
    if state.final:
        raise InvalidTransitionError(f"job {state.job_id} is {state.status}; start a new one")
    number = len(state.sections) + 1
    payload = {"section": number, "verb": verb, "cell": cell, "call": call, "inputs": inputs}
    return number, Draft("section.opened", payload)


def bind_plan(
    section: int,
    *,
    plan: str,
    configuration: str,
    lineage: str,
    serial: int,
    changes: int,
    bundle: str = "",
    policy: str = "",
    state_before: str = "",
) -> list[Draft]:
    """Return the events that bind a section to its plan and, when given, its bundle and policy (SHA-256 digests)."""
    payload: dict[str, Any] = {
        "section": section,
        "plan": plan,
        "configuration": configuration,
        "lineage": lineage,
        "serial": serial,
        "changes": changes,
    }
    if state_before:
        payload["state_before"] = state_before
    drafts = [Draft("plan.bound", payload)]
    if bundle:
        drafts.append(Draft("bundle.bound", {"section": section, "bundle": bundle}))
    if policy:
        drafts.append(Draft("policy.bound", {"section": section, "policy": policy}))
    return drafts


def close_section(state: JobState, section: int, outcome: Outcome, *, state_after: str = "") -> Draft:
    """Return the event that closes *section*, with its steps counted.

    Raises:
        InvalidTransitionError: E_INVALID_STATE_TRANSITION: it is not open, or a step of it has no result yet.
    """
    found = _open_section(state, section)
    statuses = [step.status for step in found.steps.values()]
    if "started" in statuses:
        running = next(name for name, step in found.steps.items() if step.status == "started")
        raise InvalidTransitionError(f"step {running} of section {section} has no result yet")
    payload: dict[str, Any] = {
        "section": section,
        "outcome": outcome,
        "done": statuses.count("completed"),
        "failed": statuses.count("failed") + statuses.count("interrupted"),
        "skipped": statuses.count("skipped"),
    }
    if state_after:
        payload["state_after"] = state_after
    return Draft("section.closed", payload)


def request_approval(
    state: JobState,
    section: int,
    *,
    approval_id: str,
    binds: Mapping[str, Any],
    summary: str,
    instructions: str,
    reason_codes: Sequence[str] = (),
    expires_at: datetime | None = None,
    quorum: int = 1,
) -> list[Draft]:
    """Return the ``decision-needed`` checkpoint and the request, to be appended as one batch.

    *quorum* is how many different persons must say yes, from 1 to `MAX_QUORUM`.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such quorum.
        InvalidTransitionError: E_INVALID_STATE_TRANSITION: the section is not open, or is not bound to what *binds* says.
    """
    found = _open_section(state, section)
    for name in ("plan", "bundle"):
        if binds.get(name) != getattr(found, name):
            raise InvalidTransitionError(f"section {section} is not bound to the {name} that approval is asked for")
    ask: dict[str, Any] = {
        "kind": "decision-needed",
        "summary": clip(summary.strip(), SUMMARY_LIMIT) or "decision needed",
        "reason_codes": list(reason_codes),
        "required_action": {"kind": "approval", "instructions": clip(instructions, 4096)},
        "section": section,
    }
    request: dict[str, Any] = {
        "approval_id": approval_id,
        "checkpoint_seq": SAME_BATCH,
        "section": section,
        "binds": dict(binds),
    }
    if expires_at is not None:
        request["expires_at"] = rfc3339(expires_at)
    if not 1 <= quorum <= MAX_QUORUM:
        raise InvalidInputError(f"{quorum} persons cannot be asked", hint=f"A quorum is from 1 to {MAX_QUORUM}.")
    if quorum > 1:
        request["quorum"] = quorum
    return [Draft("checkpoint", ask), Draft("approval.requested", request)]


def interrupted_steps(state: JobState, found: Mapping[str, str] | None = None) -> list[Draft]:
    """Return ``step.interrupted`` for every step that was running when its process died, and the charge for them.

    *found* maps a step id to what was found out about it since (``"applied"``, ``"not applied"``); others: ``unknown``.
    """
    known = found or {}
    drafts = [
        Draft(
            "step.interrupted",
            {
                "section": section.number,
                "step_id": name,
                "attempt": step.attempts,
                "found": clip(known.get(name, "unknown"), 4096),
            },
        )
        for section in state.open_sections
        for name, step in section.steps.items()
        if step.status == "started"
    ]
    if drafts:  # their process died before it could charge for them
        again = sum(draft.payload["attempt"] > 1 for draft in drafts)
        drafts.append(charge_budget(Counters(again, len(drafts), len(drafts))))
    return drafts


def request_stop(
    state: JobState, action: Literal["pause", "cancel"], *, by: str, reason: str = "", drain: bool = False
) -> Draft:
    """Return the control event that asks the job's runner to pause or cancel.

    With *drain* a pause lets the steps that run come to their end; otherwise they are stopped.

    Raises:
        InvalidTransitionError: E_INVALID_STATE_TRANSITION: the job is at its end, or cannot pause because it is not running.
    """
    if state.final:
        raise InvalidTransitionError(f"job {state.job_id} is {state.status} already")
    if action == "pause" and state.status not in {"queued", "running"}:
        raise InvalidTransitionError(f"job {state.job_id} is {state.status}; only a running job can pause")
    payload: dict[str, Any] = {"action": action, "by": by, "reason": clip(reason, 4096)}
    if drain and action == "pause":
        payload["drain"] = True
    return Draft("control.requested", payload)


def raise_budget(state: JobState, dimension: str, limit: str, *, by: str, reason: str) -> Draft:
    """Return the control event that gives *dimension* a new limit, decimal text, above the one in force.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: unknown dimension, no reason, or the limit does not rise.
        InvalidTransitionError: E_INVALID_STATE_TRANSITION: the job is at its end.
    """
    if state.final:
        raise InvalidTransitionError(f"job {state.job_id} is {state.status} already")
    if dimension not in DIMENSIONS:
        raise InvalidInputError(f"{dimension!r} is not a budget", hint=f"Budgets: {', '.join(DIMENSIONS)}.")
    if not reason.strip():
        raise InvalidInputError("raising a budget needs a reason", hint="Add --reason TEXT.")
    checked = limits_from_spec({"budgets": {_SPEC_KEY[dimension]: limit}}).get(dimension)
    before = state.limits.get(dimension)
    if checked is None or before is None or Decimal(checked) <= Decimal(before):
        raise InvalidInputError(
            f"the {dimension} budget is {before or 'unlimited'}; {limit} does not raise it",
            hint="Give a larger number." if before else "There is nothing to raise.",
        )
    payload = {"dimension": dimension, "limit": checked, "by": by, "reason": clip(reason.strip(), 4096)}
    return Draft("budget.raised", payload)


_SPEC_KEY: Final = {dimension: key for key, dimension in SPEC_KEYS.items()}


def _open_section(state: JobState, number: int) -> SectionState:
    section = state.sections.get(number)
    if section is None or not section.open:
        says = "does not exist" if section is None else f"is closed ({section.outcome})"
        raise InvalidTransitionError(f"section {number} of job {state.job_id} {says}")
    return section
