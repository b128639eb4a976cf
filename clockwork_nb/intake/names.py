"""Names in messages: the nearest known one, and names shortened so that a summary stays short."""

from __future__ import annotations

from collections.abc import Iterable

from clockwork_nb.diagnostics import SUMMARY_LIMIT

__all__ = ["did_you_mean", "nearest", "shown", "summary"]

_LONGEST = 40


def _distance(a: str, b: str, most: int) -> int:
    """Return the optimal string alignment distance of *a* and *b*, or *most* + 1 when it is larger."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y))
            if older and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the *known* name that *name* is most likely meant to be, or an empty text.

    A third of the characters may differ but not all, a swap of neighbours counts as one; the first in sorted order wins
    a draw.

    >>> nearest("imgae", ["image", "name"]), nearest("x", ["port"])
    ('image', '')
    """
    if len(name) > _LONGEST:
        return ""
    folded = name.casefold()
    best, best_distance = "", min(len(name) - 1, max(1, (len(name) + 1) // 3)) + 1
    for candidate in sorted(known):
        distance = _distance(folded, candidate.casefold(), best_distance - 1)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return best


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return ``did you mean "…"?``, the known name after *prefix*; empty when none is near."""
    found = nearest(name, known)
    return f'did you mean "{prefix}{found}"?' if found else ""


def shown(name: str) -> str:
    """Return *name* in quotes, its middle left out when it is long."""
    return f'"{name}"' if len(name) <= _LONGEST else f'"{name[:24]}…{name[-12:]}"'


def summary(text: str) -> str:
    """Return *text* cut to what a summary may have."""
    return text if len(text) <= SUMMARY_LIMIT else text[: SUMMARY_LIMIT - 1] + "…"
