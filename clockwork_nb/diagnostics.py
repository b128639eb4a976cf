"""Findings about an author's text: where, what is wrong, and what to write instead."""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

__all__ = ["SUMMARY_LIMIT", "Diagnostic", "Diagnostics", "Severity", "SourcePos", "SourceRange", "SourceText"]

SUMMARY_LIMIT = 120
"""Characters that a summary may have: room for two long names and what is wrong with them."""


class Severity(enum.StrEnum):
    """How bad a finding is. An error stops the plan, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class SourceText:
    """One file or cell and its lines, shared by every range into it.

    ``name`` is what people see ("main.cw", "cell web"). Offsets count Unicode code points from 0.
    """

    __slots__ = ("_starts", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._starts: list[int] | None = None

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._starts = starts
        return self._starts

    def position(self, offset: int) -> SourcePos:
        """Return line and column (both from 1, columns in code points) of *offset*."""
        starts = self._line_starts()
        line = bisect_right(starts, offset)
        return SourcePos(line, offset - starts[line - 1] + 1, offset)

    def line(self, number: int) -> str:
        """Return line *number* (from 1) without its line end; empty past the end."""
        starts = self._line_starts()
        if not 1 <= number <= len(starts):
            return ""
        end = starts[number] - 1 if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r")

    def __repr__(self) -> str:
        return f"SourceText({self.name!r}, {len(self.text)} characters)"

    def __reduce__(self) -> tuple[type[SourceText], tuple[str, str]]:
        return (SourceText, (self.name, self.text))


class SourcePos(Struct, frozen=True):
    """A place: line and column from 1, offset in code points from 0."""

    line: int
    column: int
    offset: int


class SourceRange(Struct, frozen=True):
    """A half-open stretch ``[start, end)`` of one source; lines and columns are worked out when asked for."""

    source: SourceText
    start: int
    end: int

    @property
    def file(self) -> str:
        """The name people see."""
        return self.source.name

    @property
    def begin(self) -> SourcePos:
        """Line and column of the first character."""
        return self.source.position(self.start)

    @property
    def finish(self) -> SourcePos:
        """Line and column just past the last character."""
        return self.source.position(self.end)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form with start and end as line, column, offset."""
        a, b = self.begin, self.finish
        return {
            "file": self.file,
            "start": {"line": a.line, "column": a.column, "offset": a.offset},
            "end": {"line": b.line, "column": b.column, "offset": b.offset},
        }

    def __str__(self) -> str:
        at = self.begin
        return f"{self.file}, line {at.line}, column {at.column}"


class Diagnostic(Struct, frozen=True):
    """One finding.

    ``summary`` is at most `SUMMARY_LIMIT` characters and names the thing; ``note`` is what the caret line says
    ("did you mean …"); ``detail`` is one or more sentences; ``trail`` is a list of further places, each with a
    sentence (a cycle, an earlier declaration).
    """

    severity: Severity
    code: str
    summary: str
    detail: str = ""
    note: str = ""
    subject: SourceRange | None = None
    address: str = ""
    trail: tuple[tuple[str, SourceRange | None], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form; ranges are objects, empty fields are left out."""
        out: dict[str, object] = {"severity": self.severity.value, "code": self.code, "summary": self.summary}
        if self.detail:
            out["detail"] = self.detail
        if self.note:
            out["note"] = self.note
        if self.subject is not None:
            out["range"] = self.subject.to_dict()
        if self.address:
            out["address"] = self.address
        if self.trail:
            out["trail"] = [{"text": t, **({"range": r.to_dict()} if r else {})} for t, r in self.trail]
        return out


class Diagnostics(Struct):
    """An ordered collection of findings."""

    items: list[Diagnostic] = field(default_factory=list)

    def error(
        self,
        code: str,
        summary: str,
        subject: SourceRange | None = None,
        *,
        detail: str = "",
        note: str = "",
        address: str = "",
        trail: tuple[tuple[str, SourceRange | None], ...] = (),
    ) -> None:
        """Add an error."""
        self.items.append(Diagnostic(Severity.ERROR, code, summary, detail, note, subject, address, trail))

    def warning(
        self, code: str, summary: str, subject: SourceRange | None = None, *, detail: str = "", note: str = ""
    ) -> None:
        """Add a warning."""
        self.items.append(Diagnostic(Severity.WARNING, code, summary, detail, note, subject))

    def extend(self, more: Iterable[Diagnostic]) -> None:
        """Add all of *more*, in order."""
        self.items.extend(more)

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(d.severity is Severity.ERROR for d in self.items)

    @property
    def errors(self) -> list[Diagnostic]:
        """The errors alone."""
        return [d for d in self.items if d.severity is Severity.ERROR]

    def sorted(self) -> list[Diagnostic]:
        """Return the findings by file, position and code, each once."""
        seen: dict[tuple[str, int, str, str], Diagnostic] = {}
        for d in self.items:
            key = (d.subject.file if d.subject else "", d.subject.start if d.subject else -1, d.code, d.summary)
            seen.setdefault(key, d)
        return [seen[k] for k in sorted(seen)]

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        return bool(self.items)
