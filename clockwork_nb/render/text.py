"""Text that people read in a terminal: made safe, measured in columns, shortened, and coloured when asked.

Everything an author, a script or a pack has written goes through `visible` before it is shown: control characters,
escape sequences, bidirectional overrides and invisible characters become printable escapes, so that what is on the
screen is what is in the file (Unicode Technical Report 36 §3.1, the "Trojan Source" attacks).
"""

from __future__ import annotations

import unicodedata
from typing import Final

from clockwork_nb.patterns import pattern

__all__ = [
    "Paint",
    "as_column",
    "clip",
    "clip_middle",
    "columns_of",
    "duration",
    "folded",
    "pad",
    "plural",
    "short_digest",
    "sized",
    "visible",
]

# Not "Cn": which code points are unassigned depends on the Python that renders.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_PLAIN: Final = pattern(r"[ -~]*")


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def visible(text: str, *, keep: str = "") -> str:
    r"""Return *text* with every character that does not show as itself written as an escape; *keep* lists exceptions.

    >>> visible("a\x1b[31m\u202eb"), visible("a\nb", keep="\n") == "a\nb"
    ('a\\x1b[31m\\u202eb', True)
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _HIDDEN and c not in keep else c for c in text)


def _column_width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def columns_of(text: str) -> int:
    """Return how many terminal columns *text* takes: 2 for East Asian wide characters (UAX 11), 0 for combining ones."""
    return len(text) if text.isascii() else sum(_column_width(c) for c in text)


def pad(text: str, columns: int) -> str:
    """Return *text* with spaces up to *columns*; a longer text comes back as it is."""
    return text + " " * max(0, columns - columns_of(text))


def as_column(text: str, columns: int) -> str:
    """Return *text* aligned to the right in *columns*."""
    return " " * max(0, columns - columns_of(text)) + text


def clip(text: str, columns: int) -> str:
    """Return *text* in at most *columns* columns, the end replaced by ``…`` where it is longer."""
    if columns_of(text) <= columns:
        return text
    kept, used = [], 1
    for character in text:
        used += _column_width(character)
        if used > columns:
            break
        kept.append(character)
    return "".join(kept) + "…"


def clip_middle(text: str, columns: int) -> str:
    """Return *text* in at most *columns* columns, its middle replaced by ``…`` where it is longer."""
    if columns_of(text) <= columns:
        return text
    head = clip(text, (columns + 1) // 2 + 1)[:-1]
    tail: list[str] = []
    room = columns - 1 - columns_of(head)
    for character in reversed(text):
        room -= _column_width(character)
        if room < 0:
            break
        tail.append(character)
    return head + "…" + "".join(reversed(tail))


def folded(text: str, columns: int) -> list[str]:
    """Return *text* as lines of at most *columns* columns, broken at blanks; a longer word has a line of its own.

    >>> folded("a file of the project", 10)
    ['a file of', 'the', 'project']
    """
    lines: list[str] = []
    used = 0
    for word in text.split(" "):
        wide = columns_of(word)
        if lines and used + 1 + wide <= columns:
            lines[-1] += f" {word}"
            used += 1 + wide
        else:
            lines.append(word)
            used = wide
    return lines


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return the count and its noun.

    >>> plural(1, "step"), plural(2, "step"), plural(2, "entry", "entries")
    ('1 step', '2 steps', '2 entries')
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def duration(milliseconds: int) -> str:
    """Return a duration as people read it.

    >>> [duration(n) for n in (3, 950, 2_140, 71_000, 3_900_000)]
    ['3 ms', '950 ms', '2.1 s', '1:11 min', '1:05 h']
    """
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds // 100 / 10:.1f} s"
    seconds = milliseconds // 1_000
    if seconds < 3_600:
        return f"{seconds // 60}:{seconds % 60:02d} min"
    return f"{seconds // 3_600}:{seconds % 3_600 // 60:02d} h"


def sized(count: int) -> str:
    """Return a size in bytes as people read it, in units of 1,024.

    >>> sized(12), sized(2_048), sized(3_500_000)
    ('12 B', '2.0 KiB', '3.3 MiB')
    """
    if count < 1_024:
        return f"{count} B"
    if count < 1_048_576:
        return f"{count / 1_024:.1f} KiB"
    return f"{count / 1_048_576:.1f} MiB"


def short_digest(digest: str) -> str:
    """Return the eight characters of *digest* that people compare."""
    return visible(digest.removeprefix("sha256:")[:8])


class Paint:
    """Colours for a terminal; with ``color=False`` every method returns its text unchanged (ECMA-48 SGR)."""

    __slots__ = ("color",)

    def __init__(self, color: bool) -> None:
        self.color = color

    def _sgr(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and text else text

    def bold(self, text: str) -> str:
        """Return *text* in bold."""
        return self._sgr("1", text)

    def dim(self, text: str) -> str:
        """Return *text* dimmed."""
        return self._sgr("2", text)

    def good(self, text: str) -> str:
        """Return *text* in green."""
        return self._sgr("32", text)

    def warn(self, text: str) -> str:
        """Return *text* in yellow."""
        return self._sgr("33", text)

    def bad(self, text: str) -> str:
        """Return *text* in red."""
        return self._sgr("31", text)

    def info(self, text: str) -> str:
        """Return *text* in blue."""
        return self._sgr("34", text)

    def other(self, text: str) -> str:
        """Return *text* in magenta."""
        return self._sgr("35", text)
