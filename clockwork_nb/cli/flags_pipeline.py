"""Flags of ``plan, build, apply, verify, destroy, validate, show, graph, output``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import (
    add_apply,
    add_budgets,
    add_drift,
    add_environment,
    add_lock,
    add_plan,
    add_quorum,
    add_section,
    add_variables,
)

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.pipeline"


def _verb(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=_MODULE, run=name)
    parser.add_argument("-C", dest="root", metavar="DIR", default=".", help="the folder with the *.cw files")
    parser.add_argument("--workspace", metavar="NAME", default="", help="a second workspace of that folder")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    parser = _verb(verbs, "plan", "show what would change, and why")
    add_plan(parser)
    parser.add_argument("--destroy", action="store_true", help="plan the removal of everything")
    parser.add_argument("--out", metavar="FILE", help="save the plan; apply FILE applies exactly this or refuses")
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit 2 when there are changes")
    parser.add_argument("--refresh-only", action="store_true", help="as the verb drift")

    parser = _verb(verbs, "drift", "show what was changed outside since the last apply; 14 when something was")
    add_drift(parser)

    parser = _verb(verbs, "import", "take an existing thing into the state, after asking; changes nothing else")
    parser.set_defaults(run="import_")
    parser.add_argument("address", metavar="ADDRESS", help="the resource it becomes, such as file.conf")
    parser.add_argument("id", metavar="ID", help="what names the thing: the path of a file or folder, …")
    parser.add_argument("--write", metavar="FILE", help="add the block to this .cw file when it is not declared yet")
    add_variables(parser, "set a variable")
    parser.add_argument("--var-file", metavar="FILE", action="append", default=[], help="read variables from a file")
    parser.add_argument("--auto-approve", action="store_true", help="record the approval as 'auto': no person approved")

    parser = _verb(verbs, "build", "write the scripts of the plan, run nothing")
    add_plan(parser)
    edits = parser.add_mutually_exclusive_group()
    edits.add_argument("--keep-edits", action="store_true", help="hand-edited scripts win over regenerated ones")
    edits.add_argument("--force", action="store_true", help="regenerated scripts win; your edits are kept aside")

    parser = _verb(verbs, "apply", "plan, ask, run the steps")
    add_apply(parser)
    add_lock(parser)
    add_budgets(parser)
    add_environment(parser)
    add_quorum(parser)
    parser.add_argument("plan_file", metavar="PLAN", nargs="?", help="a plan saved with plan --out")

    parser = _verb(verbs, "verify", "run only the checks")
    add_plan(parser)
    add_section(parser)
    add_lock(parser)

    parser = _verb(verbs, "destroy", "remove everything this configuration made, after asking")
    add_apply(parser)
    add_lock(parser)
    add_budgets(parser)
    add_environment(parser)
    add_quorum(parser)

    _verb(verbs, "validate", "read the .cw files and report every mistake")

    parser = _verb(verbs, "show", "show the recorded state, or a saved plan")
    parser.add_argument("file", metavar="PLAN", nargs="?", help="a plan saved with plan --out")

    parser = _verb(verbs, "graph", "print the dependency graph of the plan")
    add_plan(parser)
    parser.add_argument("--format", choices=["text", "dot", "svg", "json"], default="text")
    parser.add_argument("-o", dest="out", metavar="FILE", default="", help="write it to a file")

    parser = _verb(verbs, "output", "print the outputs of the last apply")
    parser.add_argument("name", metavar="NAME", nargs="?", help="only this one, as plain text")
