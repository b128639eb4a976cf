"""The plan's dependency graph: a layered drawing, a text form with the same facts, and DOT for other tools.

The layout is Sugiyama's in its plainest form: rank by longest path, one helper point per rank that an edge crosses, two
barycentre sweeps, then coordinates. Every loop is iterative and the result depends on nothing but the document.
Above `COLLAPSE_ABOVE` resources one box stands for all resources of a type.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from clockwork_nb.render.html import Markup, element
from clockwork_nb.render.plan import SIGNS
from clockwork_nb.render.text import clip_middle, columns_of, pad, plural, visible

__all__ = ["COLLAPSE_ABOVE", "Graph", "Node", "graph_of", "graph_text", "plan_dot", "plan_svg"]

COLLAPSE_ABOVE: Final = 60
"""Most resources that are drawn one by one."""
_LABEL: Final = 34
_CHAR: Final = 7.3
_BOX: Final = 26
_ROW: Final = 40
_GAP: Final = 56
_COLORS: Final = {
    "create": "var(--cw-ok,inherit)", "verify": "var(--cw-ok,inherit)", "update": "var(--cw-warn,inherit)",
    "replace": "var(--cw-rep,inherit)", "delete": "var(--cw-bad,inherit)", "forget": "var(--cw-bad,inherit)",
    "run": "var(--cw-rep,inherit)",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """A box: its name, the kind of change ("noop" for none, "mixed" for a type), and what it says."""

    name: str
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes by name in the plan's order, and edges (what is needed, what needs it), each once."""

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    collapsed: bool = False


def graph_of(document: Mapping[str, Any]) -> Graph:
    """Return the graph of a plan document, by type when it has more than `COLLAPSE_ABOVE` resources."""
    changes = document["changes"]
    if len(changes) > COLLAPSE_ABOVE:
        return _by_type(changes)
    nodes = {c["address"]: Node(c["address"], c["kind"], visible(c["address"])) for c in changes}
    edges = dict.fromkeys(
        (need, c["address"]) for c in changes for need in c["dependencies"] if need in nodes and need != c["address"]
    )
    return Graph(nodes, tuple(edges))


def _by_type(changes: Sequence[Mapping[str, Any]]) -> Graph:
    kind_of = {c["address"]: c["type"] for c in changes}
    members: dict[str, list[str]] = {}
    for change in changes:
        members.setdefault(change["type"], []).append(change["kind"])
    nodes = {}
    for name, kinds in members.items():
        changed = sum(kind != "noop" for kind in kinds)
        label = f"{visible(name)} × {len(kinds):,}" + (f", {changed:,} change" if changed else "")
        nodes[name] = Node(name, kinds[0] if len(set(kinds)) == 1 else "mixed", label)
    edges = dict.fromkeys(
        (kind_of[need], c["type"])
        for c in changes
        for need in c["dependencies"]
        if need in kind_of and kind_of[need] != c["type"]
    )
    return Graph(nodes, tuple(edges), collapsed=True)


# --- text and DOT -----------------------------------------------------------------------------------------------


def graph_text(document: Mapping[str, Any]) -> str:
    """Return the graph as lines ``sign name  needs a, b``, in the plan's order; one line a resource (or type)."""
    graph = graph_of(document)
    needs: dict[str, list[str]] = {}
    for need, name in graph.edges:
        needs.setdefault(name, []).append(visible(need))
    column = min(max((columns_of(n.label) for n in graph.nodes.values()), default=0), 60) + 2
    head = f"{plural(len(document['changes']), 'resource')}, {plural(len(graph.edges), 'edge')}"
    lines = [head + (", by type" if graph.collapsed else "")]
    for node in graph.nodes.values():
        words = f"needs {', '.join(needs[node.name])}" if node.name in needs else ""
        lines.append(f"  {_sign(node)} {pad(node.label, column)}{words}".rstrip())
    return "\n".join(lines)


def _sign(node: Node) -> str:
    return "*" if node.kind == "mixed" else SIGNS[node.kind]


