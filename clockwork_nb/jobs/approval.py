"""What an approval is bound to, and whether it still covers what would run now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from clockwork_nb.clock import rfc3339
from clockwork_nb.errors import (
    ApprovalDeniedError,
    ApprovalRequiredError,
    ApprovalStaleError,
    InvalidInputError,
    InvalidTransitionError,
)
from clockwork_nb.jobs.events import VIAS
from clockwork_nb.jobs.fields import clip
from clockwork_nb.jobs.model import Decision, Grant, JobState
from clockwork_nb.ports import Draft

__all__ = [
    "BIND_NAMES",
    "DEFAULT_EXPIRY",
    "binds",
    "check_granted",
    "deny",
    "find_decision",
    "grant",
    "moved",
    "naming",
    "other_scripts",
    "use",
]

BIND_NAMES: Final = ("configuration", "plan", "bundle", "policy", "environment", "lineage", "serial")
DEFAULT_EXPIRY: Final = timedelta(hours=24)
_UNATTENDED: Final = {
    "auto": "approved by --auto-approve; no person approved",
    "policy": "approved by the operator's policy; no person approved",
    "button": "approved in the notebook's panel",
    "terminal": "approved at the terminal",
}


def binds(
    *, configuration: str, plan: str, bundle: str, policy: str, environment: str, lineage: str, serial: int
) -> dict[str, Any]:
    """Return the ``binds`` object of the approval events: five SHA-256 digests, and the state's lineage and serial."""
    return {
        "configuration": configuration,
        "plan": plan,
        "bundle": bundle,
        "policy": policy,
        "environment": environment,
        "lineage": lineage,
        "serial": serial,
    }


