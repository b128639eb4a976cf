"""Flags of ``job list|show|status|resume|cancel``, ``approve`` and ``reject``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import Parser, add_approval, add_job, add_section, add_variables

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.jobs"


def _verb(verbs: Any, name: str, run: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=_MODULE, run=run)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    group = verbs.add_parser("job", help="list, look at, resume and cancel jobs")
    jobs = group.add_subparsers(metavar="VERB", dest="job_verb", required=True, parser_class=Parser)

    _verb(jobs, "list", "job_list", "list the jobs, newest first")
    add_job(_verb(jobs, "status", "job_status", "say where a job stands and what to do next"))
    parser = _verb(jobs, "show", "job_show", "show a job's events")
    add_job(parser)
    parser = _verb(jobs, "resume", "job_resume", "go on where the job stopped; finished steps do not run again")
    add_job(parser)
    add_section(parser)
    add_variables(parser, "a sensitive value again; the job's log does not hold it")
    parser.add_argument("--rerun", metavar="STEP", action="append", default=[], help="run this interrupted step again")
    parser = _verb(jobs, "cancel", "job_cancel", "stop a job for good")
    add_job(parser)
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")

    parser = _verb(verbs, "approve", "approve", "approve the plan a job waits for")
    add_job(parser)
    add_approval(parser)
    parser.add_argument(
        "--plan", metavar="DIGEST", help="the plan's digest, 8 digits or more; without it you are asked"
    )

    parser = _verb(verbs, "reject", "reject", "refuse the plan a job waits for; the job ends")
    add_job(parser)
    add_approval(parser)
