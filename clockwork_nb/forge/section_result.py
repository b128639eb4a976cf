"""How a section went, and the error that says so when it did not succeed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clockwork_nb.errors import (
    AcceptTestError,
    AdapterFailedError,
    BudgetExceededError,
    ClockworkError,
    InterruptedByUserError,
    LeaseLostError,
    StepTimeoutError,
)

if TYPE_CHECKING:
    from clockwork_nb.forge.step import StepOutcome
    from clockwork_nb.forge.walk import WalkResult
    from clockwork_nb.jobs.budget import Excess

__all__ = ["SectionResult", "section_error"]

_STOPPED = {"cancel": "cancelled", "pause": "paused", "drain": "paused"}


class SectionResult(Struct, frozen=True):
    """How a section went. All ids, in the order it happened; ``done`` leaves out what was done before.

    ``interrupted`` steps were running when the run was stopped; ``waiting`` were not started. ``stopped`` is ``""``, or
    why the run ended early: ``cancel``, ``pause``, ``drain``, ``lost``, ``interrupt``, ``budget``. ``state``
    is the state's document, None when this section does not touch it and there is none. ``error`` is None when every
    step is done.
    """

    done: tuple[str, ...]
    failed: tuple[str, ...]
    skipped: tuple[str, ...]
    interrupted: tuple[str, ...]
    waiting: tuple[str, ...]
    stopped: str
    state: Mapping[str, Any] | None
    error: ClockworkError | None = None


def section_error(
    job_id: str,
    walked: WalkResult,
    *,
    stopped: str,
    interrupted: Sequence[str],
    rerun: Sequence[str],
    excess: Excess | None,
    failed: tuple[Mapping[str, Any], StepOutcome] | None,
    log: str,
) -> ClockworkError:
    """Return the error of a section that is not complete.

    Args:
        stopped, interrupted: see `SectionResult`.
        rerun: those of the interrupted ones that a person has to ask for by name.
        excess: the budget that stopped it, if one did.
        failed: the plan's action and the outcome of the first step that failed, if one did.
        log: the file with that step's output, as people read it.
    """
    counts = f"{len(walked.done)} done, {len(walked.failed)} failed, {len(walked.skipped)} skipped"
    left = len(walked.waiting) + len(interrupted)
    resume = f"clockwork job resume {job_id}" + "".join(f" --rerun {shlex.quote(step)}" for step in rerun)
    if stopped == "lost":
        return LeaseLostError("another process took this job over", details={"done": len(walked.done)})
    if excess is not None:
        return BudgetExceededError(
            f"The budget is used up: {excess}.",
            hint=f"clockwork budget raise {job_id} {excess.flag} LIMIT --reason TEXT\n{resume}",
            details={"dimension": excess.dimension, "limit": excess.limit, "used": excess.used},
        )
    if stopped or failed is None:
        return InterruptedByUserError(
            f"the run was {_STOPPED.get(stopped, 'stopped')}: {counts}, {left} left",
            hint=f"Finished steps will not run again. To go on: {resume}",
            details={"interrupted": list(interrupted), "stopped": stopped},
        )
    action, outcome = failed
    return _failure(action, outcome)(
        f"{action['id']} failed: {outcome.note} ({counts})",
        hint=_fix(action, resume),
        details={"steps": list(walked.failed), "tail": outcome.tail, "log": log},
    )


def _fix(action: Mapping[str, Any], resume: str) -> str:
    if action["change"] == "run":
        return (
            f"If the cause is outside the job: put it right, then: {resume}\n"
            "The job keeps its commands; others are a new job."
        )
    return f"State is saved; finished steps will not run again. Fix it, then: {resume}"


def _failure(action: Mapping[str, Any], outcome: StepOutcome) -> type[ClockworkError]:
    if outcome.code == StepTimeoutError.code:
        return StepTimeoutError
    checks = action["change"] == "verify" or str(action["name"]).startswith("verify_")
    return AcceptTestError if checks else AdapterFailedError
