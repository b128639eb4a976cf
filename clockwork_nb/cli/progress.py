"""Take one section to its end on a terminal: show, ask, run with live lines, say what happened."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from msgspec.structs import replace

from clockwork_nb.cli.signals import Terminated, stopping
from clockwork_nb.cli.waiting import StepLines, working
from clockwork_nb.errors import AcceptTestError, InterruptedByUserError, TerminatedError

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.session.sections import Section, SectionOutcome
    from clockwork_nb.settings import Settings

__all__ = ["decide", "report", "run_section", "run_with_progress"]


def run_section(
    section: Section,
    out: Output,
    *,
    settings: Settings,
    auto_approve: bool,
    parallelism: int,
    timeout_per_step: int | None,
) -> int:
    """Show the plan, get the decision, run the steps; return the exit status.

    Raises:
        ApprovalRequiredError: there is nobody to ask. ApprovalDeniedError: the answer was no.
    """
    if section.is_empty:
        out.text(section.planned.text(color=out.color, width=out.columns))
        out.document(section.outcome().to_document())
        return 0
    while True:
        if section.needs_approval:
            decide(section, out, settings=settings, auto_approve=auto_approve)
        ended, terminated = _run(section, out, parallelism=parallelism, timeout_per_step=timeout_per_step)
        following = None
        if ended.status == "completed":
            with working(out, "planning"):
                following = section.following()
        if following is None:
            return report(ended, out, terminated=terminated)
        out.text(f"\n{ended.text(color=out.color)}\n\nWhat waited is known now.\n")
        section = following


def decide(section: Section, out: Output, *, settings: Settings, auto_approve: bool) -> None:
    """Show the plan of a section that needs a decision and record the answer.

    Raises:
        ApprovalRequiredError: there is nobody to ask, or no answer. ApprovalDeniedError: the answer was no.
    """
    try:
        if not out.json:
            _show(section, out)
        _answer(section, settings, auto_approve=auto_approve, json=out.json)
    except (KeyboardInterrupt, Terminated) as stopped:
        section.leave()  # nobody has answered
        if isinstance(stopped, Terminated):
            raise
        first, rest = section.waiting_lines()
        raise InterruptedByUserError(f"stopped at the question. {first}", hint=rest) from None


def _show(section: Section, out: Output) -> None:
    """Print the plan, and what it does not show of the scripts."""
    out.text(section.planned.text(color=out.color, width=out.columns))
    if section.edited:
        from clockwork_nb.render.gate import edited_words

        out.text(f"\n  {edited_words(section.edited)}")
    if section.built is not None and (notable := section.built.notable_text(color=out.color)):
        out.text(notable)


def _answer(section: Section, settings: Settings, *, auto_approve: bool, json: bool) -> None:
    if auto_approve or settings.auto_approve:
        section.decide("granted", via="auto", reason="")
        return
    if settings.headless or json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        section.suspend()
    from clockwork_nb.cli.asking import ask

    risks = ", ".join(section.planned.risks)
    answer = ask(
        f"\nRun plan {section.plan_digest[:8]}{f' (risk: {risks})' if risks else ''}?"
        "  yes runs it, no refuses it, anything else leaves it waiting: "
    )
    if answer.lower() in {"y", "yes"}:
        section.decide("granted", via="terminal", reason=ask("Reason (may be empty): "))
    elif answer.lower() in {"n", "no"}:
        section.decide("denied", via="terminal", reason=ask("Reason (may be empty): "))
        section.reject()
    else:
        section.suspend()


def run_with_progress(section: Section, out: Output, *, parallelism: int, timeout_per_step: int | None) -> int:
    """Run *section* with a line for each step as it ends and return the exit status; the first Ctrl-C or SIGTERM stops
    it cleanly.
    """
    outcome, terminated = _run(section, out, parallelism=parallelism, timeout_per_step=timeout_per_step)
    return report(outcome, out, terminated=terminated)


def _run(
    section: Section, out: Output, *, parallelism: int, timeout_per_step: int | None
) -> tuple[SectionOutcome, bool]:
    with stopping() as stop, StepLines(out) as lines:
        on_event = lines.begin(section, section.events())
        outcome = section.run(on_event=on_event, stop=stop, parallelism=parallelism, timeout_per_step=timeout_per_step)
    return outcome, stop.terminated


def report(outcome: SectionOutcome, out: Output, *, terminated: bool = False) -> int:
    """Print how it went and return the exit status of contracts.md."""
    error = outcome.error
    if isinstance(error, InterruptedByUserError):
        if terminated:
            error = TerminatedError(error.message, hint=error.hint, details=error.details)
    elif error is not None and outcome.verb == "verify":
        error = AcceptTestError(error.message, hint=error.hint, details=error.details)
    outcome = replace(outcome, error=error)
    if not out.json:
        out.text(("" if outcome.status == "nothing" else "\n") + outcome.text(color=out.color))
    out.document(outcome.to_document())
    if error is None:
        return 0
    if out.json:
        out.error(error)
    return error.exit_code
