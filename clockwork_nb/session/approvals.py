"""Decisions recorded from outside a run: yes, no, and who may not say either."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.errors import ClockworkError, InvalidInputError, InvalidTransitionError, UnsafeOperationError
from clockwork_nb.session.job_status import unused_grant

if TYPE_CHECKING:
    from datetime import datetime

    from clockwork_nb.jobs.model import Decision, JobState
    from clockwork_nb.settings import Settings
    from clockwork_nb.signing import Signer
    from clockwork_nb.store.files import JobStore

__all__ = ["LONGEST", "Voice", "open_decision", "record_approval", "record_rejection", "refuse_own_tree"]

LONGEST: Final = timedelta(days=30)
"""How long an approval may be good for before it is used."""


class Voice(Struct, frozen=True):
    """Who decides.

    Attributes:
        by: the system's user who asks (or whom a server let in); `record_approval` adds the key.
        via: the way it came, one of `clockwork_nb.jobs.events.VIAS`.
        claimed: the name they give themselves; recorded as a claim, it counts for nothing.
        key: what they sign with, None for no signature.
    """

    by: str
    via: str = "cli"
    claimed: str = ""
    key: Signer | None = None


def record_approval(
    store: JobStore,
    settings: Settings,
    state: JobState,
    voice: Voice,
    *,
    plan: str,
    bundle: str = "",
    reason: str,
    now: datetime,
    expires: timedelta | None = None,
) -> dict[str, Any]:
    """Record an approval of the plan whose digest starts with *plan* (8 hex or more) and return what was recorded.

    *bundle* is the beginning of the digest of its scripts; it must be given when the same plan was asked about with
    other scripts before. Of a decision that asks for several persons, ``missing`` says how many still have to approve.

    Raises:
        UnsafeOperationError: asked from inside the job's own processes.
        InvalidInputError: *plan* is too short or another plan, or *expires* is longer than `LONGEST`.
        InvalidTransitionError: nothing waits, or this person said yes already.
    """
    from clockwork_nb.jobs.approval import grant, naming
    from clockwork_nb.jobs.approval_signature import key_holder, sign

    refuse_own_tree(store, settings, state.job_id)
    decision = open_decision(state, plan)
    bound = str(decision.binds["plan"])
    if len(plan) < 8 or not bound.startswith(plan):
        raise InvalidInputError(
            f"job {state.job_id} waits with plan {bound[:8]}, not {plan[:64] or '(nothing)'}",
            hint=f"Look at it: clockwork job status {state.job_id}\n"
            f"Then: clockwork approve {state.job_id} {naming(state, decision.binds)} --reason …",
        )
    _check_scripts(state, decision, bundle)
    if expires is not None and not timedelta(0) < expires <= LONGEST:
        raise InvalidInputError(f"an approval is good for at most {LONGEST.days} days", hint="For example --expires 2h")
    draft = grant(
        state,
        decision.approval_id,
        seen=decision.binds,
        by=voice.by if voice.key is None else key_holder(voice.by, voice.key.public),
        via=voice.via,
        reason=reason,
        now=now,
        expires_at=None if expires is None else now + expires,
        claimed=voice.claimed,
    )
    if voice.key is not None:
        draft = sign(draft, state.job_id, voice.key)
    store.append_control(state.job_id, draft)
    told = {name: draft.payload[name] for name in ("by", "via", "reason", "expires_at")}
    return {
        "job": state.job_id,
        "plan": bound,
        **told,
        "claimed": voice.claimed,
        "signed": voice.key is not None,
        "quorum": decision.quorum,
        "missing": _missing(store, state.job_id, decision.approval_id),
    }


def _check_scripts(state: JobState, decision: Decision, bundle: str) -> None:
    """Return when *bundle* names the scripts of *decision*, or when nothing else can be meant."""
    from clockwork_nb.jobs.approval import naming, other_scripts

    bound = str(decision.binds["bundle"])
    if not bundle and not other_scripts(state, decision.binds):
        return
    if len(bundle) < 8 or not bound.startswith(bundle):
        raise InvalidInputError(
            f"the scripts of plan {str(decision.binds['plan'])[:8]} were changed since it was first asked about"
            if not bundle
            else f"job {state.job_id} waits with the scripts {bound[:8]}, not {bundle[:64]}",
            hint=f"Look at what changed: clockwork checkpoint list {state.job_id}\n"
            f"Then: clockwork approve {state.job_id} {naming(state, decision.binds)} --reason …",
        )


def _missing(store: JobStore, job_id: str, approval_id: str) -> int:
    decision: Decision = store.state(job_id).decisions[approval_id]  # others may have decided at the same moment
    return decision.missing


def record_rejection(
    store: JobStore, settings: Settings, state: JobState, voice: Voice, *, reason: str, now: datetime
) -> dict[str, Any]:
    """Record a no and return what was recorded. The job's end is the caller's business.

    Raises:
        UnsafeOperationError, InvalidTransitionError: as `record_approval`.
    """
    from clockwork_nb.jobs.approval import deny

    refuse_own_tree(store, settings, state.job_id)
    decision = open_decision(state)
    draft = deny(state, decision.approval_id, by=voice.by, via=voice.via, reason=reason, now=now, claimed=voice.claimed)
    store.append_control(state.job_id, draft)
    return {
        "job": state.job_id,
        "plan": str(decision.binds["plan"]),
        "by": voice.by,
        "reason": reason,
        "claimed": voice.claimed,
    }


def open_decision(state: JobState, plan: str = "") -> Decision:
    """Return the open decision about the plan that starts with *plan*; the oldest one when there is none such.

    Raises:
        InvalidTransitionError: none is open.
    """
    if not state.open_decisions:
        granted = unused_grant(state)
        if granted is not None:
            raise InvalidTransitionError(
                f"plan {str(granted.binds['plan'])[:8]} is approved already, by {granted.by}",
                hint=f"clockwork job resume {state.job_id}",
            )
        raise InvalidTransitionError(
            f"job {state.job_id} waits for no approval (it is {state.status})",
            hint=f"clockwork job status {state.job_id}",
        )
    found = [d for d in state.open_decisions if str(d.binds["plan"]).startswith(plan)]
    decision: Decision = (found or state.open_decisions)[0]
    return decision


def refuse_own_tree(store: JobStore, settings: Settings, job_id: str) -> None:
    """Refuse a decision that comes from a process which the job itself started.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION.
    """
    if settings.job_id == job_id or _owner_is_ancestor(store, job_id):
        raise UnsafeOperationError(
            "a job cannot approve itself", hint="Approve from another terminal, outside the run."
        )


def _owner_is_ancestor(store: JobStore, job_id: str) -> bool:
    """Return whether the process that runs the job is one that this process comes from."""
    from clockwork_nb.store.lease import read_lease

    try:
        lease = read_lease(store.folder(job_id) / "lease.json")
    except (ClockworkError, OSError):
        return False
    if lease.state != "held":
        return False
    pid = os.getpid()
    while pid > 1:
        if pid == lease.holder.pid and pid != os.getpid():
            return True
        try:
            # The name in /proc/PID/stat may hold blanks and parentheses; what follows the last one is plain.
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return False
