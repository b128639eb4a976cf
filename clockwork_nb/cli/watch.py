"""``job watch`` and ``job pause``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from clockwork_nb.errors import (
    ApprovalRequiredError,
    BudgetExceededError,
    ClockworkError,
    InterruptedByUserError,
)
from clockwork_nb.session.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clockwork_nb.cli.output import Output
    from clockwork_nb.jobs.events import Event
    from clockwork_nb.render.progress import ProgressPrinter

__all__ = ["job_pause", "job_watch"]

_TOLD = frozenset(
    {
        "job.created", "job.status", "job.finished", "job.tainted", "lease.taken", "control.requested",
        "approval.requested", "approval.granted", "approval.denied", "budget.raised", "budget.exceeded",
        "env.override", "cell.started", "cell.failed", "log.recovered", "artifact.published",
    }
)  # fmt: skip
"""Events told on a line of their own; those of steps are told by the lines of their section."""


def job_watch(args: argparse.Namespace, out: Output) -> int:
    """Follow a job until it ends or waits."""
    from clockwork_nb.session.watching import follow

    jobs = Jobs()
    lines = _Lines(jobs, args.job, out)
    try:
        for news, _state, _running in follow(jobs.store, args.job):
            for event in news:
                lines.tell(event)
            if out.gone:
                return 0
    except KeyboardInterrupt:
        raise InterruptedByUserError(
            "stopped watching; the job goes on", hint=f"Watch again: clockwork job watch {args.job}"
        ) from None
    document = jobs.status(args.job)
    if not out.json:
        from clockwork_nb.render.job import job_status_text

        out.text("\n" + job_status_text(document, color=out.color, next_lines=document["next"]))
    return _exit_code(document)


def _exit_code(document: Mapping[str, Any]) -> int:
    """Return what a script wants to know: 0 completed, 4 waits for approval, 3 out of budget, 130 stopped, 1 the rest."""
    kinds: dict[str, type[ClockworkError]] = {
        "blocked_decision": ApprovalRequiredError,
        "blocked_budget": BudgetExceededError,
        "paused": InterruptedByUserError,
    }
    if document["status"] == "completed":
        return 0
    return kinds.get(document["status"], ClockworkError).exit_code


class _Lines:
    """Prints events: as JSON lines, or as the lines of the section they belong to and those of `_TOLD`."""

    def __init__(self, jobs: Jobs, job_id: str, out: Output) -> None:
        self._jobs, self._job_id, self._out = jobs, job_id, out
        self._printer: ProgressPrinter | None = None

    def tell(self, event: Event) -> None:
        """Print what *event* makes due."""
        document = {
            "seq": event.seq,
            "created_at": event.created_at,
            "type": event.type,
            "payload": dict(event.payload),
        }
        if self._out.json:
            self._out.line(json.dumps(document, sort_keys=True, ensure_ascii=True))
            return
        if event.type == "plan.bound":
            self._printer = self._section(event)
        if event.type in _TOLD:
            from clockwork_nb.render.events import events_text

            self._out.text(events_text([document]))
        if self._printer is not None:
            self._printer.feed(event)

    def _section(self, event: Event) -> ProgressPrinter:
        from clockwork_nb.canonical import parse_json
        from clockwork_nb.jobs.progress import RunProgress
        from clockwork_nb.render.progress import ProgressPrinter

        source = RunProgress(self._job_id)
        digest = str(event.payload["plan"])
        source.expect(parse_json(self._jobs.store.blobs(self._job_id).get(digest), what="the recorded plan"), digest)
        printer = ProgressPrinter(self._out.text, source, color=self._out.color)
        before = [e for e in self._jobs.store.read(self._job_id).events if e.seq < event.seq]
        printer.catch_up(before)
        return printer


def job_pause(args: argparse.Namespace, out: Output) -> int:
    """Let a running job start nothing more."""
    from clockwork_nb.session.watching import follow

    jobs = Jobs()
    document = jobs.pause(args.job, now=args.now, reason=args.reason)
    if args.wait:
        for _news, state, _running in follow(jobs.store, args.job):
            document["status"] = state.status
    out.document(document)
    if args.wait:
        out.text(f"{args.job} is {document['status']}.")
    else:
        out.text(f"{args.job} was asked to pause" + ("." if args.now else "; steps that run come to their end first."))
    if document["status"] not in {"completed", "canceled"}:
        out.text(f"Next      clockwork job resume {args.job}")
    return 0
