"""Flags of ``runbook run`` and ``demo``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import add_budgets, add_environment
from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.runbooks"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    verbs.add_group("runbook", "run a notebook as a durable job", _runbook_verbs)
    text = "run the quickstart from start to finish and verify its evidence"
    verbs.add("demo", text, add_json, module=_MODULE, description=text)


def _runbook_verbs(verbs: Verbs) -> None:
    text = "run a notebook headless; it stops with exit 4 at a decision"
    flags = (_run, add_budgets, add_environment, _kernel, add_json)
    verbs.add("run", text, *flags, module=_MODULE, run="runbook_run", description=text)


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebook", metavar="NOTEBOOK", help="the .ipynb file")
    parser.add_argument("-p", "--parameter", metavar="NAME=VALUE", action="append", default=[], help="a parameter")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")


def _kernel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kernel", metavar="NAME", help="kernel to use (default: this Python)")
