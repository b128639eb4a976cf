"""The flags of every verb: one definition for the command line and the magics."""

from __future__ import annotations

import argparse
from typing import NoReturn

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session.options import PlanOptions

__all__ = ["Parser", "add_apply", "add_approval", "add_job", "add_plan", "add_section", "plan_options"]


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InvalidInputError` instead of leaving the process, and allows no short forms."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Report a wrong flag as our own error.

        Raises:
            InvalidInputError: always.
        """
        raise InvalidInputError(f"{self.prog}: {message}", hint=f"See {self.prog} --help")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 86400")
    return int(text)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add what decides a plan."""
    parser.add_argument("--var", metavar="NAME=VALUE", type=_pair, action="append", default=[], help="set a variable")
    parser.add_argument("--var-file", metavar="FILE", action="append", default=[], help="read variables from a file")
    parser.add_argument("--target", metavar="ADDRESS", action="append", default=[], help="only this and what it needs")
    parser.add_argument("--prune", action="store_true", help="also delete what belongs to cells or files not read")


def add_section(parser: argparse.ArgumentParser) -> None:
    """Add what decides how steps run."""
    parser.add_argument("--timeout-per-step", metavar="SECONDS", type=_positive, help="shorten every step's time limit")
    parser.add_argument("--parallelism", metavar="N", type=_positive, default=8, help="steps at once (default 8)")


def add_apply(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``apply`` and ``destroy``."""
    add_plan(parser)
    add_section(parser)
    parser.add_argument("--auto-approve", action="store_true", help="record the approval as 'auto': no person approved")
    edits = parser.add_mutually_exclusive_group()
    edits.add_argument("--keep-edits", action="store_true", help="hand-edited scripts win over regenerated ones")
    edits.add_argument("--force", action="store_true", help="regenerated scripts win; your edits are kept aside")


def add_job(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the job id."""
    parser.add_argument("job", metavar="JOB", nargs="?" if optional else None, default=None, help="the job's id")


def add_approval(parser: argparse.ArgumentParser) -> None:
    """Add who decides and why."""
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; it is recorded")


def plan_options(args: argparse.Namespace, *, destroy: bool = False) -> PlanOptions:
    """Return the plan options that parsed *args* ask for."""
    return PlanOptions(
        destroy=destroy,
        targets=tuple(args.target),
        prune=bool(args.prune),
        variables=tuple(args.var),
        var_files=tuple(args.var_file),
    )
