"""Flags of ``store check|repair|prune``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import Parser, add_job

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.stores"
_AGES = "for example 30d or 12h"


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number")
    return int(text)


def _verb(verbs: Any, name: str, run: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=_MODULE, run=run)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    group = verbs.add_parser("store", help="check, repair and prune the job store")
    stores = group.add_subparsers(metavar="VERB", dest="store_verb", required=True, parser_class=Parser)

    parser = _verb(stores, "check", "store_check", "read every job's whole evidence; exit 10 when some is damaged")
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="only these jobs (default: all)")

    parser = _verb(stores, "repair", "store_repair", "bring a damaged job back; shows first what would be lost")
    add_job(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--truncate-at", metavar="OFFSET", type=_whole, help="end the log at this byte")
    where.add_argument("--to-last-valid", action="store_true", help="end the log before the damage")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; it stays in the job's evidence")
    parser.add_argument("--yes", action="store_true", help="do not ask")

    parser = _verb(stores, "prune", "store_prune", "remove what is old: finished and exported jobs, packs, reports")
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
