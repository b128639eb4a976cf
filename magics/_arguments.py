"""The options of the magics: those of the command line, split as a shell would, with errors of one line."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from clockwork_nb.arguments import Parser, add_apply, add_approval, add_drift, add_job, add_plan, add_section
from clockwork_nb.errors import InvalidInputError

__all__ = ["MAGICS", "option_names", "parse", "usage"]


class _MagicParser(Parser):
    """A parser whose errors end with the magic's usage."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInputError(f"{self.prog}: {message}", hint=" ".join(self.format_usage().split()))


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _plan(p: argparse.ArgumentParser) -> None:
    add_plan(p)
    p.add_argument("--destroy", action="store_true", help="plan the removal of everything")


def _build(p: argparse.ArgumentParser) -> None:
    _plan(p)
    edits = p.add_mutually_exclusive_group()
    edits.add_argument("--keep-edits", action="store_true", help="hand-edited scripts win over regenerated ones")
    edits.add_argument("--force", action="store_true", help="regenerated scripts win; your edits are kept aside")


def _apply(p: argparse.ArgumentParser) -> None:
    add_apply(p)
    p.add_argument("--plan", metavar="FILE", default="", help="apply exactly this saved plan, or refuse")


def _verify(p: argparse.ArgumentParser) -> None:
    add_plan(p)
    add_section(p)


def _cell(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", metavar="NAME", nargs="?", default="", help="how plans and errors call this cell")
    p.add_argument("--write", metavar="FILE", default="", help="also write the text to this .cw file")


def _optional_job(p: argparse.ArgumentParser) -> None:
    add_job(p, optional=True)


def _approve(p: argparse.ArgumentParser) -> None:
    add_job(p)
    p.add_argument("--plan", metavar="DIGEST", required=True, help="the plan's digest, 8 digits or more")
    add_approval(p)


def _reject(p: argparse.ArgumentParser) -> None:
    add_job(p)
    add_approval(p)


def _cancel(p: argparse.ArgumentParser) -> None:
    add_job(p)
    p.add_argument("--reason", metavar="TEXT", default="", help="why; it is recorded")


def _resume(p: argparse.ArgumentParser) -> None:
    add_job(p, optional=True)
    p.add_argument("--rerun", metavar="STEP", action="append", default=[], help="run this interrupted step again")


def _pack(p: argparse.ArgumentParser) -> None:
    add_job(p, optional=True)
    p.add_argument("--unsigned", action="store_true", help="leave the signature out")


def _verify_pack(p: argparse.ArgumentParser) -> None:
    p.add_argument("target", metavar="PACK|JOB", help="a zip file, or a job id")


def _output(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", metavar="NAME", nargs="?", default="", help="only this one")


def _state(p: argparse.ArgumentParser) -> None:
    p.add_argument("address", metavar="ADDRESS", nargs="?", default="", help="all of this one; * and ? make a list")


def _var(p: argparse.ArgumentParser) -> None:
    p.add_argument("assignments", metavar="NAME=VALUE", nargs="*", type=_assignment, help="nothing: list them all")


def _load(p: argparse.ArgumentParser) -> None:
    p.add_argument("path", metavar="PATH", help="a .cw file, or a folder of them")


def _workspace(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", metavar="NAME", nargs="?", default="", help="nothing: say which one is in use")


def _nothing(p: argparse.ArgumentParser) -> None:
    """Takes no argument."""


MAGICS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "cw": _cell,
    "cw_plan": _plan,
    "cw_drift": add_drift,
    "cw_build": _build,
    "cw_apply": _apply,
    "cw_verify": _verify,
    "cw_destroy": add_apply,
    "cw_output": _output,
    "cw_graph": _plan,
    "cw_state": _state,
    "cw_var": _var,
    "cw_load": _load,
    "cw_workspace": _workspace,
    "cw_jobs": _nothing,
    "cw_status": _optional_job,
    "cw_approve": _approve,
    "cw_reject": _reject,
    "cw_cancel": _cancel,
    "cw_resume": _resume,
    "cw_pack": _pack,
    "cw_verify_pack": _verify_pack,
}
"""Every magic and what adds its arguments."""


@cache
def _parser(magic: str) -> _MagicParser:
    parser = _MagicParser(prog=("%%" if magic == "cw" else "%") + magic, add_help=False)
    MAGICS[magic](parser)
    return parser


def option_names(magic: str) -> tuple[str, ...]:
    """Return the options of *magic*, sorted; empty for a name that is no magic of ours."""
    if magic not in MAGICS:
        return ()
    return tuple(sorted(s for action in _parser(magic)._actions for s in action.option_strings))


def usage(magic: str) -> str:
    """Return the help text of *magic*: usage, arguments, options."""
    return _parser(magic).format_help()


def parse(magic: str, line: str) -> Any:
    """Return the arguments in *line* as a namespace. Quotes work as in a shell; ``$`` and ``{}`` are plain text.

    Raises:
        InvalidInputError: an unknown option, a missing or bad value, or an unclosed quote.
    """
    parser = _parser(magic)
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InvalidInputError(f"{parser.prog}: {str(error).lower()}", hint="Close the quote.") from error
    return parser.parse_args(words)
