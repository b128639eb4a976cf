"""The dependency graph as SVG: boxes and arrows in the page's colours, or in its own, light and dark, as a file.

What is needed stands to the left, and an arrow leads to it. The kind of change is told by a sign, a colour and the
outline. Nothing in it runs or is fetched, and the same facts are there as text for those who do not see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isqrt
from typing import Final

from msgspec import Struct

from clockwork_nb.render.graph import COLLAPSE_ABOVE, Graph, Node, sign_of, title_of
from clockwork_nb.render.graph_layout import Layout, Point, layered
from clockwork_nb.render.html import Markup, element
from clockwork_nb.render.text import clip_middle, columns_of
from clockwork_nb.render.theme import DARK, LIGHT

__all__ = ["draw"]

_LABEL: Final = 34
_TYPE_LABEL: Final = 64
_CHAR: Final = 7.3
_BOX: Final = 26
_ROW: Final = 40.0
_HELPER: Final = 14.0
_GAP: Final = 56.0
_EDGE: Final = 12.0
_PORTS: Final = 16.0
_COLORS: Final = {
    "create": "ok", "import": "ok", "verify": "info", "update": "warn", "move": "warn", "replace": "rep", "run": "rep",
    "delete": "bad", "forget": "bad",
}  # fmt: skip
_WORDS: Final = {"noop": "unchanged", "mixed": "several kinds"}
_NOT_XML: Final = {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}
"""What is no hidden character and yet no character of a document (XML 1.0 §2.2)."""
_FONT: Final = "var(--cw-mono,ui-monospace,Menlo,Consolas,monospace)"


class _Drawing(Struct):
    at: dict[Point, tuple[float, float]]
    widths: dict[Point, float]
    width: float = 0.0
    height: float = 0.0


def draw(graph: Graph, *, title: str, description: str, standalone: bool) -> str:
    """Return *graph* as one ``svg`` element, with *title* and *description* as its text alternatives.

    With *standalone* it carries its own colours, light or dark as the reader's system asks; without, those of the page.
    """
    most = _TYPE_LABEL if graph.collapsed else _LABEL
    labels = {n.name: clip_middle(title_of(n), most) for n in graph.nodes.values()}
    pairs = _pairs(graph)
    joined = {name for edge in graph.edges for name in edge}
    layout = layered([n for n in graph.nodes if n in joined], list(pairs), box=_ROW, helper=_HELPER)
    head = _head(graph)
    drawing = _placed(layout, labels, top=_EDGE + 20.0 * len(head) + 14)
    _add_lonely([n for n in graph.nodes if n not in joined], labels, drawing)
    ports = _ports(layout)
    lines = [_edge(path, both, drawing, ports) for path, both in zip(layout.paths, pairs.values(), strict=True)]
    boxes = [_box(graph.nodes[p], labels[p], drawing) for p in drawing.at if isinstance(p, str)]
    width = round(max([drawing.width, *(_width(words) for words, _ in head)]))
    svg = str(
        element(
            "svg",
            element("title", title),
            element("desc", description),
            _style() if standalone else None,
            _legend(graph, head),
            element("g", lines, fill="none", stroke="currentColor", stroke_opacity="0.6"),
            boxes,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {width} {round(drawing.height)}",
            width=width,
            height=round(drawing.height),
            role="img",
            aria_label=title,
            class_="cw-plan-graph" if standalone else None,
            fill="currentColor",
            font_family=_FONT,
            font_size="12",
        )
    )
    return svg.translate(_NOT_XML)


def _style() -> Markup:
    def rule(colors: Mapping[str, str], ink: str, paper: str) -> str:
        names = "".join(f"--cw-{name}:{value};" for name, value in colors.items() if "-" not in name)
        return f".cw-plan-graph{{{names}--cw-l1:{paper};color:{ink};background:{paper}}}"

    dark = rule(DARK, "#e6e6e6", "#1b1b1d")
    return Markup(f"<style>{rule(LIGHT, '#222', '#fff')}@media (prefers-color-scheme:dark){{{dark}}}</style>")


# --- what stands above the drawing ------------------------------------------------------------------------------


def _head(graph: Graph) -> list[tuple[str, bool]]:
    """Return the lines above the drawing, and of each whether it is the one with the kinds."""
    if not graph.nodes:
        return [("There is nothing to draw.", False)]
    lines = [("An arrow leads to what is needed.", False)] if graph.edges else []
    if graph.collapsed:
        lines.append(
            (
                f"{graph.resources:,} resources, drawn by type: above {COLLAPSE_ABOVE} they are not drawn one by one.",
                False,
            )
        )
    kinds = "   ".join(f"{sign_of(k)} {_WORDS.get(k, k)}".strip() for k in _kinds(graph))
    return [*lines, (kinds, True)]


def _kinds(graph: Graph) -> list[str]:
    known = [*_COLORS, "noop"]
    return sorted(graph.kinds, key=lambda kind: (known.index(kind) if kind in known else len(known), kind))


def _legend(graph: Graph, head: Sequence[tuple[str, bool]]) -> Markup:
    out = []
    for row, (words, of_kinds) in enumerate(head):
        y = _EDGE + 12 + 20 * row
        x = _EDGE
        for kind in _kinds(graph) if of_kinds else [""]:
            text = f"{sign_of(kind)} {_WORDS.get(kind, kind)}".strip() if of_kinds else words
            out.append(element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", style=_color(kind)))
            x += (columns_of(text) + 3) * _CHAR
    return element("g", out, aria_hidden="true")


def _color(kind: str) -> str | None:
    return f"color:var(--cw-{_COLORS[kind]},inherit)" if kind in _COLORS else None


# --- places -----------------------------------------------------------------------------------------------------


def _width(label: str) -> float:
    return columns_of(label) * _CHAR + 20


def _placed(layout: Layout, labels: Mapping[str, str], *, top: float) -> _Drawing:
    out = _Drawing({}, {}, _EDGE, top)
    x = _EDGE
    for rank in layout.ranks:
        width = max([_width(labels[p]) for p in rank if isinstance(p, str)], default=0.0)
        for point in rank:
            out.at[point] = (x, top + _BOX / 2 + layout.y[point])
            out.widths[point] = width
        x += width + _GAP
    if layout.ranks:
        out.width = x - _GAP + _EDGE
        out.height = max(y for _, y in out.at.values()) + _BOX / 2 + _EDGE
    return out


def _add_lonely(names: Sequence[str], labels: Mapping[str, str], drawing: _Drawing) -> None:
    """Put the boxes without any edge below the rest, in as many columns as the rest is wide."""
    if not names:
        return
    width = max(_width(labels[name]) for name in names)
    beside = int((drawing.width - 2 * _EDGE + 16) // (width + 16))
    columns = min(len(names), max(beside, isqrt(len(names)) // 2 + 1))
    top = drawing.height + (_BOX if drawing.at else 0)
    for index, name in enumerate(names):
        row, column = divmod(index, columns)
        drawing.at[name] = (_EDGE + column * (width + 16), top + _BOX / 2 + row * (_BOX + 10))
        drawing.widths[name] = width
    drawing.width = max(drawing.width, 2 * _EDGE + columns * (width + 16) - 16)
    drawing.height = max(drawing.at[name][1] for name in names) + _BOX / 2 + _EDGE


def _ports(layout: Layout) -> dict[tuple[Point, Point], tuple[float, float]]:
    """Return for each piece of an edge how far from the middle of its two ends it leaves and arrives."""
    leave: dict[tuple[Point, Point], float] = {}
    arrive: dict[tuple[Point, Point], float] = {}
    for sides, out, flip in ((layout.ahead, leave, False), (layout.behind, arrive, True)):
        for point, others in sides.items():
            if not isinstance(point, str):
                continue
            ordered = sorted(set(others), key=lambda other: (layout.y[other], str(other)))
            step = min(6.0, _PORTS / max(1, len(ordered) - 1))
            for index, other in enumerate(ordered):
                out[(other, point) if flip else (point, other)] = (index - (len(ordered) - 1) / 2) * step
    pieces = leave.keys() | arrive.keys()
    return {piece: (leave.get(piece, 0.0), arrive.get(piece, 0.0)) for piece in pieces}


# --- shapes -----------------------------------------------------------------------------------------------------


def _pairs(graph: Graph) -> dict[tuple[str, str], bool]:
    """Return each edge once and whether it leads both ways, as it may between types."""
    out: dict[tuple[str, str], bool] = {}
    for need, name in graph.edges:
        if (name, need) in out:
            out[name, need] = True
        else:
            out[need, name] = False
    return out


def _edge(
    path: Sequence[Point], both: bool, drawing: _Drawing, ports: Mapping[tuple[Point, Point], tuple[float, float]]
) -> Markup:
    """Return one edge, drawn from the left to the right, with its head at what is needed, the first of *path*."""
    forward = drawing.at[path[0]][0] < drawing.at[path[-1]][0]
    points = path if forward else path[::-1]
    x0 = drawing.at[points[0]][0] + drawing.widths[points[0]]
    y0 = drawing.at[points[0]][1] + ports.get((points[0], points[1]), (0.0, 0.0))[0]
    start = (x0, y0)
    parts = [f"M{x0:.1f} {y0:.1f}"]
    for previous, point in pairwise(points):
        x1, y1 = drawing.at[point]
        y1 += ports.get((previous, point), (0.0, 0.0))[1]
        bend = (x1 - x0) / 2
        parts.append(f"C{x0 + bend:.1f} {y0:.1f} {x1 - bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}")
        x0, y0 = x1, y1
        if isinstance(point, int):
            x0 = x1 + drawing.widths[point]
            parts.append(f"L{x0:.1f} {y1:.1f}")
    if forward or both:
        parts.append(_tip(*start, 7))
    if not forward or both:
        parts.append(_tip(x0, y0, -7))
    return element("path", d="".join(parts))


def _tip(x: float, y: float, side: float) -> str:
    return f"M{x + side:.1f} {y - 3.5:.1f}L{x:.1f} {y:.1f}L{x + side:.1f} {y + 3.5:.1f}"


def _box(node: Node, label: str, drawing: _Drawing) -> Markup:
    x, y = drawing.at[node.name]
    quiet = node.kind == "noop"
    rect = element(
        "rect",
        x=f"{x:.1f}",
        y=f"{y - _BOX / 2:.1f}",
        width=f"{drawing.widths[node.name]:.1f}",
        height=_BOX,
        rx="5",
        fill="var(--cw-l1,none)",
        stroke="currentColor",
        stroke_opacity="0.4" if quiet else None,
        stroke_dasharray="5 3" if node.kind in {"delete", "forget"} else "2 3" if node.later else None,
    )
    words = element("text", label, x=f"{x + 10:.1f}", y=f"{y + 4:.1f}", stroke="none", fill="currentColor")
    kind = _WORDS.get(node.kind, node.kind) + (", later" if node.later else "")
    return element("g", element("title", f"{node.name}: {kind}"), rect, words, style=_color(node.kind))
