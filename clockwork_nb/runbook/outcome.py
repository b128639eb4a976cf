"""What ended an attempt, as an error of ours: the cell, what it said, and the command that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clockwork_nb import errors
from clockwork_nb.errors import AdapterFailedError, ApprovalRequiredError, ClockworkError, ConfigurationError
from clockwork_nb.patterns import pattern

if TYPE_CHECKING:
    from clockwork_nb.jobs.model import Decision, JobState
    from clockwork_nb.runbook.notebook import Notebook

__all__ = ["CellFailure", "cell_error", "other_error", "waiting_error"]

_ANSI = pattern(r"\x1b\[[0-9;]*m")
_MAX_LINES = 40
_MISSING_MAGIC = pattern(r"magic(?: function)? `%{1,2}cw")


class CellFailure(Struct, frozen=True):
    """The cell that ended an attempt: its index from 0, the exception's class name, message and shown lines."""

    index: int
    name: str
    message: str
    lines: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it only stopped for a decision."""
        return self.name in {"ApprovalRequiredError", "ApprovalStaleError"}

    @property
    def refused(self) -> bool:
        """Whether somebody said no."""
        return self.name == "ApprovalDeniedError"


def waiting_error(
    state: JobState, decision: Decision, document: Mapping[str, Any], notebook: Notebook, *, output: str, report: str
) -> ApprovalRequiredError:
    """Return the error that says which cell waits with which plan, and the two commands that go on.

    Args:
        document: the plan that *decision* is about.
        output: path of the notebook as it stands.
        report: path of the report to read first, or the empty string.
    """
    from clockwork_nb.jobs.approval import naming
    from clockwork_nb.render.gate import runbook_place, waiting_text

    section = state.sections[decision.section]
    number = next((i for i, c in enumerate(notebook.cells, 1) if c["id"] == section.cell), 0)
    digest = str(decision.binds["plan"])
    place = runbook_place(notebook.path.name, number, f"%cw_{section.verb}")
    text = waiting_text(
        job_id=state.job_id, plan_digest=digest, document=document, place=place, report=report,
        naming=naming(state, decision.binds),
    )  # fmt: skip
    first, _, rest = text.partition("\n")
    details = {"job_id": state.job_id, "plan": digest, "cell": number, "notebook": output}
    return ApprovalRequiredError(first, hint=rest, details=details)


def cell_error(failure: CellFailure, notebook: Notebook, *, job_id: str, output: str) -> ClockworkError:
    """Return what a cell raised as an error of our own, one of ours as what it was, so that the exit status fits."""
    place = f"cell {failure.index + 1} of {notebook.path.name}"
    details = {"job_id": job_id, "cell": failure.index + 1, "notebook": output}
    resume = f"clockwork job resume {job_id}"
    again = f"clockwork runbook run {notebook.path.name}"
    cls = getattr(errors, failure.name, None)
    if isinstance(cls, type) and issubclass(cls, ClockworkError):
        lines = [_ANSI.sub("", line) for line in failure.lines[:_MAX_LINES]]
        # Its own first line says what the message says; a diagnostic says more.
        shown = [line for line in lines if line.strip() and failure.message not in line]
        if issubclass(cls, ConfigurationError):
            shown.append(f"Correct the cell, then run it anew: {again}")
        elif not any(resume in line for line in shown):
            shown.append(f"When that is put right: {resume}")
        return cls(f"{place}: {failure.message}", hint="\n".join(shown), details=details)
    if _MISSING_MAGIC.search(failure.message):
        return AdapterFailedError(
            f"{place} uses a clockwork magic, but the extension is not loaded",
            hint=f"Put  %load_ext clockwork_nb  in a cell before it, then: {again}",
            details=details,
        )
    return AdapterFailedError(
        f"{place} failed: {failure.name}: {failure.message}",
        hint=(
            f"The whole traceback is in {output}\n"
            f"If the cause is outside the notebook, put it right, then: {resume}\n"
            f"A changed notebook is a new run: {again}"
        ),
        details=details,
    )


def other_error(error: BaseException | None, *, job_id: str) -> ClockworkError:
    """Return what ended an attempt besides a cell: a dead kernel, a full disk, or one of our own errors as it is."""
    if isinstance(error, ClockworkError):
        return error
    hint = f"What was finished is recorded. Go on with: clockwork job resume {job_id}"
    hint = "\n".join([*filter(None, getattr(error, "__notes__", ())), hint])
    details = {"job_id": job_id}
    name = type(error).__name__
    if name == "DeadKernelError":
        return AdapterFailedError("the kernel died", hint=hint, details=details)
    return AdapterFailedError(f"the notebook could not be run: {name}: {error}", hint=hint, details=details)
