"""Values as Wrkr's Go programs write and read them: strict JSON, dates of RFC 3339, fields that may be left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, TypeVar

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs.fields import clip
from clockwork_nb.patterns import pattern

__all__ = ["MAX_DEPTH", "natural", "one_of", "parse_document", "stamp", "texts", "utc_stamp", "value"]

MAX_DEPTH: Final = 64

_T = TypeVar("_T")

# RFC 3339 as Go's encoding/json accepts it (time.Time.UnmarshalJSON, strict since Go 1.20): capital T and Z.
_STAMP: Final = pattern(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,40}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)


def utc_stamp(text: str) -> str:
    """Return a RFC 3339 date of any offset in UTC, nanoseconds kept, in the shortest form that Go prints.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: it is no such date, or not in the years 1 to 9999.

    >>> utc_stamp("2026-11-22T01:34:03.888041260+02:00"), utc_stamp("2026-11-21T23:34:03.000Z")
    ('2026-11-21T23:34:03.88804126Z', '2026-11-21T23:34:03Z')
    """
    match = _STAMP.fullmatch(text)
    if match is None:
        raise InvalidInputError(f"{text[:40]!r} is not a date of RFC 3339")
    day, fraction, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
        if sign:
            ahead = timedelta(hours=int(hours), minutes=int(minutes))
            moment = moment.replace(tzinfo=timezone(ahead if sign == "+" else -ahead)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInputError(f"{text[:40]!r} is not a date") from None
    digits = (fraction or "")[:9].rstrip("0")
    return moment.replace(tzinfo=None).isoformat() + (f".{digits}Z" if digits else "Z")


# A string, also one that does not end, or one bracket. The second alternative of the end keeps this linear.
_BRACKETS: Final = pattern(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)


def parse_document(data: bytes, what: str) -> Any:
    """Return the value of strict JSON that is at most `MAX_DEPTH` deep and has a canonical form.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: not JSON, not UTF-8, a key twice, too deep, a number that JSON does
            not keep exactly, half of a surrogate pair.
    """
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        depth = 0
        for match in _BRACKETS.finditer(data):
            first = match[0][:1]
            depth += (first in b"[{") - (first in b"]}")
            if depth > MAX_DEPTH:
                raise InvalidInputError(f"{what} is nested more than {MAX_DEPTH} deep")
    value = parse_json(data, what=what)
    canonical_json(value)
    return value


# Go's decoder gives a field that is absent or null its zero value, and refuses one of another type.

_NAMES: Final[Mapping[Any, str]] = {str: "text", int: "a whole number", dict: "an object", list: "a list"}


def value(payload: Mapping[str, Any], name: str, kind: Callable[[], _T]) -> _T:
    """Return the field *name*, the empty ``kind()`` when it is absent or null.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: it is of another type.
    """
    found: _T | None = payload.get(name)
    if found is None:
        return kind()
    if type(found) is not kind:
        raise InvalidInputError(f"{name} must be {_NAMES[kind]}")
    return found


def texts(payload: Mapping[str, Any], name: str) -> list[str]:
    """Return the field *name*, a list of texts.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: it is something else.
    """
    found: list[str] = value(payload, name, list)
    if not all(type(item) is str for item in found):
        raise InvalidInputError(f"{name} must be a list of texts")
    return found


def natural(payload: Mapping[str, Any], name: str) -> int:
    """Return the field *name*, a whole number from 0 on.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: it is something else.
    """
    found = value(payload, name, int)
    if found < 0:
        raise InvalidInputError(f"{name} must be from 0 on")
    return found


def one_of(payload: Mapping[str, Any], name: str, words: Collection[str]) -> str:
    """Return the field *name*, one of *words*.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: it is something else.
    """
    found = value(payload, name, str)
    if found not in words:
        raise InvalidInputError(f"{name} {clip(found, 80)!r} is none of {', '.join(words)}")
    return found


def stamp(payload: Mapping[str, Any], name: str) -> str:
    """Return the field *name*, a date, as `utc_stamp` does.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: it is something else.
    """
    try:
        return utc_stamp(value(payload, name, str))
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error.message}") from None
