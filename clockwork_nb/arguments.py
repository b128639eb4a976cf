"""The flags of every verb: one definition for the command line and the magics."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from clockwork_nb.errors import InvalidInputError

if TYPE_CHECKING:
    from clockwork_nb.session.options import PlanOptions

__all__ = [
    "Parser",
    "add_allowed",
    "add_apply",
    "add_approval",
    "add_budgets",
    "add_drift",
    "add_edits",
    "add_environment",
    "add_job",
    "add_lock",
    "add_plan",
    "add_quorum",
    "add_section",
    "add_targets",
    "add_variable_files",
    "add_variables",
    "budgets_of",
    "plan_options",
    "seconds",
]


_LATER = {
    "fmt": "format .cw files with any editor for HCL",
    "eval": "plan shows values",
    "init": "write a .cw file, or begin with clockwork demo or clockwork job init",
    "accept": "checks are part of a plan: clockwork verify",
    "report": "a page is in every pack; see clockwork jobpack inspect",
    "bridge": "there is no integration with trackers",
    "serve": "there is no HTTP interface",
    "daemon": "schedule clockwork runbook run with cron or systemd",
}
"""Verbs that are planned, and what there is instead."""

_MOST_STEPS_AT_ONCE = 256


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InvalidInputError` instead of leaving the process, and allows no short forms.

    What is misspelt is told with the nearest word that there is.
    """

    stray = ""
    """What else to say about a word that means nothing here."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("allow_abbrev", False)
        # argparse makes a formatter for every flag that is added, and asks the terminal for its width each time.
        kwargs.setdefault("formatter_class", partial(argparse.HelpFormatter, width=80))
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def format_help(self) -> str:
        """Return the help text, as wide as the terminal."""
        self.formatter_class = argparse.HelpFormatter
        return super().format_help()

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
            if action.dest == "verb" and value in _LATER:
                self.error(f"{value} is not built yet; {_LATER[value]}")
            self._unknown(str(value), action.choices)

    def _unknown(self, word: str, known: Iterable[str]) -> NoReturn:
        from clockwork_nb.intake.names import nearest

        near = nearest(word, known)
        shown = word if len(word) <= 60 else f"{word[:60]}…"
        told = f"there is no {shown!r} here" + (f"; did you mean {near!r}?" if near else "")
        raise InvalidInputError(f"{self.prog}: {told}", hint=f"{self.stray}\nSee {self.prog} --help".lstrip())


ALLOWED = ("terraform",)
"""What may be allowed to run while planning."""


class _Listed(argparse.Action):
    """Takes one or more words with commas between, each of *choices*, and may be given several times."""

    def __init__(self, *args: Any, choices: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.words = tuple(choices)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        given = [word.strip() for word in str(values).split(",") if word.strip()]
        for word in given:
            if word not in self.words:
                parser.error(f"argument {option_string}: {word[:60]!r} is not one of {', '.join(self.words)}")
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *given])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def seconds(text: str) -> int:
    """Return whole seconds, up to a day.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
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


def add_variable_files(parser: argparse.ArgumentParser) -> None:
    """Add files with values for variables."""
    parser.add_argument("--var-file", metavar="FILE", action="append", default=[], help="read variables from a file")


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add what decides a plan."""
    add_variables(parser, "set a variable")
    add_variable_files(parser)
    add_targets(parser)
    parser.add_argument("--replace", metavar="ADDRESS", action="append", default=[], help="make this anew")
    add_allowed(parser)
    parser.add_argument("--prune", action="store_true", help="also delete what belongs to cells or files not read")


def add_allowed(parser: argparse.ArgumentParser) -> None:
    """Add what may run while looking."""
    parser.add_argument(
        "--allow-data", metavar="KIND", action=_Listed, choices=ALLOWED, default=[],
        help="let this run while planning: " + ", ".join(ALLOWED),
    )  # fmt: skip


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Add what limits a plan to part of the resources."""
    parser.add_argument(
        "--target", metavar="ADDRESS", action="append", default=[], help="only this and what it needs; * and ? match"
    )
    parser.add_argument(
        "--exclude", metavar="ADDRESS", action="append", default=[], help="not this and what stands on it"
    )


def add_drift(parser: argparse.ArgumentParser) -> None:
    """Add what decides which drift is looked for."""
    add_variables(parser, "set a variable")
    add_variable_files(parser)
    add_targets(parser)
    add_allowed(parser)


