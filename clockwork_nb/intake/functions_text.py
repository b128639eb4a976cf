"""Functions on texts, with Terraform's results. Texts count in code points; ``strrev`` and ``substr`` keep marks that
combine with the character before them.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Any, Final

from clockwork_nb.intake.function_kit import FunctionError, Table
from clockwork_nb.intake.functions_encoding import json_text
from clockwork_nb.intake.limits import LIMITS
from clockwork_nb.intake.operators import ConversionError, Number, number_text, to_bool, to_number, to_text
from clockwork_nb.patterns import pattern

__all__ = ["TEXT_FUNCTIONS", "format_text"]

TEXT_FUNCTIONS: Final = Table()
_add = TEXT_FUNCTIONS.add

_VERB: Final = pattern(
    r"%(?:%|(?:\[(\d{1,3})\])?([-+ 0#]*)(\*|\d{1,6})?(?:\.(\d{1,6}))?(?:\[(\d{1,3})\])?(.))", re.DOTALL
)
_WORD: Final = pattern(r"\S+")


def _bounded(size: int) -> None:
    if size > LIMITS.text:
        raise FunctionError("this text grows too large", code="cw-limit", shows_value=False)


def characters(text: str) -> list[str]:
    """Return *text* as characters that people see: a base and what combines with it (a simple form of UAX #29)."""
    if text.isascii():
        return list(text)
    out: list[str] = []
    joined = False
    for char in text:
        combines = (
            unicodedata.category(char) in {"Mn", "Me", "Mc"}
            or char in "\u200d\ufe0f"
            or "\U0001f3fb" <= char <= "\U0001f3ff"
        )
        if out and (combines or joined):
            out[-1] += char
        else:
            out.append(char)
        joined = char == "\u200d"
    return out


def _digits(value: Number, precision: int) -> str:
    return format(Decimal(value), f".{precision}f")


def _exponent(value: Number, precision: int, letter: str) -> str:
    return format(float(value), f".{precision}{letter}")


def _verb_text(verb: str, flags: str, precision: str | None, value: Any, index: int) -> str:
    """Return *value* as *verb* asks, not padded yet."""
    try:
        if verb == "v":
            if isinstance(value, str) and "#" not in flags:
                text = value
            elif isinstance(value, (list, dict, str)) or value is None:
                text = json_text(value)
            else:
                text = to_text(value)
            return text if precision is None else text[: int(precision)]
        if verb == "s":
            text = to_text(value)
            return text if precision is None else text[: int(precision)]
        if verb == "q":
            return json_text(to_text(value), html=False)
        if verb == "t":
            return to_text(to_bool(value))
        number = to_number(value)
    except ConversionError as problem:
        raise FunctionError(f"%{verb}: {problem}", index) from None
    return _number_text(verb, flags, precision, number, index)


def _number_text(verb: str, flags: str, precision: str | None, number: Number, index: int) -> str:
    places = 6 if precision is None else int(precision)
    if verb in "dboxX":
        whole = int(number)
        if verb != "d" and whole != number:
            raise FunctionError(f"%{verb} needs a whole number", index)
        text = format(whole, verb)
        if "#" in flags and verb in "xX":
            text = re.sub(r"^(-?)", rf"\g<1>0{verb}", text)
    elif verb in "fF":
        text = _digits(number, places)
    elif verb in "eE":
        text = _exponent(number, places, verb)
    else:
        text = (
            number_text(number)
            if precision is None and 1e-5 < abs(float(number)) < 1e21
            else _exponent(number, 17 if precision is None else places, verb)
        )
        if precision is None and "e" in text.lower():
            text = repr(float(number))
    if "+" in flags and number >= 0:
        return "+" + text
    return " " + text if " " in flags and number >= 0 else text


def _padded(text: str, verb: str, flags: str, width: int) -> str:
    missing = width - len(text)
    if missing <= 0:
        return text
    _bounded(width)
    if "-" in flags:
        return text + " " * missing
    if "0" in flags and verb not in "sqvt":
        sign = text[0] if text[0] in "+- " else ""
        return sign + "0" * missing + text[len(sign) :]
    return ("0" if "0" in flags else " ") * missing + text


def format_text(pattern: str, values: tuple[Any, ...]) -> str:
    """Return *pattern* with its verbs replaced (Go's ``fmt``, the verbs that Terraform knows)."""
    out: list[str] = []
    position = size = 0
    upcoming = highest = 0
    for found in _VERB.finditer(pattern):
        before = pattern[position : found.start()]
        if "%" in before:
            raise FunctionError("a % is not followed by a verb", 0, detail="Write %% for a percent sign.")
        out.append(before)
        position = found.end()
        if found.group() == "%%":
            out.append("%")
            continue
        explicit, flags, width, precision, late, verb = found.groups()
        if verb not in "vsqtdboxXfFeEgG" or (explicit and late):
            raise FunctionError(f"{found.group()} is no verb", 0, detail="Verbs: %s %d %q %v %t %f %e %g %x %o %b %%.")
        if explicit or late:
            upcoming = int(explicit or late) - 1
        if width == "*":
            width = str(_star(values, upcoming))
            upcoming += 1
        if not 0 <= upcoming < len(values):
            raise FunctionError(f"{found.group()} has no argument", 0, detail=f"There are {len(values)} arguments.")
        text = _verb_text(verb, flags, precision, values[upcoming], upcoming + 1)
        text = _padded(text, verb, flags, int(width or 0))
        size += len(text)
        _bounded(size)
        out.append(text)
        upcoming += 1
        highest = max(highest, upcoming)
    rest = pattern[position:]
    if "%" in rest:
        raise FunctionError("a % is not followed by a verb", 0, detail="Write %% for a percent sign.")
    if highest < len(values):
        raise FunctionError("there are more arguments than verbs", highest + 1)
    return "".join(out) + rest


def _star(values: tuple[Any, ...], index: int) -> int:
    value = values[index] if index < len(values) else None
    if not isinstance(value, int) or not 0 <= value < 1_000_000:
        raise FunctionError('"*" needs a whole number as its argument', 0)
    return value


@_add("text", rest="any?")
def format_(pattern: str, *values: Any) -> str:
    return format_text(pattern, values)


@_add("text", rest="any?")
def formatlist(pattern: str, *values: Any) -> list[str]:
    lengths = {len(v) for v in values if isinstance(v, list)}
    if len(lengths) > 1:
        raise FunctionError("the lists have different lengths")
    count = lengths.pop() if lengths else 1
    if count * len(values) > LIMITS.elements:
        raise FunctionError("this list grows too large", code="cw-limit")
    return [format_text(pattern, tuple(v[i] if isinstance(v, list) else v for v in values)) for i in range(count)]


@_add("text", rest="list")
def join(separator: str, *lists: list[Any]) -> str:
    texts: list[str] = []
    for index, items in enumerate(lists, 1):
        for item in items:
            try:
                texts.append(to_text(item))
            except ConversionError as problem:
                raise FunctionError(f"an element cannot be joined: {problem}", index) from None
    _bounded(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


@_add("text", "text")
def split(separator: str, text: str) -> list[str]:
    if separator:
        return text.split(separator)
    return characters(text) or [""]


@_add("text", "text", "text")
def replace(text: str, old: str, new: str) -> str:
    if len(old) > 1 and old.startswith("/") and old.endswith("/"):
        raise FunctionError(
            "a pattern between slashes is not built yet",
            1,
            code="cw-not-built",
            detail="Give the plain text to replace.",
        )
    _bounded(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


@_add("text")
def lower(text: str) -> str:
    return text.lower()


@_add("text")
def upper(text: str) -> str:
    return text.upper()


@_add("text")
def title(text: str) -> str:
    return re.sub(r"(?<![\w'])[^\W\d_]", lambda m: m.group().title(), text)


@_add("text", "text")
def trim(text: str, characters_: str) -> str:
    return text.strip(characters_) if characters_ else text


@_add("text")
def trimspace(text: str) -> str:
    return text.strip()


@_add("text", "text")
def trimprefix(text: str, prefix: str) -> str:
    return text.removeprefix(prefix)


@_add("text", "text")
def trimsuffix(text: str, suffix: str) -> str:
    return text.removesuffix(suffix)


@_add("text", "whole", "whole")
def substr(text: str, offset: int, length: int) -> str:
    if length < -1:
        raise FunctionError("a length is -1 (the rest) or more", 2)
    parts = characters(text)
    start = max(0, offset + len(parts)) if offset < 0 else offset
    return "".join(parts[start:] if length == -1 else parts[start : start + length])


@_add("text", "text")
def startswith(text: str, prefix: str) -> bool:
    return text.startswith(prefix)


@_add("text", "text")
def endswith(text: str, suffix: str) -> bool:
    return text.endswith(suffix)


@_add("text", "text")
def strcontains(text: str, part: str) -> bool:
    return part in text


@_add("whole", "text")
def indent(spaces: int, text: str) -> str:
    if spaces < 0:
        raise FunctionError("an indentation is 0 or more", 0)
    _bounded(len(text) + spaces * text.count("\n"))
    return text.replace("\n", "\n" + " " * spaces)


@_add("text")
def chomp(text: str) -> str:
    return text.rstrip("\r\n")


@_add("text")
def strrev(text: str) -> str:
    return "".join(reversed(characters(text)))
