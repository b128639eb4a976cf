"""Flags of ``state list|show|mv|rm|taint|untaint|pull|push|history``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import Parser, add_lock

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.state"


def _verb(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=_MODULE, run=f"state_{name}")
    parser.add_argument("-C", dest="root", metavar="DIR", default=".", help="the folder with the *.cw files")
    parser.add_argument("--workspace", metavar="NAME", default="", help="a second workspace of that folder")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _edit(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser = _verb(verbs, name, text)
    parser.add_argument(
        "--auto-approve", action="store_true", help="do not ask; the history says that nobody was asked"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")
    add_lock(parser)
    return parser


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    group = verbs.add_parser("state", help="look at the recorded state, and edit it")
    state = group.add_subparsers(metavar="VERB", dest="state_verb", required=True, parser_class=Parser)

    parser = _verb(state, "list", "list what is recorded, with its status")
    parser.add_argument("patterns", metavar="ADDRESS", nargs="*", help="only these; * and ? stand for any characters")

    parser = _verb(state, "show", "show all that is recorded of one resource")
    parser.add_argument("address", metavar="ADDRESS")

    parser = _edit(state, "mv", "give a recorded resource another address; changes nothing in the world")
    parser.add_argument("source", metavar="FROM")
    parser.add_argument("target", metavar="TO")

    parser = _edit(state, "rm", "forget recorded resources; what they stand for stays as it is")
    parser.add_argument(
        "patterns", metavar="ADDRESS", nargs="+", help="what to forget; * and ? stand for any characters"
    )

    parser = _edit(state, "taint", "mark a resource as not to be relied on: the next apply does it again")
    parser.add_argument("address", metavar="ADDRESS")

    parser = _edit(state, "untaint", "take that mark away")
    parser.add_argument("address", metavar="ADDRESS")

    _verb(state, "pull", "write the state's document to stdout")

    parser = _edit(state, "push", "put a state's document in the place of the recorded one")
    parser.add_argument("file", metavar="FILE", help="what state pull wrote, and you have edited")
    parser.add_argument(
        "--force", action="store_true", help="also one of another lineage, or an older one; needs --reason"
    )

    _verb(state, "history", "list the edits of this state, oldest first")
