"""What an evaluation is given, and how it reports a mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.diagnostics import Diagnostics
from clockwork_nb.intake.names import summary
from clockwork_nb.intake.nodes import Node, Origin
from clockwork_nb.secrets import Sensitive

__all__ = ["EvaluationContext", "EvaluationError", "Scope", "UpstreamFailed", "bare"]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class EvaluationContext(Struct, frozen=True):
    """What the edge lends to functions. Nothing ambient is used.

    Attributes:
        now: the time of the run, RFC 3339; the answer of ``timestamp()``.
        free_port: name → a free loopback port, the same for the same name. None where there is none to be had.
        read_file: project-relative path with ``/`` → its bytes. Raises FileNotFoundError when there is no such file,
            any `ClockworkError` or OSError when it may not or cannot be read. None where there are no files.
        facts: whether the container engine is of interest → the document of this machine's `EnvFacts`. None leaves what
            the machine decides open.
        recorded: address and config → the attributes that were found out by an apply, while the resource is as it was
            recorded; else nothing.
    """

    now: str = "1970-01-01T00:00:00Z"
    free_port: Callable[[str], int] | None = None
    read_file: Callable[[str], bytes] | None = None
    facts: Callable[[bool], Mapping[str, Any]] | None = None
    recorded: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] = lambda address, config: _NOTHING


class EvaluationError(Exception):
    """One mistake found while evaluating, with its place."""

    def __init__(
        self, text: str, node: Node, origin: Origin, *, note: str = "", detail: str = "", code: str = "cw-evaluation"
    ) -> None:
        super().__init__(text)
        self.summary = summary(text)
        self.place = origin.range(node)
        self.note = note
        self.detail = detail
        self.code = code

    def report(self, diagnostics: Diagnostics, address: str = "") -> None:
        """Add this mistake to *diagnostics*."""
        diagnostics.error(self.code, self.summary, self.place, detail=self.detail, note=self.note, address=address)


class UpstreamFailed(Exception):
    """A reference to something that has no value because of a mistake of its own."""


class Scope:
    """Where an expression stands: the names that ``for`` binds, and the text its offsets count in."""

    __slots__ = ("names", "origin")

    def __init__(self, origin: Origin, names: Mapping[str, Any] | None = None) -> None:
        self.origin = origin
        self.names: Mapping[str, Any] = names if names is not None else {}


def bare(value: Any) -> tuple[Any, bool]:
    """Return *value* without its own `Sensitive` mark, and whether it had one."""
    return (value.value, True) if isinstance(value, Sensitive) else (value, False)
