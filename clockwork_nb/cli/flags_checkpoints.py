"""Flags of ``checkpoint list|show|emit``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import add_job
from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.checkpoints"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    verbs.add_group("checkpoint", "what a job told on its way: list, show, emit", _checkpoint_verbs)


def _checkpoint_verbs(verbs: Verbs) -> None:
    text = "list a job's checkpoints, oldest first"
    verbs.add("list", text, add_json, add_job, _list, module=_MODULE, run="checkpoint_list")
    verbs.add("show", "show one checkpoint", add_json, add_job, _show, module=_MODULE, run="checkpoint_show")
    text = "add a checkpoint to a job that nobody runs, or from inside a notebook's run"
    verbs.add("emit", text, add_json, add_job, _emit, module=_MODULE, run="checkpoint_emit")


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--type", metavar="TYPE", help="only this type")


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CP", help="its id, like cp_12")


def _emit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--type", metavar="TYPE", required=True, help="plan, progress or blocked")
    parser.add_argument("--summary", metavar="TEXT", required=True, help="what there is to say, at most 2000 bytes")
    parser.add_argument("--reason-code", metavar="CODE", action="append", default=[], help="a code for machines")
    parser.add_argument("--required-kind", metavar="KIND", help="only decisions have one; they come from plans")
    parser.add_argument("--required-instructions", metavar="TEXT", help="only decisions have them")
