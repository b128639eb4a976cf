"""The ``clockwork`` command: parse, call one verb, leave with the exit status of contracts.md."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clockwork_nb import __version__
from clockwork_nb.errors import ClockworkError, InterruptedByUserError

if TYPE_CHECKING:
    import argparse

    from clockwork_nb.arguments import Parser

__all__ = ["entry", "main"]

_GROUPS = ("pipeline", "jobs", "packs", "runbooks", "machine")


class Terminated(BaseException):
    """SIGTERM arrived; the verb unwinds as it does for Ctrl-C."""


def build_parser() -> Parser:
    """Return the parser with every verb; each verb names its module and is imported when it runs."""
    from clockwork_nb.arguments import Parser

    parser = Parser(
        prog="clockwork",
        description="A notebook becomes a runbook you can trust.",
        epilog="Exit status: 0 done, 4 waits for approval, 5 a check failed, 6 bad input; the whole table is in the README.",
    )
    parser.add_argument("--version", action="version", version=f"clockwork {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=Parser)
    for group in _GROUPS:
        importlib.import_module(f"clockwork_nb.cli.flags_{group}").add(verbs)
    return parser


def entry() -> None:
    """Run the command line of this process and exit."""

    # SIGTERM unwinds like Ctrl-C, so that leases are given back and trees are killed; the status tells them apart.
    def on_term(_number: int, _frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, on_term)
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command line and return its exit status. stdout is data, stderr is for people."""
    from clockwork_nb.cli.output import Output

    out = Output(json="--json" in argv)
    try:
        args: argparse.Namespace = build_parser().parse_args(list(argv))
        status: int = importlib.import_module(args.module).__dict__[args.run](args, out)
        sys.stdout.flush()
        return status
    except ClockworkError as error:
        out.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        out.error(InterruptedByUserError("stopped", hint="What was finished is saved: clockwork job list"))
        return 130
    except Terminated:
        out.error(InterruptedByUserError("terminated", hint="What was finished is saved: clockwork job list"))
        return 143
    except BrokenPipeError:
        # The reader of a pipe went away (`clockwork show | head`): nothing to tell anybody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
