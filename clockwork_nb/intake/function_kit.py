"""What a function of the language is: its parameters, what it does with marks, and its errors.

The modules ``functions_*`` fill tables of them; `clockwork_nb.intake.functions` is the whole table. Functions take and
return bare values: the evaluator takes `Unknown` and `Sensitive` off before and puts them on after. Only a
``structural`` function sees them, inside the collections it is given, and must pass them on untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

from clockwork_nb.intake.operators import ConversionError, article, kind_of, to_bool, to_number, to_text
from clockwork_nb.intake.values import SetValue

__all__ = ["Ambient", "Context", "Function", "FunctionError", "Table"]


class FunctionError(Exception):
    """What a function cannot do. *argument* counts from 0; -1 means the call as a whole.

    ``shows_value`` says that the message may repeat a value.
    """

    def __init__(
        self, text: str, argument: int = -1, *, detail: str = "", code: str = "cw-evaluation", shows_value: bool = True
    ) -> None:
        super().__init__(text)
        self.argument = argument
        self.detail = detail
        self.code = code
        self.shows_value = shows_value


class Context(Protocol):
    """See `clockwork_nb.intake.expressions.EvaluationContext`."""

    @property
    def now(self) -> str: ...

    @property
    def free_port(self) -> Callable[[str], int] | None: ...

    @property
    def read_file(self) -> Callable[[str], bytes] | None: ...


class Ambient(Protocol):
    """What a function with ``ambient`` is given first."""

    @property
    def context(self) -> Context: ...

    @property
    def ports(self) -> dict[str, int]: ...

    volatile: bool


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise ConversionError(f"a list is needed, this is {article(kind_of(value))}")


def _map(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ConversionError(f"an object is needed, this is {article(kind_of(value))}")


def _whole(value: Any) -> int:
    found = to_number(value)
    if not isinstance(found, int):
        raise ConversionError("a whole number is needed, this has a fraction")
    return found


def _sequence(value: Any) -> list[Any]:
    if isinstance(value, SetValue):
        raise ConversionError("a list is needed, this is a set; use tolist(…)")
    return _list(value)


_CONVERSIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "text": to_text,
    "number": to_number,
    "whole": _whole,
    "bool": to_bool,
    "list": _list,
    "sequence": _sequence,
    "map": _map,
    "any": lambda value: value,
}


class Function(Struct, frozen=True):
    """One function.

    Attributes:
        name: how it is called.
        body: what it does; takes the converted arguments.
        parameters: kinds of the fixed parameters: text, number, whole, bool, list (or set), sequence (list only), map,
            any; with "?" null is taken too.
        rest: kind of any further arguments, or empty.
        optional: how many of the fixed parameters may be left out.
        structural: it only moves elements of collections around, so marks inside them stay where they are.
        ambient: its first argument is the `Ambient`.
    """

    name: str
    body: Callable[..., Any]
    parameters: tuple[str, ...] = ()
    rest: str = ""
    optional: int = 0
    structural: bool = False
    ambient: bool = False

    def check_count(self, count: int) -> None:
        """Raise `FunctionError` when the function does not take *count* arguments."""
        most = len(self.parameters)
        least = most - self.optional
        if count >= least and (self.rest or count <= most):
            return
        want = f"at least {least}" if self.rest else str(most) if least == most else f"{least} to {most}"
        noun = "argument" if want.endswith(" 1") or want == "1" else "arguments"
        raise FunctionError(f"takes {want} {noun}, here are {count}", shows_value=False)

    def convert(self, index: int, value: Any) -> Any:
        """Return argument *index* as the kind it must be, or raise `FunctionError`."""
        kind = self.parameters[index] if index < len(self.parameters) else self.rest
        if value is None and not kind.endswith("?"):
            raise FunctionError("null cannot be given here", index, shows_value=False)
        if value is None or kind.startswith("any"):
            return value
        try:
            return _CONVERSIONS[kind.rstrip("?")](value)
        except ConversionError as problem:
            raise FunctionError(str(problem), index, code=problem.code, shows_value=False) from None

    def apply(self, ambient: Ambient, arguments: list[Any]) -> Any:
        """Return the result for converted *arguments*."""
        return self.body(ambient, *arguments) if self.ambient else self.body(*arguments)


class Table(dict[str, Function]):
    """Functions by name, with a decorator that adds one: the Python name without a trailing ``_`` is its name."""

    def add(
        self,
        *parameters: str,
        rest: str = "",
        optional: int = 0,
        structural: bool = False,
        ambient: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return a decorator that puts a function into the table and leaves it as it is."""

        def register(body: Callable[..., Any]) -> Callable[..., Any]:
            name = body.__name__.rstrip("_")
            self[name] = Function(name, body, parameters, rest, optional, structural, ambient)
            return body

        return register