def plan_dot(document: Mapping[str, Any]) -> str:
    """Return the graph in the DOT language (https://graphviz.org/doc/info/lang.html), every name quoted."""
    graph = graph_of(document)
    lines = ["digraph plan {", "  rankdir=LR;", "  node [shape=box];"]
    for node in graph.nodes.values():
        label = f"{_sign(node)} {node.label}".strip()
        lines.append(f"  {_dot(node.name)} [label={_dot(label)}];")
    lines += [f"  {_dot(need)} -> {_dot(name)};" for need, name in graph.edges]
    return "\n".join([*lines, "}", ""])


def _dot(text: str) -> str:
    return json.dumps(visible(text), ensure_ascii=False)


# --- layout -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Layout:
    """Points by rank; a point is a box's name or a helper's number. ``ahead`` and ``behind`` join neighbouring ranks."""

    ranks: list[list[str | int]] = field(default_factory=list)
    ahead: dict[str | int, list[str | int]] = field(default_factory=dict)
    behind: dict[str | int, list[str | int]] = field(default_factory=dict)
    paths: list[list[str | int]] = field(default_factory=list)


def _ranked(graph: Graph) -> dict[str, int]:
    """Return the longest distance of each box from a start.

    Types may need each other in a circle where their resources do not; the first such box in the plan's order is then
    taken as if nothing held it back.
    """
    order = {name: index for index, name in enumerate(graph.nodes)}
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    waiting = dict.fromkeys(graph.nodes, 0)
    for need, name in graph.edges:
        after[need].append(name)
        waiting[name] += 1
    rank = dict.fromkeys(graph.nodes, 0)
    ready = [(order[name], name) for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    left = list(graph.nodes)
    cursor = 0
    done: set[str] = set()
    while len(done) < len(left):
        if not ready:
            while left[cursor] in done:
                cursor += 1
            ready = [(cursor, left[cursor])]
        _, name = heapq.heappop(ready)
        if name in done:
            continue
        done.add(name)
        for follower in after[name]:
            if follower in done:
                continue
            rank[follower] = max(rank[follower], rank[name] + 1)
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, (order[follower], follower))
    return rank


def _layered(graph: Graph) -> _Layout:
    rank = _ranked(graph)
    out = _Layout(ranks=[[] for _ in range(max(rank.values(), default=-1) + 1)])
    for name in graph.nodes:
        out.ranks[rank[name]].append(name)
    helpers = 0
    for need, name in graph.edges:
        start, stop = (need, name) if rank[need] < rank[name] else (name, need)
        path: list[str | int] = [start]
        for level in range(rank[start] + 1, rank[stop]):
            out.ranks[level].append(helpers)
            path.append(helpers)
            helpers += 1
        path.append(stop)
        for a, b in pairwise(path):
            out.ahead.setdefault(a, []).append(b)
            out.behind.setdefault(b, []).append(a)
        out.paths.append(path if start == need else path[::-1])
    for sweep in range(2):
        levels = range(1, len(out.ranks)) if sweep == 0 else range(len(out.ranks) - 2, -1, -1)
        for level in levels:
            _sweep(out, level, out.behind if sweep == 0 else out.ahead)
    return out


def _sweep(layout: _Layout, level: int, neighbours: Mapping[str | int, list[str | int]]) -> None:
    """Order one rank by the mean place of each point's neighbours; the old order decides between equals."""
    beside = level - 1 if neighbours is layout.behind else level + 1
    place = {point: index for index, point in enumerate(layout.ranks[beside])}
    old = {point: index for index, point in enumerate(layout.ranks[level])}

    def centre(point: str | int) -> tuple[float, int]:
        near = neighbours.get(point)
        mean = sum(place[p] for p in near) / len(near) if near else float(old[point])
        return mean, old[point]

    layout.ranks[level].sort(key=centre)


# --- SVG --------------------------------------------------------------------------------------------------------


