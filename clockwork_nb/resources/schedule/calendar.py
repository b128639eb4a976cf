"""When a schedule is due: the five fields of crontab(5), their names, and the same time in systemd's words. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from clockwork_nb.patterns import pattern
from clockwork_nb.resources.schedule.calendar_events import calendar_problem

__all__ = ["NICKNAMES", "calendar_problem", "cron_problem", "plain_cron", "to_calendar"]

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The names of crontab(5) for whole lines, and what they stand for. ``@reboot`` stands for no time."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = pattern(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?\Z", re.ASCII)


class _Field(Struct, frozen=True):
    name: str
    low: int
    high: int
    names: Sequence[str] = ()
    from_zero: bool = True


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS, from_zero=False),
    _Field("day of the week", 0, 7, _DAYS),
)


def plain_cron(text: str) -> str:
    """Return *text* with single spaces between its fields, names in lower case."""
    return " ".join(text.split()).lower()


def cron_problem(text: str) -> str:
    """Return why *text* (as `plain_cron` gives it) says no time, ``""`` when it does."""
    if text.startswith("@"):
        known = (*NICKNAMES, "@reboot")
        return "" if text in known else f"there is no {text[:40]}; the names are {', '.join(known)}"
    parts = text.split(" ")
    if len(parts) != 5:
        return (
            f"a time has five fields (minute, hour, day of the month, month, day of the week), and this has "
            f'{len(parts) if text else 0}: "30 3 * * 1-5" is 3:30 on working days'
        )
    values = []
    for field, part in zip(_FIELDS, parts, strict=True):
        found, problem = _values(field, part)
        if problem:
            return problem
        values.append(found)
    _, _, days, months, _ = values
    if parts[4] == "*" and all(day > _LONGEST[month - 1] for month in months for day in days):
        return "this never comes: none of these months has such a day"
    return ""


def _number(field: _Field, word: str) -> int | None:
    if word.isdigit() and len(word) <= 4:
        return int(word)
    short = word.lower()
    return field.names.index(short) + (0 if field.from_zero else 1) if short in field.names else None


def _values(field: _Field, text: str) -> tuple[list[int], str]:
    """Return the numbers that *text* stands for, and what is wrong with it."""
    out: set[int] = set()
    for part in text.split(","):
        at = f'the {field.name} "{part[:40]}"'
        found = _PART.match(part)
        if found is None:
            return [], f"{at} is no number, range (1-5), list (1,3) or step (*/15)"
        first, last = found["first"], found["last"]
        if first == "*":
            if last is not None:
                return [], f"{at} mixes a star and a range"
            low, high = field.low, field.high - (1 if field.high == 7 else 0)
        else:
            begin = _number(field, first)
            end = begin if last is None else _number(field, last)
            if begin is None or end is None:
                names = f" or a name ({field.names[0]} … {field.names[-1]})" if field.names else ""
                return [], f"{at} is no number from {field.low} to {field.high}{names}"
            if found["step"] is not None and last is None:
                return (
                    [],
                    f"{at} has a step without a range: write */{found['step']} or {begin}-{field.high}/{found['step']}",
                )
            low, high = begin, end
        if low < field.low or high > field.high:
            return [], f"{at} is not between {field.low} and {field.high}"
        if low > high:
            return [], f"{at} ends before it begins; write two ranges"
        step = int(found["step"] or 1)
        if not 1 <= step <= field.high:
            return [], f"{at} has a step that is not between 1 and {field.high}"
        out.update(range(low, high + 1, step))
    if field.high == 7:
        out = {value % 7 for value in out}
    return sorted(out), ""


def to_calendar(cron: str) -> tuple[str, ...]:
    """Return the calendar events of systemd that together mean *cron*, a time without problem and not ``@reboot``.

    Two when both a day of the month and a day of the week are given: for cron either is enough (crontab(5)).

    >>> to_calendar("*/15 9-17 * * 1-5")
    ('Mon,Tue,Wed,Thu,Fri *-*-* 9,10,11,12,13,14,15,16,17:0,15,30,45:00',)
    >>> to_calendar("0 0 1 * mon")
    ('*-*-1 0:0:00', 'Mon *-*-* 0:0:00')
    """
    minute, hour, day, month, weekday = NICKNAMES.get(cron, cron).split(" ")
    time = f"{_listed(1, hour)}:{_listed(0, minute)}:00"
    months = _listed(3, month)
    on_day = f"*-{months}-{_listed(2, day)} {time}"
    names = [_DAYS[n].title() for n in _values(_FIELDS[4], weekday)[0]]
    on_weekday = f"{','.join(names)} *-{months}-{{}} {time}"
    if weekday.startswith("*"):
        # Of a star with a step the days count, and cron wants both.
        return (on_day,) if weekday == "*" else (on_weekday.format(_listed(2, day)),)
    if day.startswith("*"):
        return (on_weekday.format(_listed(2, day)),)
    return (on_day, on_weekday.format("*"))


def _listed(index: int, text: str) -> str:
    return "*" if text == "*" else ",".join(str(n) for n in _values(_FIELDS[index], text)[0])
