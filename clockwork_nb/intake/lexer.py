"""Characters to tokens (HCL native syntax specification, "Lexical Elements").

The lexer is asked for one token at a time and keeps it in fields: the parser looks at ``word`` and ``kind``. Whether
line ends count depends on the brackets around, so the parser says so with ``skip_lines``.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.patterns import pattern

__all__ = [
    "END",
    "FIRST_LETTER",
    "HEREDOC",
    "KEYWORDS",
    "LINE",
    "NAME",
    "NUMBER",
    "OPERATOR",
    "QUOTE",
    "TEXT",
    "WORD_LETTER",
    "Lexer",
    "SyntaxFailure",
    "number",
]

NAME: Final = 1
TEXT: Final = 2
NUMBER: Final = 3
OPERATOR: Final = 4
QUOTE: Final = 5
HEREDOC: Final = 6
LINE: Final = 7
COMMENT: Final = 8
OPEN_COMMENT: Final = 9
END: Final = 10
OTHER: Final = 11

KEYWORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
"""Names that are values."""

# Identifiers may hold any letter; those beyond ASCII are checked with str.isidentifier when they occur. What is no part of
# one is listed, all of it ASCII: a range up to the last code point takes ten milliseconds to compile.
FIRST_LETTER: Final = r"[^\x00-@\[-^`{-\x7f]"
"""A class of A-Z, a-z, the underscore and everything beyond ASCII."""
WORD_LETTER: Final = r"[^\x00-,./:-@\[-^`{-\x7f]"
"""The same with digits and the dash."""
# A name with its attributes (a.b.c) is one token: it is the most frequent expression.
_WORD = FIRST_LETTER + WORD_LETTER + "*"

_TOKEN = pattern(
    rf"""[ \t]*(?:
      ({_WORD}(?:\.{_WORD})*)
    | ("[^"\\\r\n$%]*(?:[$%](?!\{{)[^"\\\r\n$%]*)*")
    | ([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    | (\.\.\.|=>|==|!=|<=|>=|&&|\|\||::|~\}}|[-+*%!>=?:,.()\[\]{{}}]|/(?![/*])|<(?!<))
    | (")
    | (<<-?)
    | (\r?\n)
    | (\#[^\n]*|//[^\n]*)
    | (/\*)
    | (\Z)
    | (.)
    )""",
    re.VERBOSE | re.DOTALL,
)

_TYPOGRAPHIC = {"“": '"', "”": '"', "„": '"', "‘": '"', "’": '"', "'": '"', "–": "-", "—": "-", "×": "*", "÷": "/"}


class SyntaxFailure(Exception):
    """What is wrong and where; offsets are those of the text being read.

    ``resume`` is where reading may go on when that is known, else -1; ``closes`` where a brace closed the block all the
    same, else -1. ``fatal`` stops the file.
    """

    def __init__(
        self,
        summary: str,
        start: int,
        end: int,
        *,
        code: str = "cw-syntax",
        note: str = "",
        detail: str = "",
        resume: int = -1,
        fatal: bool = False,
    ) -> None:
        super().__init__(summary)
        self.summary = summary
        self.start = start
        self.end = end
        self.code = code
        self.note = note
        self.detail = detail
        self.resume = resume
        self.closes = -1
        self.fatal = fatal


def number(text: str, limits: Limits = LIMITS) -> int | Decimal | None:
    """Return the exact number that *text* (digits, fraction, exponent, perhaps a sign) stands for.

    An ``int`` when it is whole, else a ``Decimal`` without trailing zeros. None when it has more digits than allowed,
    the ones its exponent stands for included.
    """
    if len(text) < 16 and text.isdigit():
        return int(text)
    mantissa, _, exponent = text.lstrip("+-").replace("E", "e").partition("e")
    whole, _, fraction = mantissa.partition(".")
    shift = exponent.lstrip("+-").lstrip("0") or "0"
    if len(mantissa) > limits.number_digits + 1 or len(shift) > 6:
        return None
    power = -int(shift) if exponent.startswith("-") else int(shift)
    written_out = max(len(whole) + power, 1) + max(len(fraction) - power, 0)
    if written_out > limits.number_digits:
        return None
    if "." not in mantissa and not exponent:
        return int(text)
    sign, digits, scale = Decimal(text).as_tuple()
    assert isinstance(scale, int)
    kept = "".join(map(str, digits)).rstrip("0")
    scale += len(digits) - len(kept)
    if not kept:
        return 0
    if scale >= 0:
        return int(kept + "0" * scale) * (-1 if sign else 1)
    return Decimal((sign, tuple(map(int, kept)), scale))


class Lexer:
    """The current token of a text: its ``kind``, its ``word``, and where it ``start``s and ``stop``s.

    ``last`` is where the token before it stopped, so it is the end of what was read.
    """

    __slots__ = ("_match", "depth", "kind", "last", "limits", "skip_lines", "start", "stop", "text", "word")

    def __init__(self, text: str, position: int = 0, *, limits: Limits = LIMITS) -> None:
        self.text = text
        self.limits = limits
        self.kind = END
        self.word = ""
        self.start = self.stop = self.last = position
        self.skip_lines = False
        self.depth = 0
        self._match = _TOKEN.match

    def seek(self, position: int) -> None:
        """Make the token at *position* the current one."""
        self.stop = position
        self.advance()

    def advance(self) -> None:
        """Go to the next token. Comments are passed over, and line ends when ``skip_lines``."""
        self.last = self.stop
        while True:
            found = self._match(self.text, self.stop)
            assert found is not None
            kind = found.lastindex
            assert kind is not None
            self.stop = found.end()
            if kind < LINE:
                break
            if kind == LINE:
                if self.skip_lines:
                    continue
                break
            if kind == COMMENT:
                continue
            if kind == OPEN_COMMENT:
                close = self.text.find("*/", self.stop)
                if close < 0:
                    start = found.start(kind)
                    raise SyntaxFailure("this comment is never closed", start, start + 2, note='put "*/" at its end')
                self.stop = close + 2
                continue
            if kind == OTHER:
                self._reject(found.start(kind))
            break
        word = found.group(kind)
        if kind == NAME and not word.isascii():
            self._check_name(word, found.start(kind))
        self.kind = kind
        self.word = word
        self.start = self.stop - len(word)

    def _check_name(self, word: str, start: int) -> None:
        for part in word.split("."):
            if not part.replace("-", "_").isidentifier():
                bad = next((i for i, c in enumerate(part) if not ("a" + c).isidentifier() and c != "-"), 0)
                self._reject(start + bad)
            start += len(part) + 1

    def _reject(self, at: int) -> None:
        char = self.text[at]
        plain = _TYPOGRAPHIC.get(char)
        if plain:
            note = f"write {plain}"
        elif char == ";":
            note = "items end with their line"
        elif char == "\r":
            raise SyntaxFailure("a carriage return without a line feed", at, at + 1, note="line ends are LF or CRLF")
        else:
            note = f"U+{ord(char):04X}"
        shown = char if char.isprintable() and not char.isspace() else f"U+{ord(char):04X}"
        raise SyntaxFailure(f"{shown} cannot stand here", at, at + 1, note=note if note != shown else "")

    def enter(self) -> None:
        """Go one level deeper.

        Raises:
            SyntaxFailure: cw-limit, fatal, past the depth limit.
        """
        if self.depth >= self.limits.depth:
            raise SyntaxFailure(
                f"nested more than {self.limits.depth} deep",
                self.start,
                max(self.stop, self.start),
                code="cw-limit",
                detail="Put inner parts into locals and refer to them.",
                fatal=True,
            )
        self.depth += 1

    def expect(self, word: str, what: str) -> None:
        """Pass over the operator *word*; *what* says what it would do here."""
        if self.word != word or self.kind != OPERATOR:
            raise self.unexpected(f'expected "{word}" {what}')
        self.advance()

    def unexpected(self, summary: str, *, detail: str = "") -> SyntaxFailure:
        """Return the failure for the current token."""
        return SyntaxFailure(summary, self.start, self.stop, note=f"found {self.describe()}", detail=detail)

    def describe(self) -> str:
        """Return the current token in words."""
        if self.kind == END:
            return "the end of the text"
        if self.kind == LINE:
            return "the end of the line"
        if self.kind == QUOTE:
            return "a text"
        if self.kind == HEREDOC:
            return "a heredoc"
        word = self.word if len(self.word) <= 30 else self.word[:29] + "…"
        return word if self.kind == TEXT else f'"{word}"'
