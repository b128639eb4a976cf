"""Flags of ``job list|show|status|resume|cancel``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import add_job, add_section, add_variables
from clockwork_nb.cli import flags_submit
from clockwork_nb.cli.flags_imports import add_to_job_group
from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.jobs"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    verbs.add_group("job", "list, look at, resume and cancel jobs", _job_verbs)


def _job_verbs(verbs: Verbs) -> None:
    verbs.add("list", "list the jobs, newest first", add_json, module=_MODULE, run="job_list")
    add_to_job_group(verbs)
    flags_submit.add_to_job_group(verbs)
    text = "say where a job stands and what to do next"
    verbs.add("status", text, add_json, add_job, module=_MODULE, run="job_status")
    verbs.add("show", "show a job's events", add_json, add_job, module=_MODULE, run="job_show")
    text = "go on where the job stopped; finished steps do not run again"
    verbs.add("resume", text, add_json, add_job, add_section, _resume, _claim, module=_MODULE, run="job_resume")
    verbs.add("cancel", "stop a job for good", add_json, add_job, _cancel, module=_MODULE, run="job_cancel")


def _resume(parser: argparse.ArgumentParser) -> None:
    add_variables(parser, "a sensitive value again; the job's log does not hold it")
    parser.add_argument("--out-dir", metavar="DIR", help="where a job made of commands puts its pack")
    parser.add_argument("--rerun", metavar="STEP", action="append", default=[], help="run this interrupted step again")


def _claim(parser: argparse.ArgumentParser) -> None:
    """Add what to do when somebody runs the job, or it began elsewhere."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--wait", action="store_true", help="wait until whoever runs the job is gone")
    how.add_argument(
        "--take-over", action="store_true", help="replace whoever runs the job, also a living one; needs --reason"
    )
    parser.add_argument(
        "--override-env", action="store_true", help="go on in another environment, this once; needs --reason"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")


def _cancel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")
