"""Flags of ``plan, build, apply, verify, destroy, validate, show, graph, output``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import (
    add_apply,
    add_budgets,
    add_drift,
    add_edits,
    add_environment,
    add_lock,
    add_plan,
    add_quorum,
    add_section,
    add_variable_files,
    add_variables,
)
from clockwork_nb.cli.verbs import add_place

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Flags, Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.pipeline"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""

    def verb(name: str, text: str, *flags: Flags, run: str = "") -> None:
        verbs.add(name, text, add_place, *flags, module=_MODULE, run=run)

    run = (add_apply, add_lock, add_budgets, add_environment, add_quorum)
    verb("plan", "show what would change, and why", add_plan, _plan)
    verb("drift", "show what was changed outside since the last apply; 14 when something was", add_drift)
    verb("import", "take an existing thing into the state, after asking; changes nothing else", _import, run="import_")
    verb("build", "write the scripts of the plan, run nothing", add_plan, add_edits)
    verb("apply", "plan, ask, run the steps", *run, _apply)
    verb("verify", "run only the checks, also those that are commands; asks nobody", add_plan, add_section, add_lock)
    verb("destroy", "remove everything this configuration made, after asking", *run)
    verb("validate", "read the .cw files and report every mistake")
    verb("show", "show the recorded state, or a saved plan", _show)
    verb("graph", "print the dependency graph of the plan", add_plan, _graph)
    verb("output", "print the outputs of the last apply", _output)


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--destroy", action="store_true", help="plan the removal of everything")
    parser.add_argument("--out", metavar="FILE", help="save the plan; apply FILE applies exactly this or refuses")
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit 2 when there are changes")
    parser.add_argument("--refresh-only", action="store_true", help="as the verb drift")


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="ADDRESS", help="the resource it becomes, such as file.conf")
    parser.add_argument("id", metavar="ID", help="what names the thing: the path of a file or folder, …")
    parser.add_argument("--write", metavar="FILE", help="add the block to this .cw file when it is not declared yet")
    add_variables(parser, "set a variable")
    add_variable_files(parser)
    parser.add_argument("--auto-approve", action="store_true", help="record the approval as 'auto': no person approved")


def _apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan_file", metavar="PLAN", nargs="?", help="a plan saved with plan --out")


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="PLAN", nargs="?", help="a plan saved with plan --out")


def _graph(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=["text", "dot", "svg", "json"], default="text")
    parser.add_argument("-o", dest="out", metavar="FILE", default="", help="write it to a file")


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="only this one, as plain text")
