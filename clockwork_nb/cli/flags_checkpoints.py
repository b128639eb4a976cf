"""Flags of ``checkpoint list|show|emit``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import Parser, add_job

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.checkpoints"


def _verb(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=_MODULE, run=f"checkpoint_{name}")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    add_job(parser)
    return parser


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    group = verbs.add_parser("checkpoint", help="what a job told on its way: list, show, emit")
    checkpoints = group.add_subparsers(metavar="VERB", dest="checkpoint_verb", required=True, parser_class=Parser)
    parser = _verb(checkpoints, "list", "list a job's checkpoints, oldest first")
    parser.add_argument("--type", metavar="TYPE", help="only this type")
    parser = _verb(checkpoints, "show", "show one checkpoint")
    parser.add_argument("checkpoint", metavar="CP", help="its id, like cp_12")
    parser = _verb(checkpoints, "emit", "add a checkpoint to a job that nobody runs, or from inside a notebook's run")
    parser.add_argument("--type", metavar="TYPE", required=True, help="plan, progress or blocked")
    parser.add_argument("--summary", metavar="TEXT", required=True, help="what there is to say, at most 2000 bytes")
    parser.add_argument("--reason-code", metavar="CODE", action="append", default=[], help="a code for machines")
    parser.add_argument("--required-kind", metavar="KIND", help="only decisions have one; they come from plans")
    parser.add_argument("--required-instructions", metavar="TEXT", help="only decisions have them")
