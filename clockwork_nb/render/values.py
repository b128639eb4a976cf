"""Values of a plan document as people read them, and what changed between two of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

from clockwork_nb.patterns import pattern
from clockwork_nb.render.text import clip_middle, columns_of, visible
from clockwork_nb.secrets import MASK

__all__ = ["ABSENT", "UNKNOWN", "changed_middle", "is_sealed", "value_text"]

UNKNOWN: Final = "(known after apply)"
ABSENT: Final = "(not set)"
_CONTEXT: Final = 10
_WORD: Final = 24
_TOKEN: Final = pattern(r"[\w.-]")


def is_sealed(value: Any) -> bool:
    """Return whether *value* is a sealed sensitive value of a plan document."""
    return isinstance(value, dict) and len(value) == 1 and "$sensitive" in value


def _is_unknown(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and "$unknown" in value


def _scalar(value: Any) -> str | None:
    if is_sealed(value):
        return MASK
    if _is_unknown(value):
        return UNKNOWN
    if isinstance(value, str):
        # Hidden characters first: json would write a line end and a lone escape in two different styles.
        body = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{visible(body)}"'
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (list, dict)):
        return None if value else ("[]" if isinstance(value, list) else "{}")
    return json.dumps(value)


def value_text(value: Any, columns: int | None = None) -> str:
    """Return *value* on one line, JSON-like, in at most *columns* columns; sealed and unknown values as words.

    Safe to show: hidden characters are escapes. Iterative, and it stops early once *columns* is far exceeded.

    >>> value_text({"port": 80, "key": {"$sensitive": "ab"}})
    '{port = 80, key = (sensitive)}'
    """
    scalar = _scalar(value)
    if scalar is not None:
        return scalar if columns is None else clip_middle(scalar, columns)
    out: list[str] = []
    size = 0
    stack: list[Any] = [value]
    limit = None if columns is None else columns * 8
    while stack:
        item = stack.pop()
        if isinstance(item, _Literal):
            text: str | None = item.text
        else:
            text = _scalar(item)
        if text is None:
            pieces = _pieces(item)
            stack.extend(reversed(pieces))
            continue
        out.append(text)
        size += len(text)
        if limit is not None and size > limit:
            out.append("…")
            break
    joined = "".join(out)
    return joined if columns is None else clip_middle(joined, columns)


class _Literal:
    """Punctuation among the values still to be written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _pieces(item: Any) -> list[Any]:
    pieces: list[Any] = []
    if isinstance(item, dict):
        pieces.append(_Literal("{"))
        for index, (key, value) in enumerate(item.items()):
            pieces += [_Literal(f"{', ' if index else ''}{visible(str(key))} = "), value]
        pieces.append(_Literal("}"))
    else:
        pieces.append(_Literal("["))
        for index, value in enumerate(item):
            if index:
                pieces.append(_Literal(", "))
            pieces.append(value)
        pieces.append(_Literal("]"))
    return pieces


def changed_middle(before: str, after: str, columns: int) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Return (lead, changed, trail) of *before* and of *after*: what differs, with a little of what is around it.

    The common start and end are cut to about ten characters with ``…``; the differing middle is widened to whole words
    and shortened in its own middle to fit *columns*. Concatenated, each triple reads as a clipped form of its text.
    """
    if before == after:
        both = ("", clip_middle(before, columns), "")
        return both, both
    shorter = min(len(before), len(after))
    start = _common(before, after, shorter)
    tail = _common_end(before, after, shorter - start)
    # Whole words read better than "808" → "909"; a very long word stays cut, or its change would be clipped away.
    first, last = max(0, start - _WORD), max(0, tail - _WORD)
    while start > first and _TOKEN.match(before[start - 1]) and _in_word(before, after, start, tail):
        start -= 1
    while tail > last and _TOKEN.match(before[len(before) - tail]) and _in_word(before, after, start, tail):
        tail -= 1
    lead_from = max(0, start - _CONTEXT)
    lead = ("…" if lead_from else "") + before[lead_from:start]
    trail = before[len(before) - tail :]
    trail = trail if len(trail) <= _CONTEXT else trail[:_CONTEXT] + "…"
    room = max(8, columns - columns_of(lead) - columns_of(trail))
    return (
        (lead, clip_middle(before[start : len(before) - tail], room), trail),
        (lead, clip_middle(after[start : len(after) - tail], room), trail),
    )


def _common(a: str, b: str, limit: int) -> int:
    # Halving keeps this at C speed: comparing slices, not characters.
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_end(a: str, b: str, limit: int) -> int:
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _in_word(before: str, after: str, start: int, tail: int) -> bool:
    """Return whether the changed middle of either text touches a word."""
    middles = (before[start : len(before) - tail], after[start : len(after) - tail])
    return any(m and (_TOKEN.match(m[0]) or _TOKEN.match(m[-1])) for m in middles)
