"""Flags of ``runbook run`` and ``demo``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import Parser, add_budgets, add_environment

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.runbooks"


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    group = verbs.add_parser("runbook", help="run a notebook as a durable job")
    runbooks = group.add_subparsers(metavar="VERB", dest="runbook_verb", required=True, parser_class=Parser)
    text = "run a notebook headless; it stops with exit 4 at a decision"
    parser: argparse.ArgumentParser = runbooks.add_parser("run", help=text, description=text)
    parser.set_defaults(module=_MODULE, run="runbook_run")
    parser.add_argument("notebook", metavar="NOTEBOOK", help="the .ipynb file")
    parser.add_argument("-p", "--parameter", metavar="NAME=VALUE", action="append", default=[], help="a parameter")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")
    add_budgets(parser)
    add_environment(parser)
    parser.add_argument("--kernel", metavar="NAME", help="kernel to use (default: this Python)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    text = "run the quickstart from start to finish and verify its evidence"
    parser = verbs.add_parser("demo", help=text, description=text)
    parser.set_defaults(module=_MODULE, run="demo")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
