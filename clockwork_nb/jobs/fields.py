"""Field types of the event table: each one checks a value quickly and can say the same as JSON Schema.

The values allowed in an event are the restricted profile of the log: no floats, integers that JSON keeps exactly,
text without U+0000 and without half surrogates, keys of the table only.
"""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from clockwork_nb.errors import InvalidInputError

__all__ = [
    "AMOUNT",
    "FLAG",
    "HEX",
    "MAX_INT",
    "STAMP",
    "Choice",
    "EventInvalidError",
    "FieldType",
    "Flag",
    "Int",
    "ListOf",
    "Optional",
    "Pattern",
    "Record",
    "Text",
    "clip",
]

MAX_INT: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 7493 §2.2)."""


class EventInvalidError(InvalidInputError):
    """An event does not have the form its type prescribes."""


class FieldType(Protocol):
    """What one field may hold."""

    def check(self, value: Any, where: str) -> None:
        """Return when *value* is allowed.

        Raises:
            EventInvalidError: E_INVALID_INPUT_SCHEMA, naming *where*.
        """
        ...

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the same rule (byte limits become character limits, which are wider)."""
        ...


class Optional:
    """A field whose key may be absent; null is never allowed."""

    __slots__ = ("of",)

    def __init__(self, of: FieldType) -> None:
        self.of = of


class Text:
    """Text of at most *limit* bytes in UTF-8; *empty* says whether it may have none."""

    __slots__ = ("empty", "limit")

    def __init__(self, limit: int = 4096, *, empty: bool = True) -> None:
        self.limit = limit
        self.empty = empty

    def check(self, value: Any, where: str) -> None:
        """See `FieldType.check`."""
        if type(value) is not str:
            raise EventInvalidError(f"{where} must be text, not {_kind(value)}")
        if not value and not self.empty:
            raise EventInvalidError(f"{where} must not be empty")
        if "\x00" in value:
            raise EventInvalidError(f"{where} holds U+0000")
        if value.isascii():
            size = len(value)
        else:
            try:
                size = len(value.encode())
            except UnicodeEncodeError:
                raise EventInvalidError(f"{where} holds half of a surrogate pair") from None
        if size > self.limit:
            raise EventInvalidError(f"{where} has {size} bytes, more than {self.limit}")

    def schema(self) -> dict[str, Any]:
        """See `FieldType.schema`."""
        out: dict[str, Any] = {"type": "string", "maxLength": self.limit, "pattern": "^[^\\u0000]*$"}
        return out if self.empty else {**out, "minLength": 1}


class Pattern:
    """Text that matches *regex* as a whole; *says* is for people."""

    __slots__ = ("_compiled", "regex", "says")

    def __init__(self, regex: str, says: str) -> None:
        self.regex = regex
        self.says = says
        self._compiled: re.Pattern[str] | None = None

    @property
    def compiled(self) -> re.Pattern[str]:
        """The regular expression, compiled when it is first asked for: a command that reads no event needs none."""
        if self._compiled is None:
            self._compiled = re.compile(self.regex)
        return self._compiled

    def check(self, value: Any, where: str) -> None:
        """See `FieldType.check`."""
        if type(value) is not str or (self._compiled or self.compiled).fullmatch(value) is None:
            raise EventInvalidError(f"{where} must be {self.says}")

    def schema(self) -> dict[str, Any]:
        """See `FieldType.schema`."""
        return {"type": "string", "pattern": f"^(?:{self.regex})$"}


