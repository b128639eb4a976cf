"""Calendar events as systemd.time(7) has them: ``[days] [date] [time] [zone]``, or a name. Pure.

Judged as systemd judges them, so that a mistyped one is found where it is written; all but the name of a time zone, which
only the machine knows. Whether it ever comes is not asked.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from msgspec import Struct

from clockwork_nb.patterns import pattern

__all__ = ["calendar_problem"]

_LETTERS = pattern(r"[A-Za-z0-9*.,:/~@_+ -]{1,200}\Z")
_ZONE = pattern(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*\Z|[+-]\d{2}(?:\d{2})?\Z", re.ASCII)
_PART = pattern(r"(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?(?:/(\d+(?:\.\d+)?))?\Z", re.ASCII)
_READ_AS_STRTOUL_DOES = pattern(r"@ *(?:\+|-(?=0+(?!\d)))?(?=\d)", re.ASCII)
_SINCE_1970 = pattern(r"@\d{1,11}\Z", re.ASCII)
_END: Final = 7_258_118_400  # the year 2200

_NAMES: Final = frozenset(
    {
        "minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly", "annually", "anually",
        "biannually", "bi-annually", "semiannually", "semi-annually",
    }
)  # fmt: skip
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_NUMBERS: Final = {name: n for n, day in enumerate(_DAYS) for name in (day, day[:3])}
_EXAMPLE: Final = 'a calendar event is text such as "Mon..Fri 03:30", "*-*-01 12:00" or "daily" (see systemd.time(7))'


class _Field(Struct, frozen=True):
    name: str
    low: int
    high: int
    fractions: bool = False


_YEAR = _Field("year", 1970, 2199)
_MONTH = _Field("month", 1, 12)
_DAY = _Field("day of the month", 1, 31)
_DAY_FROM_END = _Field("day from the end of the month", 1, 28)
_HOUR = _Field("hour", 0, 23)
_MINUTE = _Field("minute", 0, 59)
_SECOND = _Field("second", 0, 59, fractions=True)


def calendar_problem(text: str) -> str:
    """Return why *text* is no calendar event of systemd.time(7), ``""`` when it is one."""
    words = _READ_AS_STRTOUL_DOES.sub("@", text).split()  # systemd takes "@ 3" and "@+3"
    if not _LETTERS.match(text) or not words:
        return _EXAMPLE
    if len(words) > 1 and _is_zone(words[-1]):
        zone = words.pop()
        if text.rstrip().endswith(f"  {zone}") and (
            words[-1][0] == "@" or ":" in words[-1] or words[-1].lower() in _NAMES
        ):
            return f'one space stands before the time zone "{zone}"'
    if len(words) == 1 and words[0].lower() in _NAMES:
        return ""
    if words[0][0].isalpha():
        problem = _days_problem(words.pop(0))
        if problem or not words:
            return problem
    if ":" not in words[0]:
        problem = _date_problem(words[0])
        if problem or len(words) == 1:
            return problem
        if words.pop(0).startswith("@"):
            return f'"{words[0]}" cannot follow a time in seconds since 1970'
    if len(words) > 1:
        return f'"{words[1]}" is too much: days, a date, a time and a time zone follow each other, in this order'
    return _time_problem(words[0])


def _is_zone(word: str) -> bool:
    first = re.split(r"[,.-]", word.lower(), maxsplit=1)[0]
    return _ZONE.match(word) is not None and word.lower() not in _NAMES and first not in _DAY_NUMBERS


def _days_problem(word: str) -> str:
    # A comma at the end is fine.
    for item in word.removesuffix(",").split(","):
        names = re.split(r"\.\.|-", item)
        numbers = [_DAY_NUMBERS.get(name.lower()) for name in names]
        unknown = next((name for name, number in zip(names, numbers, strict=True) if number is None), None)
        if unknown is not None:
            return (
                f'there is no day "{unknown}"; days are Mon … Sun, a range is Mon..Fri, and names are daily, weekly …'
            )
        first, last = numbers[0], numbers[-1]
        if len(numbers) > 2 or first is None or last is None or first > last:
            return f'the days "{item}" are no range; one begins with the earlier day of the week, such as Mon..Fri'
    return ""


def _date_problem(word: str) -> str:
    if word.startswith("@"):
        known = _SINCE_1970.match(word) and int(word[1:]) < _END
        return "" if known else f'"{word}" is no time in seconds since 1970'
    parts = re.split(r"([-~])", word)
    if len(parts) not in (3, 5) or (len(parts) == 5 and parts[1] == "~"):
        return f'"{word}" is no date (2030-12-31, *-*-01, 12-24) and no time (03:30)'
    day = _DAY_FROM_END if parts[-2] == "~" else _DAY
    fields = (_YEAR, _MONTH, day)[-len(parts[::2]) :]
    problem = _first_problem(fields, parts[::2])
    return problem or (_list_from_end_problem(parts[-1]) if day is _DAY_FROM_END else "")


def _list_from_end_problem(text: str) -> str:
    """Return why the days *text* from the end of the month are no list: systemd takes three off the limit for each."""
    days = sorted({_first_last_repeat(match) for match in map(_PART.match, _items(text)) if match})
    limits = range(_DAY_FROM_END.high, -1, -3)
    if len(days) <= len(limits) and all(max(day[:2]) <= limit for day, limit in zip(days, limits, strict=False)):
        return ""
    return f'the list "{text}" is too long for systemd, which takes up to 28 as the first day, 25 as the second, 22 …'


def _first_last_repeat(part: re.Match[str]) -> tuple[int, int, int]:
    first, repeat = int(part[1]), int(part[3] or 0)
    last = int(part[2]) if part[2] else -1
    return first, last - (last - first) % (repeat or 1) if part[2] else last, repeat


def _time_problem(word: str) -> str:
    parts = word.split(":")
    if len(parts) not in (2, 3):
        return f'"{word}" is no time; one is 03:30 or 03:30:00'
    return _first_problem((_HOUR, _MINUTE, _SECOND), parts)


def _first_problem(fields: tuple[_Field, ...], parts: list[str]) -> str:
    found = (_part_problem(field, item) for field, text in zip(fields, parts, strict=False) for item in _items(text))
    return next((problem for problem in found if problem), "")


def _items(text: str) -> list[str]:
    return [] if text == "*" else text.split(",")


def _part_problem(field: _Field, text: str) -> str:
    """Return what is wrong with one number, range or repetition: ``5``, ``1..5``, ``0/15``, ``1..20/2``."""
    at = f'the {field.name} "{text}"'
    found = _PART.match(text)
    if found is None or ("." in text.replace("..", "") and not field.fractions):
        return f"{at} is no number, range (1..5), list (1,3) or repetition (0/15)"
    start, stop = (None if number is None else _number(field, number) for number in found.groups()[:2])
    repeat = None if found[3] is None else _exact(field, found[3])
    assert start is not None  # the pattern has it always
    if repeat == 0:
        return f"{at} is repeated after nothing"
    if stop is not None and stop < start:
        return f"{at} ends before it begins"
    if stop is not None:
        stop -= (stop - start) % (repeat or 1)  # where it really ends
        if field.fractions and repeat is None and stop == start:
            return f"{at} is no range; write {found[1]}"
    # systemd takes seconds in millionths; what is below the next whole second is still that second.
    high = field.high + (Decimal("0.999999") if field.fractions else 0)
    if not all(field.low <= number <= high for number in (start, start if stop is None else stop)):
        return f"{at} is not between {field.low} and {field.high}"
    if repeat is None or stop is not None:
        return ""
    further = start - repeat if field is _DAY_FROM_END else start + repeat
    return "" if field.low <= further <= high else f"{at} is repeated beyond {field.low} to {field.high}"


def _number(field: _Field, text: str) -> Decimal:
    number = _exact(field, text)
    if field is _YEAR and number < 100:
        number += 2000 if number < 70 else 1900
    return number


def _exact(field: _Field, text: str) -> Decimal:
    return Decimal(text).quantize(Decimal("0.000001"), ROUND_HALF_UP) if field.fractions else Decimal(text)
