"""Flags of ``job list|show|status|resume|cancel``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import Parser, add_job, add_section, add_variables
from clockwork_nb.cli import flags_submit
from clockwork_nb.cli.claiming import add_claim
from clockwork_nb.cli.flags_imports import add_to_job_group

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
    add_to_job_group(jobs)
    flags_submit.add_to_job_group(jobs)
    add_job(_verb(jobs, "status", "job_status", "say where a job stands and what to do next"))
    parser = _verb(jobs, "show", "job_show", "show a job's events")
    add_job(parser)
    parser = _verb(jobs, "resume", "job_resume", "go on where the job stopped; finished steps do not run again")
    add_job(parser)
    add_section(parser)
    add_variables(parser, "a sensitive value again; the job's log does not hold it")
    parser.add_argument("--out-dir", metavar="DIR", help="where a job made of commands puts its pack")
    parser.add_argument("--rerun", metavar="STEP", action="append", default=[], help="run this interrupted step again")
    add_claim(parser)
    parser = _verb(jobs, "cancel", "job_cancel", "stop a job for good")
    add_job(parser)
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")
