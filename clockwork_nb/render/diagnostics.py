"""Diagnostics as people read them: what is wrong, where, the line with a caret, what to write instead.

Source text is hostile until shown: hidden characters appear as escapes, and the caret stays under what it means with
tabs, wide characters and long lines.
"""

from __future__ import annotations

import re
import textwrap
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Final

from clockwork_nb.diagnostics import Diagnostic, Severity, SourceRange
from clockwork_nb.render.html import Markup, element, fragment
from clockwork_nb.render.text import Paint, clip, columns_of, pad, visible

__all__ = ["render_html", "render_json", "render_text"]

CODE_COLUMN: Final = 79
"""Where the code stands in the first line when the summary leaves room."""
SOURCE_COLUMNS: Final = 108
"""How much of a long source line is shown around the caret."""
_LEAD: Final = 24
_TAB: Final = 4
_TRAIL_SPLIT: Final = re.compile(r"\s{2,}|(?<=\S) (?=needs\b)|(?<=\bneeds) (?=\S)")


def render_text(diagnostics: Sequence[Diagnostic], *, color: bool = False) -> str:
    """Return *diagnostics* as text, in their order, a blank line between two; empty for none. No line end at the end."""
    paint = Paint(color)
    return "\n\n".join("\n".join(_lines(d, paint)) for d in diagnostics)