class Int:
    """An integer from *low* to *high*, both included."""

    __slots__ = ("high", "low")

    def __init__(self, low: int = 0, high: int = MAX_INT) -> None:
        self.low = low
        self.high = high

    def check(self, value: Any, where: str) -> None:
        """See `FieldType.check`."""
        if type(value) is not int:
            raise EventInvalidError(f"{where} must be an integer, not {_kind(value)}")
        if not self.low <= value <= self.high:
            raise EventInvalidError(f"{where} must be from {self.low} to {self.high}")

    def schema(self) -> dict[str, Any]:
        """See `FieldType.schema`."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Flag:
    """True or false."""

    __slots__ = ()

    def check(self, value: Any, where: str) -> None:
        """See `FieldType.check`."""
        if value is not True and value is not False:
            raise EventInvalidError(f"{where} must be true or false, not {_kind(value)}")

    def schema(self) -> dict[str, Any]:
        """See `FieldType.schema`."""
        return {"type": "boolean"}


class Choice:
    """One of a closed list of words."""

    __slots__ = ("_set", "words")

    def __init__(self, *words: str) -> None:
        self.words = words
        self._set = frozenset(words)

    def check(self, value: Any, where: str) -> None:
        """See `FieldType.check`."""
        if type(value) is not str or value not in self._set:
            raise EventInvalidError(f"{where} must be one of {', '.join(self.words)}")

    def schema(self) -> dict[str, Any]:
        """See `FieldType.schema`."""
        return {"enum": list(self.words)}


class ListOf:
    """A list of at most *limit* values of one type."""

    __slots__ = ("limit", "of")

    def __init__(self, of: FieldType, limit: int = 1024) -> None:
        self.of = of
        self.limit = limit

    def check(self, value: Any, where: str) -> None:
        """See `FieldType.check`."""
        if type(value) is not list:
            raise EventInvalidError(f"{where} must be a list, not {_kind(value)}")
        if len(value) > self.limit:
            raise EventInvalidError(f"{where} has {len(value)} items, more than {self.limit}")
        for index, item in enumerate(value):
            self.of.check(item, f"{where}[{index}]")

    def schema(self) -> dict[str, Any]:
        """See `FieldType.schema`."""
        return {"type": "array", "items": self.of.schema(), "maxItems": self.limit}


class Record:
    """An object with exactly these keys."""

    __slots__ = ("fields", "required")

    def __init__(self, **fields: FieldType | Optional) -> None:
        # A trailing underscore lets a field have the name of a keyword (``from_`` is ``from``).
        named = {name.rstrip("_"): kind for name, kind in fields.items()}
        self.fields: dict[str, FieldType] = {n: k.of if isinstance(k, Optional) else k for n, k in named.items()}
        self.required: tuple[str, ...] = tuple(n for n, k in named.items() if not isinstance(k, Optional))

    def check(self, value: Any, where: str) -> None:
        """See `FieldType.check`."""
        if type(value) is not dict:
            raise EventInvalidError(f"{where} must be an object, not {_kind(value)}")
        fields = self.fields
        for name, item in value.items():
            kind = fields.get(name)
            if kind is None:
                raise EventInvalidError(f"{where} has the unknown key {name!r}")
            try:
                kind.check(item, name)
            except EventInvalidError:
                kind.check(item, f"{where}.{name}")  # says where; that text is made for nothing otherwise
        for name in self.required:
            if name not in value:
                raise EventInvalidError(f"{where} has no {name!r}")

    def schema(self) -> dict[str, Any]:
        """See `FieldType.schema`."""
        return {
            "type": "object",
            "properties": {name: kind.schema() for name, kind in self.fields.items()},
            "required": sorted(self.required),
            "additionalProperties": False,
        }


HEX: Final = Pattern("[0-9a-f]{64}", "a SHA-256 digest (64 lower-case hex digits)")
STAMP: Final = Pattern(
    "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{6}Z",
    "a time like 2026-11-22T01:02:03.000004Z",
)
AMOUNT: Final = Pattern("[0-9]{1,15}(?:\\.[0-9]{1,9})?", "a decimal number in text, like 12.5")
FLAG: Final = Flag()


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", int: "an integer", float: "a float", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")


_MARKER: Final = " … [cut]"


def clip(text: str, limit: int) -> str:
    """Return *text* in at most *limit* bytes of UTF-8, fit for an event; what was cut off is marked.

    U+0000 and half surrogates, which an event cannot hold, become U+FFFD.

    >>> clip("short", 20), clip("0123456789" * 3, 20)
    ('short', '0123456789 … [cut]')
    """
    clean = text.replace("\x00", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    data = clean.encode()
    if len(data) <= limit:
        return clean
    room = max(0, limit - len(_MARKER.encode()))
    return data[:room].decode(errors="ignore") + _MARKER
