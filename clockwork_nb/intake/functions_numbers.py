"""Functions on numbers, conversions, time and networks (Terraform's results)."""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

from clockwork_nb.intake.function_kit import FunctionError, Table
from clockwork_nb.intake.operators import kind_of, normal, to_bool, to_number, to_text
from clockwork_nb.patterns import pattern

__all__ = ["NUMBER_FUNCTIONS"]

NUMBER_FUNCTIONS: Final = Table()
_add = NUMBER_FUNCTIONS.add


@_add("number", rest="number")
def min_(*numbers: Any) -> Any:
    return min(numbers)


@_add("number", rest="number")
def max_(*numbers: Any) -> Any:
    return max(numbers)


@_add("number")
def ceil(number: Any) -> Any:
    return math.ceil(number)


@_add("number")
def floor(number: Any) -> Any:
    return math.floor(number)


@_add("number")
def abs_(number: Any) -> Any:
    return abs(number)


@_add("number")
def signum(number: Any) -> int:
    return int(number > 0) - int(number < 0)


def _from_float(value: float) -> Any:
    if not math.isfinite(value):
        raise FunctionError("the result is no finite number")
    return normal(Decimal(repr(value)))


@_add("number", "number")
def pow_(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and exponent * base.bit_length() > 8_000:
            raise FunctionError("the result has more than 1,000 digits", code="cw-limit")
        return normal(base**exponent)
    try:
        result = float(base) ** float(exponent)
    except (OverflowError, ZeroDivisionError):
        raise FunctionError("the result is no finite number") from None
    if isinstance(result, complex):
        raise FunctionError("the result is no real number")
    return _from_float(result)


@_add("number", "number")
def log(number: Any, base: Any) -> Any:
    if number <= 0 or base <= 0 or base == 1:
        raise FunctionError("a logarithm needs a positive number and a positive base other than 1")
    exact = round(math.log(number) / math.log(base), 12)
    return _from_float(exact if exact.is_integer() else math.log(number) / math.log(base))


@_add("any", "whole")
def parseint(text: Any, base: int) -> int:
    if not 2 <= base <= 36:
        raise FunctionError("a base is between 2 and 36", 1)
    word = to_text(text)
    if len(word) > 1_000 or not re.fullmatch(r"[+-]?[0-9A-Za-z]+", word):
        raise FunctionError(f"this is no whole number in base {base}", 0)
    try:
        return int(word, base)
    except ValueError:
        raise FunctionError(f"this is no whole number in base {base}", 0) from None


@_add("any?")
def tostring(value: Any) -> str | None:
    return None if value is None else to_text(value)


@_add("any?")
def tonumber(value: Any) -> Any:
    return None if value is None else normal(to_number(value))


@_add("any?")
def tobool(value: Any) -> bool | None:
    return None if value is None else to_bool(value)


@_add("any?")
def type_(value: Any) -> str:
    return kind_of(value)


# --- time ---------------------------------------------------------------------------------------------------------

_TIME: Final = pattern(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))\Z", re.ASCII
)
_UNITS: Final[dict[str, Decimal | int]] = {
    "ns": Decimal("0.001"),
    "us": 1,
    "µs": 1,
    "ms": 1_000,
    "s": 10**6,
    "m": 60 * 10**6,
    "h": 3600 * 10**6,
}
_DURATION: Final = pattern(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_TOKENS: Final = pattern(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+|'")


def _moment(text: str, argument: int) -> datetime:
    found = _TIME.match(text)
    try:
        if found is None:
            raise ValueError(text)
        zone = UTC
        if found.group(8):
            minutes = int(found.group(9)) * 60 + int(found.group(10))
            zone = timezone(timedelta(minutes=-minutes if found.group(8) == "-" else minutes))
        year, month, day, hour, minute, second = (int(found.group(i)) for i in range(1, 7))
        micros = int((found.group(7) or "0").ljust(6, "0")[:6])
        return datetime(year, month, day, hour, minute, second, micros, zone)
    except ValueError:
        raise FunctionError('a time is written like "2026-11-22T10:30:00Z" (RFC 3339)', argument) from None


def _stamp(moment: datetime) -> str:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    return text + _offset(moment, colon=True)


def _offset(moment: datetime, *, colon: bool, zulu: bool = True) -> str:
    minutes = int((moment.utcoffset() or timedelta()).total_seconds()) // 60
    if not minutes and zulu:
        return "Z"
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}{':' if colon else ''}{abs(minutes) % 60:02d}"


@_add("text", "text")
def timeadd(moment: str, duration: str) -> str:
    sign = -1 if duration.startswith("-") else 1
    bare = duration.lstrip("+-")
    parts = _DURATION.findall(bare)
    if not parts or "".join(n + u for n, u in parts) != bare:
        raise FunctionError('a duration is written like "1h30m" or "-10s"', 1)
    micros = sum((Decimal(n) * _UNITS[u] for n, u in parts), Decimal(0))
    try:
        return _stamp(_moment(moment, 0) + timedelta(microseconds=sign * int(micros)))
    except OverflowError:
        raise FunctionError("the result lies outside the years 1 to 9999") from None


@_add("text", "text")
def timecmp(first: str, second: str) -> int:
    a, b = _moment(first, 0), _moment(second, 1)
    return (a > b) - (a < b)


_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _time_part(word: str, at: datetime) -> str | None:
    hour12 = at.hour % 12 or 12
    half = "AM" if at.hour < 12 else "PM"
    return {
        "YYYY": f"{at.year:04d}", "YY": f"{at.year % 100:02d}",
        "MMMM": _MONTHS[at.month - 1], "MMM": _MONTHS[at.month - 1][:3], "MM": f"{at.month:02d}", "M": str(at.month),
        "DD": f"{at.day:02d}", "D": str(at.day),
        "EEEE": _DAYS[at.weekday()], "EEE": _DAYS[at.weekday()][:3],
        "hh": f"{at.hour:02d}", "h": str(at.hour), "HH": f"{hour12:02d}", "H": str(hour12),
        "AA": half, "aa": half.lower(), "mm": f"{at.minute:02d}", "m": str(at.minute),
        "ss": f"{at.second:02d}", "s": str(at.second),
        "ZZZZZ": _offset(at, colon=True, zulu=False), "ZZZZ": _offset(at, colon=False, zulu=False),
        "ZZZ": "UTC" if not at.utcoffset() else _offset(at, colon=False), "Z": _offset(at, colon=True),
    }.get(word)  # fmt: skip


@_add("text", "text")
def formatdate(pattern: str, moment: str) -> str:
    at = _moment(moment, 1)
    out: list[str] = []
    for found in _TOKENS.finditer(pattern):
        word = found.group()
        if word == "'":
            raise FunctionError("a ' is never closed", 0)
        if word.startswith("'"):
            out.append(found.group(1).replace("''", "'"))
        elif found.group(2):
            part = _time_part(word, at)
            if part is None:
                raise FunctionError(f'"{word}" is no part of a time', 0, detail="Put plain words in single quotes.")
            out.append(part)
        else:
            out.append(word)
    return "".join(out)


# --- networks -----------------------------------------------------------------------------------------------------


def _network(text: str) -> Any:
    try:
        if "/" not in text:
            raise ValueError(text)
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise FunctionError('a network is written like "10.0.0.0/8"', 0) from None


def _subnet(network: Any, bits: int, number: int) -> Any:
    size = network.prefixlen + bits
    if bits < 0 or size > network.max_prefixlen:
        raise FunctionError(f"there is no room for {bits} more bits in {network}", 1)
    if not 0 <= number < 1 << bits:
        raise FunctionError(f"{bits} bits count from 0 to {(1 << bits) - 1}", 2)
    base = int(network.network_address) + (number << (network.max_prefixlen - size))
    return ipaddress.ip_network((base, size))


@_add("text", "whole")
def cidrhost(network: str, number: int) -> str:
    net = _network(network)
    size = net.num_addresses
    if not -size <= number < size:
        raise FunctionError(f"{network} has {size} addresses", 1)
    return str(net.network_address + (number % size))


@_add("text")
def cidrnetmask(network: str) -> str:
    net = _network(network)
    if net.version != 4:
        raise FunctionError("only IPv4 networks have a netmask", 0)
    return str(net.netmask)


@_add("text", "whole", "whole")
def cidrsubnet(network: str, bits: int, number: int) -> str:
    return str(_subnet(_network(network), bits, number))


@_add("text", rest="whole")
def cidrsubnets(network: str, *bits: int) -> list[str]:
    net = _network(network)
    out: list[str] = []
    at = int(net.network_address)
    end = at + net.num_addresses
    for index, more in enumerate(bits, 1):
        size = net.prefixlen + more
        if more < 1 or size > net.max_prefixlen:
            raise FunctionError(f"there is no room for {more} more bits in {net}", index)
        step = 1 << (net.max_prefixlen - size)
        at = -(-at // step) * step
        if at + step > end:
            raise FunctionError(f"{net} is full", index)
        out.append(str(ipaddress.ip_network((at, size))))
        at += step
    return out