def moved(approved: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return the names of what is not as it was approved, in the order of `BIND_NAMES`.

    >>> a = dict.fromkeys(BIND_NAMES, "0")
    >>> moved(a, {**a, "bundle": "1", "serial": 2})
    ['bundle', 'serial']
    """
    return [name for name in BIND_NAMES if approved.get(name) != current.get(name)]


def naming(state: JobState, bound: Mapping[str, Any]) -> str:
    """Return the flags that name what *bound* (a ``binds`` object) is, as one types them to approve it.

    The plan alone, unless the job has asked about the same plan with other scripts: a command that somebody copied then
    must not approve these.
    """
    flags = f"--plan {str(bound['plan'])[:8]}"
    return f"{flags} --bundle {str(bound['bundle'])[:8]}" if other_scripts(state, bound) else flags


def other_scripts(state: JobState, bound: Mapping[str, Any]) -> bool:
    """Return whether the job has asked about the same plan with other scripts than those in *bound*."""
    return any(
        decision.binds.get("plan") == bound.get("plan") and decision.binds.get("bundle") != bound.get("bundle")
        for decision in state.decisions.values()
    )


def find_decision(state: JobState, which: str | int | None = None) -> Decision:
    """Return the decision with that approval id or checkpoint seq (``cp_12``, 12); None means the only open one.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such decision, none is open, or several are.
    """
    if which is None:
        waiting = state.open_decisions
        if len(waiting) == 1:
            return waiting[0]
        names = ", ".join(f"cp_{decision.checkpoint_seq}" for decision in waiting)
        raise InvalidInputError(
            f"{len(waiting)} decisions of job {state.job_id} are open"
            if waiting
            else f"job {state.job_id} waits for no decision",
            hint=f"Name one: {names}." if waiting else "",
        )
    text = str(which)
    for decision in state.decisions.values():
        if text in {decision.approval_id, f"cp_{decision.checkpoint_seq}", str(decision.checkpoint_seq)}:
            return decision
    known = ", ".join(f"cp_{decision.checkpoint_seq}" for decision in state.decisions.values())
    raise InvalidInputError(
        f"job {state.job_id} has no decision {text!r}", hint=f"Known: {known}." if known else "It never asked for one."
    )


def grant(
    state: JobState,
    which: str | int | None,
    *,
    seen: Mapping[str, Any],
    by: str,
    via: str,
    reason: str,
    now: datetime,
    expires_at: datetime | None = None,
    claimed: str = "",
) -> Draft:
    """Return the event that approves a decision once, for 24 hours unless *expires_at* says otherwise.

    Of a decision that asks for several persons it is one person's yes.

    Args:
        seen: the ``binds`` the approver looked at; it must be what was requested.
        by: who that is as the machine knows it: the system's user, with `key_holder` also the key they sign with.
        claimed: the name they give themselves, recorded as no more than that.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: unknown decision, unknown *via*, no name, no reason (asked for where
            a person types: ``cli`` and ``http``), or an expiry in the past.
        InvalidTransitionError: E_INVALID_STATE_TRANSITION: it is granted already, or by this person.
        ApprovalRequiredError: E_CHECKPOINT_APPROVAL_REQUIRED: it asks for persons, and *via* is none.
        ApprovalDeniedError: E_APPROVAL_DENIED: somebody said no.
        ApprovalStaleError: E_APPROVAL_STALE: the plan was replaced, the request expired, or *seen* is something else.
    """
    decision = _open(state, which, now)
    _check_voice(by, via)
    text = clip(reason.strip(), 4096)
    if not text.strip(".… ") and via not in _UNATTENDED:  # "…" is what the printed command has in its place
        raise InvalidInputError("an approval needs a reason", hint="Add --reason TEXT.")
    _check_person(decision, by, via, now)
    different = moved(decision.binds, seen)
    if different:
        raise _stale(decision, different, seen)
    until = now + DEFAULT_EXPIRY if expires_at is None else expires_at
    if until <= now:
        raise InvalidInputError("the approval would have expired before it is given", hint="Give a later --expires.")
    payload = {
        "approval_id": decision.approval_id,
        "checkpoint_seq": decision.checkpoint_seq,
        "binds": dict(decision.binds),
        "by": by,
        "via": via,
        "reason": text or _UNATTENDED[via],
        "expires_at": rfc3339(until),
        "max_uses": 1,
    }
    if claimed.strip():
        payload["claimed"] = clip(claimed.strip(), 512)
    return Draft("approval.granted", payload)


def _check_person(decision: Decision, by: str, via: str, now: datetime) -> None:
    if decision.quorum < 2:
        return
    if via in {"auto", "policy"}:
        raise ApprovalRequiredError(
            f"approval {decision.approval_id} asks for {decision.quorum} persons; {via} is none",
            details={"approval_id": decision.approval_id, "quorum": decision.quorum},
        )
    if Grant(by, via, "", rfc3339(now), "").counted_with(decision.grants) is None:
        raise InvalidTransitionError(
            f"{by} said yes already; approval {decision.approval_id} asks for {decision.quorum} different persons",
            hint="Persons are told apart by their user, or by the keys they sign with: clockwork approve … --sign",
        )


def deny(
    state: JobState, which: str | int | None, *, by: str, via: str, reason: str, now: datetime, claimed: str = ""
) -> Draft:
    """Return the event that says no to a decision; also to one that was granted but not used yet. One no ends it.

    Raises:
        InvalidInputError, InvalidTransitionError, ApprovalDeniedError, ApprovalStaleError: as `grant`.
    """
    decision = find_decision(state, which)
    if decision.status != "granted":
        decision = _open(state, which, now)
    elif decision.uses:
        raise InvalidTransitionError(
            f"approval {decision.approval_id} was used already", hint="Cancel the job to stop what it covers."
        )
    _check_voice(by, via)
    payload = {
        "approval_id": decision.approval_id,
        "checkpoint_seq": decision.checkpoint_seq,
        "by": by,
        "via": via,
        "reason": clip(reason.strip(), 4096),
    }
    if claimed.strip():
        payload["claimed"] = clip(claimed.strip(), 512)
    return Draft("approval.denied", payload)


def check_granted(state: JobState, section: int, current: Mapping[str, Any], *, now: datetime) -> Decision:
    """Return the granted decision that covers *section* as it is *current* (a ``binds`` object) now.

    Raises:
        ApprovalRequiredError: E_CHECKPOINT_APPROVAL_REQUIRED: nobody decided yet, or nothing was asked.
        ApprovalDeniedError: E_APPROVAL_DENIED.
        ApprovalStaleError: E_APPROVAL_STALE: expired, used up, or something moved; ``details["moved"]`` names it.
    """
    decision = state.decision_for(section)
    if decision is None or decision.status == "open":
        raise ApprovalRequiredError(
            f"section {section} of job {state.job_id} has not been approved{_so_far(decision)}",
            hint=f"clockwork approve {state.job_id} {naming(state, current)} --reason TEXT",
            details={"job_id": state.job_id, "section": section},
        )
    if decision.status == "denied":
        raise _denied(decision)
    different = moved(decision.binds, current)
    used_here = state.sections[section].approval == decision.approval_id
    if used_here and state.env_accepted and current.get("environment") == state.env_accepted:
        different = [name for name in different if name != "environment"]  # somebody accepted it for this resume
    if different:
        raise _stale(decision, different, current)
    if used_here:
        return decision
    if decision.expires_at and rfc3339(now) >= decision.expires_at:
        raise ApprovalStaleError(
            f"approval {decision.approval_id} expired at {decision.expires_at}",
            hint=f"Approve again: clockwork approve {state.job_id} --reason TEXT",
            details={"moved": ["expires_at"], "approval_id": decision.approval_id},
        )
    if decision.uses >= decision.max_uses:
        raise ApprovalStaleError(
            f"approval {decision.approval_id} was used already",
            details={"moved": ["max_uses"], "approval_id": decision.approval_id},
        )
    return decision


def use(
    state: JobState, section: int, current: Mapping[str, Any], *, step_id: str, attempt: int, now: datetime
) -> Draft | None:
    """Return the event to append just before the section's first ``step.started``, in the same batch.

    None when the section runs under its approval already: resuming is the same use, whatever the hour.

    Raises:
        ApprovalRequiredError, ApprovalDeniedError, ApprovalStaleError: as `check_granted`.
    """
    decision = check_granted(state, section, current, now=now)
    if state.sections[section].approval:
        return None
    payload = {"approval_id": decision.approval_id, "section": section, "step_id": step_id, "attempt": attempt}
    return Draft("approval.used", payload)


def _so_far(decision: Decision | None) -> str:
    if decision is None or decision.quorum < 2:
        return ""
    who = f" ({', '.join(grant.by for grant in decision.grants)})" if decision.grants else ""
    return f" by {decision.quorum} persons, only by {len(decision.grants)}{who}"


def _open(state: JobState, which: str | int | None, now: datetime) -> Decision:
    decision = find_decision(state, which)
    if decision.status == "denied":
        raise _denied(decision)
    if decision.status == "superseded":
        raise ApprovalStaleError(
            f"the plan of approval {decision.approval_id} was replaced by a newer one",
            hint=f"Look at the new plan: clockwork job show {state.job_id}",
            details={"moved": ["plan"], "approval_id": decision.approval_id},
        )
    stamp = rfc3339(now)
    lapsed = bool(decision.expires_at) and decision.expires_at <= stamp
    if decision.status == "granted" and not (lapsed and not decision.uses):
        raise InvalidTransitionError(f"approval {decision.approval_id} was granted already by {decision.by}")
    if decision.status == "open" and lapsed:
        raise ApprovalStaleError(
            f"the request of approval {decision.approval_id} expired at {decision.expires_at}",
            hint=f"Resume the job to be asked again: clockwork job resume {state.job_id}",
            details={"moved": ["expires_at"], "approval_id": decision.approval_id},
        )
    return decision


def _check_voice(by: str, via: str) -> None:
    if not by.strip():
        raise InvalidInputError("a decision needs the name of whoever makes it")
    if via not in VIAS:
        raise InvalidInputError(f"{via!r} is no way to decide", hint=f"Ways: {', '.join(VIAS)}.")


def _denied(decision: Decision) -> ApprovalDeniedError:
    reason = f": {decision.reason}" if decision.reason else ""
    return ApprovalDeniedError(
        f"{decision.by} said no to approval {decision.approval_id}{reason}",
        details={"approval_id": decision.approval_id, "by": decision.by, "reason": decision.reason},
    )


def _stale(decision: Decision, different: list[str], current: Mapping[str, Any]) -> ApprovalStaleError:
    lines = [
        f"{name}: approved {_short(decision.binds.get(name))}, now {_short(current.get(name))}" for name in different
    ]
    return ApprovalStaleError(
        f"approval {decision.approval_id} is for something else: {', '.join(different)} moved",
        hint="\n".join([*lines, "Plan again and approve the new plan."]),
        details={
            "moved": different,
            "approval_id": decision.approval_id,
            "approved": {name: decision.binds.get(name) for name in different},
            "current": {name: current.get(name) for name in different},
        },
    )


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text or "(none)"
