"""Verbs of a command line, each with flags that are made when it is named: a command needs those of one in sixty."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeAlias

from clockwork_nb.arguments import Parser

__all__ = ["Flags", "Verbs", "add_json", "add_place", "verbs_of"]

Flags: TypeAlias = Callable[[Parser], None]
"""Adds some flags to the parser of a verb."""


class Verbs(argparse._SubParsersAction):  # type: ignore[type-arg] # generic for type checkers alone
    """The verbs of one parser. Help and mistakes know all of them, only the named one gets a parser."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._texts: dict[str, str] = {}
        self._makers: dict[str, Callable[[], None]] = {}
        self.choices = self._texts

    def add(
        self, name: str, text: str, *flags: Flags, module: str, run: str = "", description: str | None = None
    ) -> None:
        """Add the verb *name*: function *run* (default: *name*) of *module* carries it out.

        Args:
            text: one line for the list of verbs.
            flags: add its flags, in the order that its help has.
            description: the first line of its help; by default *text* as a sentence.
        """

        def make() -> None:
            said = text[:1].upper() + text[1:] + "." if description is None else description
            parser: Parser = self.add_parser(name, description=said)
            parser.set_defaults(module=module, run=run or name)
            for add in flags:
                add(parser)

        self._texts[name] = text
        self._makers[name] = make

    def add_group(self, name: str, text: str, *fills: Callable[[Verbs], None]) -> None:
        """Add a verb that has verbs of its own, which *fills* add."""

        def make() -> None:
            verbs = verbs_of(self.add_parser(name), dest=f"{name}_verb")
            for fill in fills:
                fill(verbs)

        self._texts[name] = text
        self._makers[name] = make

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Make the parser of the verb that *values* begin with, and let it read the others (argparse calls this)."""
        if (make := self._makers.pop(values[0], None)) is not None:
            make()
        super().__call__(parser, namespace, values, option_string)

    def _get_subactions(self) -> list[argparse.Action]:
        # argparse asks for what help lists.
        return [argparse.Action([], name, metavar=name, help=text) for name, text in self._texts.items()]


def verbs_of(parser: Parser, dest: str = "verb") -> Verbs:
    """Return the verbs of *parser*, none so far; the name of the one that is given is kept as *dest*."""
    verbs = parser.add_subparsers(
        action=Verbs, metavar="VERB", dest=dest, required=True, parser_class=Parser, prog=parser.prog
    )
    assert isinstance(verbs, Verbs)
    return verbs


def add_json(parser: Parser) -> None:
    """Add the form of the output."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def add_place(parser: Parser) -> None:
    """Add where the configuration and its state are, and the form of the output."""
    parser.add_argument("-C", dest="root", metavar="DIR", default=".", help="the folder with the *.cw files")
    parser.add_argument("--workspace", metavar="NAME", default="", help="a second workspace of that folder")
    add_json(parser)