def render_json(diagnostics: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """Return *diagnostics* as JSON-safe objects, in their order."""
    return [dict(d.to_dict()) for d in diagnostics]


def render_html(diagnostics: Sequence[Diagnostic]) -> str:
    """Return *diagnostics* as an HTML fragment, every text escaped; empty for none. The words are those of the text."""
    from clockwork_nb.render.theme import wrap

    if not diagnostics:
        return ""
    errors = sum(d.severity is Severity.ERROR for d in diagnostics)
    label = "errors in the configuration" if errors else "warnings about the configuration"
    return str(wrap(fragment(_html(d) for d in diagnostics), label=label, extra_class="cw-diagnostics"))


def _lines(diagnostic: Diagnostic, paint: Paint) -> list[str]:
    error = diagnostic.severity is Severity.ERROR
    word = diagnostic.severity.value
    summary = visible(diagnostic.summary)
    gap = " " * max(2, CODE_COLUMN - columns_of(f"{word}: {summary}"))
    head = paint.bad(paint.bold(word)) if error else paint.warn(paint.bold(word))
    lines = [f"{head}: {paint.bold(summary)}{gap}{paint.dim(f'[{visible(diagnostic.code)}]')}"]
    if diagnostic.subject is not None:
        lines.append(f"  {visible(str(diagnostic.subject))}")
        gutter, source, margin, carets = _source(diagnostic.subject)
        note = visible(diagnostic.note)
        mark = paint.bad(carets) if error else paint.warn(carets)
        lines.append(f"  {paint.dim(gutter + ' |')} {source}".rstrip())
        lines.append(f"  {paint.dim(' ' * len(gutter) + ' |')} {margin}{mark} {note}".rstrip())
    elif diagnostic.note:
        lines.append(f"  {visible(diagnostic.note)}")
    trail = _trail(diagnostic.trail)
    if trail and diagnostic.subject is not None:
        # With a subject the caret comes first and the trail lists further places; without one the trail is the place.
        lines += _wrapped(diagnostic.detail) + trail
    else:
        lines += trail + _wrapped(diagnostic.detail)
    return lines


def _wrapped(detail: str) -> list[str]:
    out: list[str] = []
    for line in detail.splitlines():
        out += textwrap.wrap(
            visible(line),
            110,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return out


def _source(where: SourceRange) -> tuple[str, str, str, str]:
    """Return line number, source line, the space before the caret, and the carets."""
    begin, finish = where.begin, where.finish
    line = where.source.line(begin.line)
    start = min(begin.column - 1, len(line))
    end = finish.column - 1 if finish.line == begin.line else len(line.rstrip())
    # A line may be 16 MiB long; only what is near the caret is looked at.
    first = max(0, start - 4 * SOURCE_COLUMNS)
    near = line[first : start + 4 * SOURCE_COLUMNS]
    start, end = start - first, min(end - first, len(near))
    cells, edges = _cells(near)
    left = edges[start]
    right = max(left + 1, edges[max(start, end)])
    more_before, more_after = first > 0, first + len(near) < len(line)
    if edges[-1] > SOURCE_COLUMNS or more_before or more_after:
        skip = max(0, left - _LEAD) if right > SOURCE_COLUMNS - 2 or more_before else 0
        from_cell = bisect_left(edges, skip)
        to_cell = bisect_right(edges, edges[from_cell] + SOURCE_COLUMNS - 2) - 1
        prefix = "…" if from_cell or more_before else ""
        suffix = "…" if to_cell < len(cells) or more_after else ""
        shown = prefix + "".join(cells[from_cell:to_cell]) + suffix
        shift = len(prefix) - edges[from_cell]
        right = max(left + 1, min(right, edges[to_cell]))
    else:
        shown, shift = "".join(cells), 0
    return str(begin.line), shown.rstrip(), " " * (left + shift), "^" * (right - left)


def _cells(line: str) -> tuple[list[str], list[int]]:
    """Return what each character of *line* is shown as, and the columns at which they start (one more at the end)."""
    cells, edges = [], [0]
    for character in line:
        cell = " " * (_TAB - edges[-1] % _TAB) if character == "\t" else visible(character)
        cells.append(cell)
        edges.append(edges[-1] + columns_of(cell))
    return cells, edges


def _trail(trail: Sequence[tuple[str, SourceRange | None]]) -> list[str]:
    if not trail:
        return []
    rows = [[visible(part) for part in _TRAIL_SPLIT.split(text.strip())] for text, _ in trail]
    count = max(map(len, rows))
    widths = [max((columns_of(row[i]) for row in rows if i < len(row)), default=0) for i in range(count)]
    out = []
    for row, (_, where) in zip(rows, trail, strict=True):
        text = "  ".join(pad(cell, widths[i]) for i, cell in enumerate(row))
        text = pad(text, sum(widths) + 2 * (count - 1))
        place = f"    ({_place(where)})" if where is not None else ""
        out.append(f"  {text}{place}".rstrip())
    return out


def _place(where: SourceRange) -> str:
    begin, finish = where.begin, where.finish
    line = where.source.line(begin.line)
    stop = finish.column - 1 if finish.line == begin.line else len(line)
    words = " ".join(line[begin.column - 1 : min(stop, begin.column + 200)].split())
    what = clip(visible(words), 48)
    return f"{visible(where.file)}, line {begin.line}" + (f": {what}" if what else "")


def _html(diagnostic: Diagnostic) -> Markup:
    error = diagnostic.severity is Severity.ERROR
    plain = _lines(diagnostic, Paint(False))[1:]
    where: Markup | None = None
    if diagnostic.subject is not None:
        where = element("div", str(diagnostic.subject), class_="cw-muted")
        plain = plain[1:]
    source_lines = 2 if diagnostic.subject is not None else 0
    source = [line.removeprefix("  ") for line in plain[:source_lines]]
    rest = [line.removeprefix("  ") for line in plain[source_lines:]]
    return element(
        "section",
        element(
            "header",
            element("span", diagnostic.severity.value, class_=f"cw-pill cw-{'bad' if error else 'warn'}"),
            element("b", diagnostic.summary),
            element("code", diagnostic.code, class_="cw-muted cw-right"),
        ),
        element(
            "div",
            where,
            element("pre", "\n".join(source), class_="cw-source") if source else None,
            element("pre", "\n".join(rest), class_="cw-words") if rest else None,
            class_="cw-body",
        ),
        class_="cw-card",
    )
