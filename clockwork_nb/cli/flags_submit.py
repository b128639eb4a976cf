"""Flags of ``job init|submit|watch|pause``, ``wrap`` and ``budget``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import add_budgets, add_environment, add_job, add_section, seconds
from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.arguments import Parser
    from clockwork_nb.cli.verbs import Verbs

__all__ = ["add", "add_to_job_group"]

_MODULE = "clockwork_nb.cli.submit"
_WATCH = "clockwork_nb.cli.watch"
_BUDGETS = "clockwork_nb.cli.budgets"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    text = "run one command as a durable job, with its output as evidence"
    verbs.add("wrap", text, add_json, _wrap, add_budgets, add_environment, _command, module=_MODULE)
    verbs.add_group("budget", "look at what a job has used up, or allow it more", _budget_verbs)


def add_to_job_group(jobs: Verbs) -> None:
    """Add ``job init|submit|watch|pause``."""
    jobs.add("init", "write a job spec to begin with", add_json, _init, module=_MODULE, run="job_init")
    text = "run a job spec as a durable job"
    jobs.add("submit", text, add_json, _submit, add_section, add_budgets, module=_MODULE, run="job_submit")
    text = "follow a job until it ends or waits; stopping to watch stops nothing"
    jobs.add("watch", text, add_json, add_job, module=_WATCH, run="job_watch")
    text = "let a running job start nothing more; job resume goes on"
    jobs.add("pause", text, add_json, add_job, _pause, module=_WATCH, run="job_pause")


def _budget_verbs(verbs: Verbs) -> None:
    text = "compare what a job used up with its limits; exit 3 when over"
    verbs.add("check", text, add_json, add_job, _other_limits, module=_BUDGETS, run="budget_check")
    text = "give a job a larger limit; it is recorded"
    verbs.add("raise", text, add_json, add_job, _new_limits, module=_BUDGETS, run="budget_raise")


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="FILE", nargs="?", default="jobspec.yaml", help="default: jobspec.yaml")
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")


def _submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="a .yaml or .json file; - reads it from stdin")
    parser.add_argument("--job-id", metavar="ID", help="the new job's id; by default one is made")
    parser.add_argument("--detach", action="store_true", help="run it in the background; it outlives this shell")
    parser.add_argument("--auto-approve", action="store_true", help="record approvals as 'auto': no person approved")
    parser.add_argument("--out-dir", metavar="DIR", help="where the pack goes (default clockwork-out)")


def _pause(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--now", action="store_true", help="also stop the steps that run, instead of letting them end")
    parser.add_argument("--wait", action="store_true", help="return when it has stopped")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")


def _wrap(parser: argparse.ArgumentParser) -> None:
    parser.usage = "clockwork wrap [FLAGS] -- COMMAND [ARGUMENT …]"
    parser.add_argument("--job-id", metavar="ID", help="the new job's id; by default one is made")
    parser.add_argument(
        "--artifact", metavar="FILE", action="append", default=[], help="a file the command leaves; kept"
    )
    parser.add_argument("--idempotent", action="store_true", help="it may run again after it was cut off")
    parser.add_argument("--detach", action="store_true", help="run it in the background; it outlives this shell")
    parser.add_argument("--timeout", metavar="SECONDS", type=seconds, default=0, help="stop it after so long")
    parser.add_argument("--out-dir", metavar="DIR", help="where the pack goes (default clockwork-out)")


def _command(parser: Parser) -> None:
    parser.stray = "Flags of the command itself come after --, as in: clockwork wrap -- ls -la"
    parser.add_argument("command", metavar="COMMAND", nargs="*", help="after --; its own flags are left alone")


def _other_limits(parser: argparse.ArgumentParser) -> None:
    add_budgets(parser, "compare with this limit instead")


def _new_limits(parser: argparse.ArgumentParser) -> None:
    add_budgets(parser, "the new limit")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; it is recorded")
