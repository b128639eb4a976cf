"""The flags of every verb: one definition for the command line and the magics."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, NoReturn

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session.options import PlanOptions

__all__ = ["Parser", "add_apply", "add_approval", "add_job", "add_plan", "add_section", "add_variables", "plan_options"]


_MOST_STEPS_AT_ONCE = 256


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InvalidInputError` instead of leaving the process, and allows no short forms.

    What is misspelt is told with the nearest word that there is.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Report a wrong flag as our own error.

        Raises:
            InvalidInputError: always.
        """
        raise InvalidInputError(f"{self.prog}: {message}", hint=f"See {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the parsed arguments; here, and not in the parser above it, a verb refuses what it does not know.

        Raises:
            InvalidInputError: something in *args* means nothing.
        """
        found, extra = super().parse_known_args(args, namespace)
        if extra:
            self._unknown(extra[0], self._option_string_actions if extra[0].startswith("-") else ())
        return found, extra

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse calls this for every word that must be one of several.
        if action.choices is not None and value not in action.choices:
            self._unknown(str(value), action.choices)

    def _unknown(self, word: str, known: Iterable[str]) -> NoReturn:
        from clockwork_nb.intake.names import nearest

        near = nearest(word, known)
        shown = word if len(word) <= 60 else f"{word[:60]}…"
        self.error(f"there is no {shown!r} here" + (f"; did you mean {near!r}?" if near else ""))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _seconds(text: str) -> int:
    return _whole(text, 86_400)


def _count(text: str) -> int:
    return _whole(text, _MOST_STEPS_AT_ONCE)


def _whole(text: str, most: int) -> int:
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1 to {most}")
    return int(text)


def add_variables(parser: argparse.ArgumentParser, text: str) -> None:
    """Add values for variables."""
    parser.add_argument("--var", metavar="NAME=VALUE", type=_pair, action="append", default=[], help=text)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add what decides a plan."""
    add_variables(parser, "set a variable")
    parser.add_argument("--var-file", metavar="FILE", action="append", default=[], help="read variables from a file")
    parser.add_argument("--target", metavar="ADDRESS", action="append", default=[], help="only this and what it needs")
    parser.add_argument("--prune", action="store_true", help="also delete what belongs to cells or files not read")


def add_section(parser: argparse.ArgumentParser) -> None:
    """Add what decides how steps run."""
    parser.add_argument("--timeout-per-step", metavar="SECONDS", type=_seconds, help="shorten every step's time limit")
    parser.add_argument("--parallelism", metavar="N", type=_count, default=8, help="steps at once (default 8)")


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
