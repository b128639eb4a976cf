"""``job list|show|status|resume|cancel``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from clockwork_nb.session.jobs import SPEC_ADAPTERS, Jobs

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.ports import EventView
    from clockwork_nb.render.job import JobView
    from clockwork_nb.session.sections import Section

__all__ = ["job_cancel", "job_list", "job_resume", "job_show", "job_status"]


def job_list(args: argparse.Namespace, out: Output) -> int:
    """List the jobs."""
    from clockwork_nb.render.job import job_list_text

    jobs = Jobs().summaries()
    out.document(jobs)
    out.text(job_list_text(cast("list[JobView]", jobs), color=out.color))
    return 0


def job_status(args: argparse.Namespace, out: Output) -> int:
    """Say where a job stands."""
    from clockwork_nb.render.job import job_status_text

    document = Jobs().status(args.job)
    out.document(document)
    out.text(job_status_text(cast("JobView", document), color=out.color, next_lines=document["next"]))
    return 0


def job_show(args: argparse.Namespace, out: Output) -> int:
    """Show a job's events, one a line."""
    from clockwork_nb.render.events import events_text

    events = Jobs().events(args.job)
    out.document(events)
    out.text(events_text(events))
    return 0


def job_resume(args: argparse.Namespace, out: Output) -> int:
    """Go on where the job stopped."""
    from clockwork_nb.cli.claiming import claim_of
    from clockwork_nb.cli.progress import report
    from clockwork_nb.cli.signals import stopping
    from clockwork_nb.cli.waiting import StepLines, working

    jobs = Jobs()
    if jobs.end(args.job):
        document = jobs.status(args.job)
        out.document(document)
        out.text(f"{args.job} was {document['status']} when it was cut off; its last record is written now.")
        return 0
    adapter = jobs.state(args.job).adapter
    if adapter in SPEC_ADAPTERS:
        from clockwork_nb.cli.submit import resume_spec

        return resume_spec(args, out, claim=claim_of(args, out))
    if adapter == "notebook":
        from clockwork_nb.cli.runbooks import resume_notebook

        return resume_notebook(args, out)
    with working(out, "planning") as planned, stopping() as stop, StepLines(out) as lines:

        def begin(section: Section, events: Sequence[EventView]) -> Callable[[EventView], None]:
            planned()
            return lines.begin(section, events)

        outcome = jobs.resume_pipeline(
            args.job, rerun=args.rerun, variables=args.var, printer_for=begin, stop=stop,
            parallelism=args.parallelism, timeout_per_step=args.timeout_per_step,
            claim=claim_of(args, out, stop=stop),
        )  # fmt: skip
    return report(outcome, out, terminated=stop.terminated)


def job_cancel(args: argparse.Namespace, out: Output) -> int:
    """Stop a job for good."""
    document = Jobs().cancel(args.job, reason=args.reason)
    out.document(document)
    out.text(f"{args.job} is canceled." if document["ended"] else f"{args.job} was asked to stop; its runner ends it.")
    return 0
