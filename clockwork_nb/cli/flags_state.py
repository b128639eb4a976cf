"""Flags of ``state list|show|mv|rm|taint|untaint|pull|push|history``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import add_lock
from clockwork_nb.cli.verbs import add_place

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Flags, Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.state"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    verbs.add_group("state", "look at the recorded state, and edit it", _state_verbs)


def _state_verbs(verbs: Verbs) -> None:
    def view(name: str, text: str, *flags: Flags) -> None:
        verbs.add(name, text, add_place, *flags, module=_MODULE, run=f"state_{name}")

    def edit(name: str, text: str, *flags: Flags) -> None:
        view(name, text, _edit, *flags)

    view("list", "list what is recorded, with its status", _list)
    view("show", "show all that is recorded of one resource", _one)
    edit("mv", "give a recorded resource another address; changes nothing in the world", _mv)
    edit("rm", "forget recorded resources; what they stand for stays as it is", _rm)
    edit("taint", "mark a resource as not to be relied on: the next apply does it again", _one)
    edit("untaint", "take that mark away", _one)
    view("pull", "write the state's document to stdout")
    edit("push", "put a state's document in the place of the recorded one", _push)
    view("history", "list the edits of this state, oldest first")


def _edit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--auto-approve", action="store_true", help="do not ask; the history says that nobody was asked"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")
    add_lock(parser)


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="ADDRESS")


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("patterns", metavar="ADDRESS", nargs="*", help="only these; * and ? stand for any characters")


def _mv(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FROM")
    parser.add_argument("target", metavar="TO")


def _rm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "patterns", metavar="ADDRESS", nargs="+", help="what to forget; * and ? stand for any characters"
    )


def _push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="what state pull wrote, and you have edited")
    parser.add_argument(
        "--force", action="store_true", help="also one of another lineage, or an older one; needs --reason"
    )
