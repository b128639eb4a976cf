"""The ``clockwork`` command: parse, call one verb, leave with the exit status of contracts.md."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clockwork_nb import __version__
from clockwork_nb.cli.signals import Terminated, catch_terminate
from clockwork_nb.errors import ClockworkError, InterruptedByUserError, InvalidInputError, TerminatedError
from clockwork_nb.notices import told_to

if TYPE_CHECKING:
    import argparse

    from clockwork_nb.arguments import Parser
    from clockwork_nb.cli.output import Output

__all__ = ["entry", "main"]

_GROUPS = {
    "pipeline": (
        "plan", "drift", "import", "build", "apply", "verify", "destroy", "validate", "show", "graph", "output",
    ),
    "state": ("state",), "jobs": ("job",), "approvals": ("approve", "reject"), "checkpoints": ("checkpoint",),
    "submit": ("wrap", "budget"), "packs": ("jobpack",), "keys": ("keys",), "runbooks": ("runbook", "demo"),
    "stores": ("store",), "machine": ("doctor",),
}  # fmt: skip
"""Module ``flags_…`` → the verbs it adds, in the order of the help."""
_SINGLE_HOST = "--i-know-single-host"
_SAVED = "What was finished is saved: clockwork job list"


def build_parser(verb: str = "") -> Parser:
    """Return the parser with every verb, or with those of one module of flags when *verb* is one of them.

    The flags of a verb are made when it is named, its module is imported when it runs.
    """
    from clockwork_nb.arguments import Parser
    from clockwork_nb.cli.verbs import verbs_of

    parser = Parser(
        prog="clockwork",
        description="A notebook becomes a runbook you can trust.",
        epilog="Exit status: 0 done, 4 waits for approval, 5 a check failed, 6 bad input; the whole table is in the README.",
    )
    parser.add_argument("--version", action="version", version=f"clockwork {__version__}")
    text = "no other machine uses the job store, whatever file system it is on; with any verb (also CW_SINGLE_HOST=1)"
    parser.add_argument(_SINGLE_HOST, action="store_true", help=text)
    verbs = verbs_of(parser)
    for group in [name for name, names in _GROUPS.items() if verb in names] or _GROUPS:
        importlib.import_module(f"clockwork_nb.cli.flags_{group}").add(verbs)
    return parser


def entry() -> None:
    """Run the command line of this process and exit."""
    # A plan of thousands of resources is as many objects that all live to its end: looking for garbage among them again
    # and again is a fifth of its time.
    gc.set_threshold(200_000, 20, 100)
    _load_msgspec()
    catch_terminate()
    _open_streams()
    try:
        status = main(sys.argv[1:])
    finally:
        gc.freeze()  # the interpreter looks for garbage once more at its end, when all of it goes anyway
    sys.exit(status)


def _load_msgspec() -> None:
    """Import msgspec without ``typing_extensions``, which costs 10 ms: it takes the standard library's names then."""
    if "typing_extensions" in sys.modules:
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment] # there is one thread yet: nobody else sees it
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules["typing_extensions"]


def _open_streams() -> None:
    """Make stdin, stdout and stderr usable whatever the caller closed, and able to print any text."""
    # Otherwise the next file that is opened, a log say, would get the free number and be written to by accident.
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # real files, not what tests put there


def main(argv: Sequence[str]) -> int:
    """Run one command line and return its exit status. stdout is data, stderr is for people."""
    from clockwork_nb.cli.output import Output

    # What follows -- belongs to a wrapped command, also when it looks like a flag of ours.
    ours = argv[: argv.index("--")] if "--" in argv else argv
    if _SINGLE_HOST in ours:
        os.environ["CW_SINGLE_HOST"] = "1"  # read where the settings are, here and in the processes we start
        argv = [word for word in ours if word != _SINGLE_HOST] + list(argv[len(ours) :])
    out = Output(json="--json" in ours)

    def warn(text: str) -> None:
        from clockwork_nb.render.text import visible

        out.note(f"note: {visible(text)}")

    try:
        with told_to(warn):
            status = _run(argv, out)
    except ClockworkError as error:
        out.error(error)
        return error.exit_code
    if out.lost and status == 0:
        out.error(ClockworkError(out.lost, hint="The command itself was carried out."))
        return ClockworkError.exit_code
    return status


def _run(argv: Sequence[str], out: Output) -> int:
    try:
        args: argparse.Namespace = build_parser(argv[0] if argv else "").parse_args(list(argv))
        if getattr(args, "confinement", ""):
            from clockwork_nb.policy import strongest

            # Read where the settings are, here and in the processes we start; a flag may only ask for more.
            os.environ["CW_CONFINEMENT"] = strongest(os.environ.get("CW_CONFINEMENT", ""), args.confinement)
        if isinstance(getattr(args, "job", None), str):
            from clockwork_nb.session.jobs import find_job

            args.job = find_job(args.job)
        status: int = importlib.import_module(args.module).__dict__[args.run](args, out)
    except KeyboardInterrupt:
        raise InterruptedByUserError("stopped", hint=_SAVED) from None
    except Terminated as stopped:
        # Whoever knew the job has noted the command that goes on with it.
        raise TerminatedError("terminated", hint="\n".join(getattr(stopped, "__notes__", [_SAVED]))) from None
    except OSError as error:
        raise _foreign(error) from error
    except ClockworkError:
        raise
    except Exception as error:
        import traceback

        traceback.print_exc()
        raise ClockworkError(
            f"this is a defect of clockwork: {type(error).__name__}: {error}",
            hint="Please report it with the lines above.",
        ) from error
    return status


def _foreign(error: OSError) -> ClockworkError:
    """Return our error for one of the operating system that no room of the house foresaw."""
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is not needed for anything else here
    except FileNotFoundError:
        return InvalidInputError("the current folder is not there any more", hint="Go to one that is: cd …")
    where = f"{error.filename}: " if error.filename else ""
    return ClockworkError(f"{where}{error.strerror or error}", hint="Check that file, its permissions and the disk.")
