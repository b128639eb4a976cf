"""Flags of ``job init|submit|watch|pause``, ``wrap`` and ``budget``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import Parser, add_budgets, add_environment, add_job, add_section, seconds

__all__ = ["add", "add_to_job_group"]

_MODULE = "clockwork_nb.cli.submit"
_WATCH = "clockwork_nb.cli.watch"
_BUDGETS = "clockwork_nb.cli.budgets"


def _verb(verbs: Any, name: str, module: str, run: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=module, run=run)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def add_to_job_group(jobs: Any) -> None:
    """Add ``job init|submit|watch|pause``."""
    parser = _verb(jobs, "init", _MODULE, "job_init", "write a job spec to begin with")
    parser.add_argument("path", metavar="FILE", nargs="?", default="jobspec.yaml", help="default: jobspec.yaml")
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")

    parser = _verb(jobs, "submit", _MODULE, "job_submit", "run a job spec as a durable job")
    parser.add_argument("spec", metavar="SPEC", help="a .yaml or .json file; - reads it from stdin")
    parser.add_argument("--job-id", metavar="ID", help="the new job's id; by default one is made")
    parser.add_argument("--detach", action="store_true", help="run it in the background; it outlives this shell")
    parser.add_argument("--auto-approve", action="store_true", help="record approvals as 'auto': no person approved")
    parser.add_argument("--out-dir", metavar="DIR", help="where the pack goes (default clockwork-out)")
    add_section(parser)
    add_budgets(parser)

    parser = _verb(
        jobs, "watch", _WATCH, "job_watch", "follow a job until it ends or waits; stopping to watch stops nothing"
    )
    add_job(parser)

    parser = _verb(jobs, "pause", _WATCH, "job_pause", "let a running job start nothing more; job resume goes on")
    add_job(parser)
    parser.add_argument("--now", action="store_true", help="also stop the steps that run, instead of letting them end")
    parser.add_argument("--wait", action="store_true", help="return when it has stopped")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    parser = _verb(verbs, "wrap", _MODULE, "wrap", "run one command as a durable job, with its output as evidence")
    parser.usage = "clockwork wrap [FLAGS] -- COMMAND [ARGUMENT …]"
    parser.add_argument("--job-id", metavar="ID", help="the new job's id; by default one is made")
    parser.add_argument(
        "--artifact", metavar="FILE", action="append", default=[], help="a file the command leaves; kept"
    )
    parser.add_argument("--idempotent", action="store_true", help="it may run again after it was cut off")
    parser.add_argument("--detach", action="store_true", help="run it in the background; it outlives this shell")
    parser.add_argument("--timeout", metavar="SECONDS", type=seconds, default=0, help="stop it after so long")
    parser.add_argument("--out-dir", metavar="DIR", help="where the pack goes (default clockwork-out)")
    add_budgets(parser)
    add_environment(parser)
    parser.add_argument("command", metavar="COMMAND", nargs="*", help="after --; its own flags are left alone")

    group = verbs.add_parser("budget", help="look at what a job has used up, or allow it more")
    budgets = group.add_subparsers(metavar="VERB", dest="budget_verb", required=True, parser_class=Parser)
    parser = _verb(
        budgets, "check", _BUDGETS, "budget_check", "compare what a job used up with its limits; exit 3 when over"
    )
    add_job(parser)
    add_budgets(parser, "compare with this limit instead")
    parser = _verb(budgets, "raise", _BUDGETS, "budget_raise", "give a job a larger limit; it is recorded")
    add_job(parser)
    add_budgets(parser, "the new limit")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; it is recorded")
