"""Take one section to its end on a terminal: show, ask, run with live lines, say what happened."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from clockwork_nb.errors import AcceptTestError, InterruptedByUserError

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.ports import EventView
    from clockwork_nb.session.sections import Section, SectionOutcome
    from clockwork_nb.settings import Settings

__all__ = ["report", "run_section", "run_with_progress"]


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
        out.text(section.planned.text(color=out.color))
        outcome = section.outcome()
        out.document(outcome.to_document())
        return 0
    if section.needs_approval:
        out.text(section.planned.text(color=out.color))
        _decide(section, settings, auto_approve=auto_approve, json=out.json)
    outcome = run_with_progress(section, out, parallelism=parallelism, timeout_per_step=timeout_per_step)
    return report(outcome, out, verify=section.verb == "verify")


def _decide(section: Section, settings: Settings, *, auto_approve: bool, json: bool) -> None:
    if auto_approve or settings.auto_approve:
        section.decide("granted", via="auto", reason="")
        return
    if settings.headless or json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        section.suspend()
    from clockwork_nb.cli.pipeline import ask

    try:
        answer = ask(
            f"\nApprove plan {section.plan_digest[:8]}?  Type yes to run it, no to refuse, anything else to leave it waiting: "
        )
    except KeyboardInterrupt:
        section.cancel("stopped at the question")
        raise
    if answer == "yes":
        section.decide("granted", via="terminal", reason=ask("Reason (may be empty): "))
    elif answer == "no":
        section.decide("denied", via="terminal", reason=ask("Reason (may be empty): "))
        section.reject()
    else:
        section.suspend()


def section_printer(section: Section, events: Sequence[EventView], out: Output) -> Callable[[EventView], None]:
    """Return what prints *section*'s lines as its events come, told the job's *events* so far."""
    from clockwork_nb.jobs.progress import RunProgress
    from clockwork_nb.render.progress import ProgressPrinter

    source = RunProgress(section.job_id)
    source.expect(section.planned.document, section.plan_digest)
    printer = ProgressPrinter(out.note if out.json else out.text, source, color=out.color)
    printer.catch_up(events)
    return printer.feed


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; the second one acts at once."""
    stop = threading.Event()
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_with_progress(
    section: Section, out: Output, *, parallelism: int, timeout_per_step: int | None
) -> SectionOutcome:
    """Run *section* with a line for each step as it ends; the first Ctrl-C or SIGTERM stops it cleanly."""
    on_event = section_printer(section, section.events(), out)
    with stopping() as stop:
        return section.run(on_event=on_event, stop=stop, parallelism=parallelism, timeout_per_step=timeout_per_step)


def report(outcome: SectionOutcome, out: Output, *, verify: bool = False) -> int:
    """Print how it went and return the exit status of contracts.md."""
    out.text("\n" + outcome.text(color=out.color))
    out.document(outcome.to_document())
    error = outcome.error
    if error is None:
        return 0
    if verify and not isinstance(error, InterruptedByUserError):
        return AcceptTestError.exit_code
    if out.json:
        out.error(error)
    return error.exit_code
