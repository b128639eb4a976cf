"""Checkpoints of a job from outside: list, look at one, add one.

A checkpoint is a runner's event. Who adds one becomes the job's owner for that moment, when nobody runs it; inside a
notebook's run the engine writes it. A decision cannot be made here: it comes from a plan, which it is bound to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import InvalidInputError, InvalidTransitionError, LeaseConflictError

if TYPE_CHECKING:
    from clockwork_nb.jobs.events import Event
    from clockwork_nb.ports import Draft
    from clockwork_nb.settings import Settings
    from clockwork_nb.store.files import JobStore

__all__ = ["BY_HAND", "CHECKPOINT_TYPES", "emit", "find", "records"]

CHECKPOINT_TYPES: Final = ("plan", "progress", "decision-needed", "blocked", "completed")
BY_HAND: Final = ("plan", "progress", "blocked")
"""The types that `emit` takes."""

_COUNTED: Final = frozenset({"lease.taken", "job.status", "budget.charged", "artifact.published", "checkpoint"})


def records(store: JobStore, job_id: str, *, kind: str = "") -> list[dict[str, Any]]:
    """Return the job's checkpoints, oldest first, in the form a jobpack has them (``wrkr.checkpoint``, v1).

    Raises:
        InvalidInputError: there is no such job, or *kind* is no type of checkpoint.
        StoreCorruptError: its log is damaged.
    """
    if kind and kind not in CHECKPOINT_TYPES:
        raise InvalidInputError(
            f"{kind[:40]!r} is no type of checkpoint", hint=f"Types: {', '.join(CHECKPOINT_TYPES)}."
        )
    view = store.read(job_id)
    found = _projected(view.genesis, view.events)
    return [record for record in found if not kind or record["type"] == kind]


def find(store: JobStore, job_id: str, which: str) -> dict[str, Any]:
    """Return the checkpoint with the id *which* (``cp_12`` or ``12``); as `records`.

    Raises:
        InvalidInputError: there is no such checkpoint, or no such job.
    """
    known = records(store, job_id)
    for record in known:
        if which in {record["checkpoint_id"], record["checkpoint_id"].removeprefix("cp_")}:
            return record
    last = ", ".join(record["checkpoint_id"] for record in known[-8:])
    raise InvalidInputError(
        f"job {job_id} has no checkpoint {which[:40]!r}",
        hint=f"The last ones: {last}." if last else "It has none yet.",
    )


def _projected(genesis: Mapping[str, Any], events: Iterable[Event]) -> list[dict[str, Any]]:
    from clockwork_nb.jobpack.projection import Projector

    projector = Projector(genesis)
    for event in events:
        if event.type in _COUNTED:  # the others do not show in a checkpoint
            projector.add(event)
    return [parse_json(line) for line in projector.checkpoints]


def emit(
    store: JobStore, settings: Settings, job_id: str, kind: str, summary: str, *, reason_codes: Sequence[str] = ()
) -> dict[str, Any]:
    """Add a checkpoint, which changes nothing else of the job, and return it; as `records`.

    A summary over 2,000 bytes is cut, with a mark. Who added it is the first of its reason codes.

    Raises:
        InvalidInputError: *kind* is not among `BY_HAND`, there is nothing to say, or there is no such job.
        InvalidTransitionError: the job is at its end. LeaseConflictError: somebody runs it.
    """
    draft = _draft(kind, summary, [f"by:{settings.user}", *reason_codes])
    if settings.job_socket and settings.job_id == job_id:
        from clockwork_nb.store.remote import RemoteJob

        with RemoteJob(Path(settings.job_socket)) as remote:
            written = remote.append([draft])[0]
            events = remote.events()
            return _one(_projected(remote.genesis, events), written.seq)
    state = store.state(job_id)
    if state.final:
        raise InvalidTransitionError(
            f"job {job_id} is {state.status}; nothing is added to it", hint=f"clockwork checkpoint list {job_id}"
        )
    try:
        handle = store.open(job_id)
    except LeaseConflictError as error:
        raise LeaseConflictError(
            f"job {job_id} is being run, and only its runner may add checkpoints",
            hint="The steps of a running job tell what they do by what they print; or wait until it stops.",
            details=error.details,
        ) from error
    try:
        written = handle.append([draft])[0]
    finally:
        handle.close("checkpoint")
    return _one(records(store, job_id), written.seq)


def _draft(kind: str, summary: str, reason_codes: Sequence[str]) -> Draft:
    from clockwork_nb.jobs.commands import checkpoint

    if kind == "decision-needed":
        raise InvalidInputError(
            "a decision is not made by hand: it is asked with a plan, and bound to exactly what would run",
            hint="Let a step ask: decision_needed: true in a job spec, or an apply.",
        )
    if kind == "completed":
        raise InvalidInputError("a job says itself that it is completed, at its end")
    if kind not in BY_HAND:
        raise InvalidInputError(f"{kind[:40]!r} is no type of checkpoint", hint=f"By hand: {', '.join(BY_HAND)}.")
    if not summary.strip():
        raise InvalidInputError("a checkpoint needs something to say", hint="Add --summary TEXT.")
    return checkpoint(cast("Literal['plan', 'progress', 'blocked']", kind), summary, reason_codes=reason_codes)


def _one(known: list[dict[str, Any]], seq: int) -> dict[str, Any]:
    return next(record for record in reversed(known) if record["checkpoint_id"] == f"cp_{seq}")