def add_lock(parser: argparse.ArgumentParser) -> None:
    """Add how long to wait for whoever holds the workspace's state."""
    text = "wait so long for whoever holds the state"
    parser.add_argument("--lock-timeout", metavar="SECONDS", type=seconds, default=0, help=text)


def add_section(parser: argparse.ArgumentParser) -> None:
    """Add what decides how steps run."""
    from clockwork_nb.policy import TIERS

    parser.add_argument("--timeout-per-step", metavar="SECONDS", type=seconds, help="shorten every step's time limit")
    parser.add_argument("--parallelism", metavar="N", type=_count, default=8, help="steps at once (default 8)")
    parser.add_argument(
        "--confinement", choices=TIERS, default="", help="the weakest tier that steps may run under, or refuse"
    )


def add_apply(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``apply`` and ``destroy``."""
    add_plan(parser)
    add_section(parser)
    parser.add_argument("--auto-approve", action="store_true", help="record the approval as 'auto': no person approved")
    add_edits(parser)


def add_edits(parser: argparse.ArgumentParser) -> None:
    """Add which of a script's two authors wins: a person or the compiler."""
    edits = parser.add_mutually_exclusive_group()
    edits.add_argument("--keep-edits", action="store_true", help="hand-edited scripts win over regenerated ones")
    edits.add_argument("--force", action="store_true", help="regenerated scripts win; your edits are kept aside")


_BUDGET_WORDS = {
    "max_wall_time_seconds": ("SECONDS", "time the job runs, waiting left out"),
    "max_step_count": ("N", "steps"),
    "max_retries": ("N", "repeated attempts"),
    "max_tool_calls": ("N", "processes started"),
    "max_tokens": ("N", "tokens, as steps report them in CW_METER"),
    "max_estimated_cost": ("AMOUNT", "cost, as steps report it in CW_METER"),
}


def _amount(text: str) -> str:
    whole, _, rest = text.partition(".")
    if not whole.isdecimal() or len(whole) > 15 or not (rest == "" or (rest.isdecimal() and len(rest) <= 9)):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number above 0")
    if not whole.strip("0") and not rest.strip("0"):
        raise argparse.ArgumentTypeError("0 is no limit; leave it out to have none")
    return text.rstrip(".")


def add_budgets(parser: argparse.ArgumentParser, text: str = "limit") -> None:
    """Add the budgets of a job: one flag for each."""
    for name, (unit, words) in _BUDGET_WORDS.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, metavar=unit, type=_amount, help=f"{text}: {words}")


def add_environment(parser: argparse.ArgumentParser) -> None:
    """Add what a job depends on besides the operating system and Python."""
    parser.add_argument(
        "--env-rule", metavar="RULE", action="append", default=[],
        help="resume only where this is as it was: os, arch, python, packages, cwd, hostname, git, notebook, env:NAME, file:PATH, runtime:NAME",
    )  # fmt: skip


def budgets_of(args: argparse.Namespace) -> dict[str, str]:
    """Return the budgets that parsed *args* name: key of a job spec's ``budgets`` → decimal text."""
    return {name: value for name in _BUDGET_WORDS if (value := getattr(args, name)) is not None}


def add_quorum(parser: argparse.ArgumentParser) -> None:
    """Add how many persons must approve."""
    parser.add_argument(
        "--quorum", metavar="N", type=_quorum, default=1, help="so many different persons must approve (default 1)"
    )


def _quorum(text: str) -> int:
    from clockwork_nb.jobs.events import MAX_QUORUM

    return _whole(text, MAX_QUORUM)


def add_job(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the job id."""
    parser.add_argument(
        "job",
        metavar="JOB",
        nargs="?" if optional else None,
        default=None,
        help="the job's id, its last characters, or last",
    )


def add_approval(parser: argparse.ArgumentParser) -> None:
    """Add who decides and why."""
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; it is recorded")


def plan_options(args: argparse.Namespace, *, destroy: bool = False) -> PlanOptions:
    """Return the plan options that parsed *args* ask for."""
    from clockwork_nb.session.options import PlanOptions

    return PlanOptions(
        destroy=destroy,
        targets=tuple(getattr(args, "target", ())),
        excluded=tuple(getattr(args, "exclude", ())),
        replaced=tuple(getattr(args, "replace", ())),
        allow=tuple(sorted(set(getattr(args, "allow_data", ())))),
        prune=bool(getattr(args, "prune", False)),
        variables=tuple(args.var),
        var_files=tuple(args.var_file),
    )
