"""Diagnostics as people read them: what is wrong, where, the line with a caret, what to write instead.

Source text is hostile until shown: hidden characters appear as escapes, and the caret stays under what it means with
tabs, wide characters and long lines.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Final

from clockwork_nb.diagnostics import Diagnostic, Severity, SourceRange
from clockwork_nb.patterns import pattern
from clockwork_nb.render.html import Markup, element, fragment
from clockwork_nb.render.text import Paint, clip, columns_of, folded, pad, visible

__all__ = ["render_html", "render_json", "render_text"]

CODE_COLUMN: Final = 79
"""Where the code stands in the first line when the summary and the terminal leave room."""
SOURCE_COLUMNS: Final = 108
"""How much of a long source line is shown around the caret, where the terminal is wide enough."""
_COLUMNS: Final = 120
_DETAIL_COLUMNS: Final = 110
_LEAD: Final = 24
_TAB: Final = 4
_TRAIL_SPLIT: Final = pattern(r"\s{2,}|(?<=\S) (?=needs\b)|(?<=\bneeds) (?=\S)")


def render_text(diagnostics: Sequence[Diagnostic], *, color: bool = False, columns: int = _COLUMNS) -> str:
    """Return *diagnostics* as text, in their order, a blank line between two; empty for none. No line end at the end.

    Lines have at most *columns* columns, from 60, unless a word of them is longer.
    """
    paint = Paint(color)
    return "\n\n".join("\n".join(_lines(d, paint, columns)) for d in diagnostics)


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


def _lines(diagnostic: Diagnostic, paint: Paint, columns: int) -> list[str]:
    place: list[str] = []
    if diagnostic.subject is not None:
        place = [f"  {visible(str(diagnostic.subject))}", *_marked(diagnostic.subject, diagnostic, paint, columns)]
    return [*_head(diagnostic, paint, columns), *place, *_words(diagnostic, columns)]


def _head(diagnostic: Diagnostic, paint: Paint, columns: int) -> list[str]:
    """Return the line with severity, summary and code; more than one where the summary is long."""
    word, code = diagnostic.severity.value, f"[{visible(diagnostic.code)}]"
    head = paint.bold(word)
    head = paint.bad(head) if diagnostic.severity is Severity.ERROR else paint.warn(head)
    first, *more = folded(f"{word}: {visible(diagnostic.summary)}", columns - 2)
    lines = [f"{head}: {paint.bold(first[len(word) + 2 :])}", *(f"  {paint.bold(line)}" for line in more)]
    used = 2 + columns_of(more[-1]) if more else columns_of(first)
    if used + 2 + len(code) > columns:
        return [*lines, f"  {paint.dim(code)}"]
    start = min(CODE_COLUMN, columns - len(code))
    lines[-1] += " " * max(2, start - used) + paint.dim(code)
    return lines


def _marked(where: SourceRange, diagnostic: Diagnostic, paint: Paint, columns: int) -> list[str]:
    """Return the source line and the line with the carets; the note beside them, or below where it does not fit."""
    gutter = str(where.begin.line)
    room = columns - len(gutter) - 5
    source, margin, carets = _source(where, min(SOURCE_COLUMNS, room))
    mark = paint.bad(carets) if diagnostic.severity is Severity.ERROR else paint.warn(carets)
    blank, note = f"  {paint.dim(' ' * len(gutter) + ' |')} ", visible(diagnostic.note)
    lines = [f"  {paint.dim(f'{gutter} |')} {source}".rstrip()]
    if columns_of(margin) + len(carets) + 1 + columns_of(note) <= room:
        return [*lines, f"{blank}{margin}{mark} {note}".rstrip()]
    return [*lines, f"{blank}{margin}{mark}", *(f"{blank}{line}" for line in folded(note, room))]


def _words(diagnostic: Diagnostic, columns: int) -> list[str]:
    """Return the trail and the detail, and the note when there is no place to mark."""
    room = min(_DETAIL_COLUMNS, columns) - 2
    texts = diagnostic.detail.splitlines()
    detail = [f"  {line}" for text in texts for line in folded(visible(text.rstrip()), room) if line]
    trail = _trail(diagnostic.trail)
    if diagnostic.subject is not None:
        return [*detail, *trail]  # the caret came first, and these are further places
    note = [f"  {visible(diagnostic.note)}"] if diagnostic.note else []
    return [*note, *trail, *detail]  # the trail is the place


def _source(where: SourceRange, columns: int) -> tuple[str, str, str]:
    """Return the source line in *columns* columns around the caret, the space before the caret, and the carets."""
    begin, finish = where.begin, where.finish
    line = where.source.line(begin.line)
    start = min(begin.column - 1, len(line))
    end = finish.column - 1 if finish.line == begin.line else len(line.rstrip())
    # A line may be 16 MiB long; only what is near the caret is looked at.
    first = max(0, start - 4 * columns)
    near = line[first : start + 4 * columns]
    start, end = start - first, min(end - first, len(near))
    cells, edges = _cells(near)
    left = edges[start]
    right = max(left + 1, edges[max(start, end)])
    more_before, more_after = first > 0, first + len(near) < len(line)
    if edges[-1] > columns or more_before or more_after:
        skip = max(0, left - _LEAD) if right > columns - 2 or more_before else 0
        from_cell = bisect_left(edges, skip)
        to_cell = bisect_right(edges, edges[from_cell] + columns - 2) - 1
        prefix = "…" if from_cell or more_before else ""
        suffix = "…" if to_cell < len(cells) or more_after else ""
        shown = prefix + "".join(cells[from_cell:to_cell]) + suffix
        shift = len(prefix) - edges[from_cell]
        right = max(left + 1, min(right, edges[to_cell]))
    else:
        shown, shift = "".join(cells), 0
    return shown.rstrip(), " " * (left + shift), "^" * (right - left)


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
    where: Markup | None = None
    source: list[str] = []
    if diagnostic.subject is not None:
        where = element("div", str(diagnostic.subject), class_="cw-muted")
        marked = _marked(diagnostic.subject, diagnostic, Paint(False), _COLUMNS)
        source = [line.removeprefix("  ") for line in marked]
    rest = [line.removeprefix("  ") for line in _words(diagnostic, _COLUMNS)]
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