def plan_svg(document: Mapping[str, Any]) -> str:
    """Return the graph as an inline SVG: lines and words in ``currentColor``, signs beside colours, a title and a text
    description for screen readers, nothing that runs or is fetched."""
    graph = graph_of(document)
    layout = _layered(graph)
    labels = {n.name: clip_middle(f"{_sign(n)} {n.label}".strip(), _LABEL) for n in graph.nodes.values()}
    at: dict[str | int, tuple[float, float]] = {}
    widths: list[float] = []
    x, lowest = 8.0, float(_ROW)
    for rank in layout.ranks:
        width = max([columns_of(labels[p]) * _CHAR + 20 for p in rank if isinstance(p, str)], default=0.0)
        y = -_ROW / 2
        for point in rank:
            # Beside what it needs where there is room, so that most edges run straight.
            needs = [at[p][1] for p in layout.behind.get(point, ())]
            y = max(y + _ROW, sum(needs) / len(needs) if needs else 0.0)
            at[point] = (x, y + 4)
            lowest = max(lowest, y + _ROW / 2)
        widths.append(width)
        x += width + _GAP
    height = round(lowest) + 8
    level_of = {point: level for level, rank in enumerate(layout.ranks) for point in rank}
    lines = [_edge(path, at, widths, level_of) for path in layout.paths]
    boxes = [_box(graph.nodes[p], labels[p], at[p], widths[level_of[p]]) for p in at if isinstance(p, str)]
    total = max(1.0, x - _GAP + 8)
    title = f"Dependency graph: {plural(len(document['changes']), 'resource')}, {plural(len(graph.edges), 'edge')}"
    return str(
        element(
            "svg",
            element("title", title),
            element("desc", graph_text(document)),
            element("g", lines, fill="none", stroke="currentColor", stroke_opacity="0.55"),
            boxes,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {total:.0f} {height}",
            width=f"{total:.0f}",
            height=height,
            role="img",
            aria_label=title,
            font_family="var(--cw-mono,monospace)",
            font_size="12",
        )
    )


def _edge(
    path: Sequence[str | int],
    at: Mapping[str | int, tuple[float, float]],
    widths: Sequence[float],
    level_of: Mapping[str | int, int],
) -> Markup:
    forward = level_of[path[0]] < level_of[path[-1]]
    points = path if forward else path[::-1]
    x0, y0 = at[points[0]]
    here = x0 + widths[level_of[points[0]]]
    parts = [f"M{here:.1f} {y0:.1f}"]
    for point in points[1:]:
        x1, y1 = at[point]
        bend = (x1 - here) / 2
        parts.append(f"C{here + bend:.1f} {y0:.1f} {x1 - bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}")
        here, y0 = x1, y1
        if isinstance(point, int):
            here = x1 + widths[level_of[point]]
            parts.append(f"L{here:.1f} {y1:.1f}")
    if forward:
        tip_x, tip_y, side = here, y0, -6
    else:
        tip_x, tip_y, side = at[points[0]][0] + widths[level_of[points[0]]], at[points[0]][1], 6
    parts.append(f"M{tip_x + side:.1f} {tip_y - 3.5:.1f}L{tip_x:.1f} {tip_y:.1f}L{tip_x + side:.1f} {tip_y + 3.5:.1f}")
    return element("path", d="".join(parts))


def _box(node: Node, label: str, place: tuple[float, float], width: float) -> Markup:
    x, y = place
    quiet = node.kind == "noop"
    rect = element(
        "rect",
        x=f"{x:.1f}",
        y=f"{y - _BOX / 2:.1f}",
        width=f"{width:.1f}",
        height=_BOX,
        rx="5",
        fill="var(--cw-l1,none)",
        stroke="currentColor",
        stroke_opacity="0.4" if quiet else None,
        stroke_dasharray="5 3" if node.kind in {"delete", "forget"} else None,
    )
    words = element("text", label, x=f"{x + 10:.1f}", y=f"{y + 4:.1f}", fill="currentColor", stroke="none")
    kind = "unchanged" if quiet else "several changes" if node.kind == "mixed" else node.kind
    color = _COLORS.get(node.kind)
    style = f"color:{color}" if color else None
    return element("g", element("title", f"{node.name}: {kind}"), rect, words, style=style)
