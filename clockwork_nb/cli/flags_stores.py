"""Flags of ``store check|repair|prune``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import add_job
from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.stores"
_AGES = "for example 30d or 12h"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    verbs.add_group("store", "check, repair and prune the job store", _store_verbs)


def _store_verbs(verbs: Verbs) -> None:
    text = "read every job's whole evidence; exit 10 when some is damaged"
    verbs.add("check", text, add_json, _check, module=_MODULE, run="store_check")
    text = "bring a damaged job back; shows first what would be lost"
    verbs.add("repair", text, add_json, add_job, _repair, module=_MODULE, run="store_repair")
    text = "remove what is old: finished and exported jobs, packs, reports"
    verbs.add("prune", text, add_json, _prune, module=_MODULE, run="store_prune")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="only these jobs (default: all)")


def _repair(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--truncate-at", metavar="OFFSET", type=_whole, help="end the log at this byte")
    where.add_argument("--to-last-valid", action="store_true", help="end the log before the damage")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; it stays in the job's evidence")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--job-max-age", metavar="AGE", help=f"jobs whose last event is older, {_AGES}")
    parser.add_argument("--jobpack-max-age", metavar="AGE", help="packs that are older")
    parser.add_argument("--report-max-age", metavar="AGE", help="reports that are older")
    parser.add_argument("--max-jobpacks", metavar="N", type=_whole, help="packs beyond the newest N")
    parser.add_argument(
        "--include-unexported", action="store_true", help="also jobs whose evidence exists nowhere else"
    )
    parser.add_argument("--out-dir", metavar="DIR", help="output root of packs and reports (default clockwork-out)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number")
    return int(text)
