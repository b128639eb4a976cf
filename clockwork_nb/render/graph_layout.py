"""Where the boxes of a dependency graph go: ranks, an order in each rank, and coordinates. Pure and deterministic.

Sugiyama's method (Sugiyama, Tagawa, Toda 1981) in a plain form: rank by longest path, a helper point for each rank that
an edge crosses, barycentre sweeps against crossings, and then places as near to the neighbours as the order allows.
Every loop is iterative, and all of it is linear in boxes and edges but for the sorting of a rank.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct, field

__all__ = ["Layout", "Point", "layered"]

Point = str | int
"""A box's name, or the number of a helper point on an edge that crosses a rank."""

_SWEEPS: Final = 6
_LONGEST: Final = 24
"""An edge over more ranks than this is drawn straight across, so that the number of helper points stays linear."""


class Layout(Struct):
    """Ranks from left to right, each from top to bottom; ``y`` is the middle of each point.

    ``paths`` are the edges in the order they were given: from what is needed, over helper points, to what needs it, or
    the other way round where a circle of types was cut there.
    """

    ranks: list[list[Point]] = field(default_factory=list)
    ahead: dict[Point, list[Point]] = field(default_factory=dict)
    behind: dict[Point, list[Point]] = field(default_factory=dict)
    paths: list[list[Point]] = field(default_factory=list)
    y: dict[Point, float] = field(default_factory=dict)


def layered(names: Sequence[str], edges: Sequence[tuple[str, str]], *, box: float, helper: float) -> Layout:
    """Return the layout of the boxes *names*, which all have an edge, with *edges* (what is needed, what needs it).

    Args:
        box, helper: the room that a box and a helper point take in their rank, from middle to middle of equals.
    """
    rank = _ranked(names, edges)
    out = Layout(ranks=[[] for _ in range(max(rank.values(), default=-1) + 1)])
    for name in names:
        out.ranks[rank[name]].append(name)
    helpers = 0
    for need, name in edges:
        start, stop = (need, name) if rank[need] < rank[name] else (name, need)
        path: list[Point] = [start]
        if rank[stop] - rank[start] <= _LONGEST:
            for level in range(rank[start] + 1, rank[stop]):
                out.ranks[level].append(helpers)
                path.append(helpers)
                helpers += 1
        path.append(stop)
        for a, b in pairwise(path):
            out.ahead.setdefault(a, []).append(b)
            out.behind.setdefault(b, []).append(a)
        out.paths.append(path if start == need else path[::-1])
    _untangle(out)
    _place(out, box, helper)
    return out


def _ranked(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the longest distance of each box from a start; a start itself stands right before what needs it first.

    Types may need each other in a circle where their resources do not; the first such box in the given order is then
    taken as if nothing held it back.
    """
    order = {name: index for index, name in enumerate(names)}
    after: dict[str, list[str]] = {name: [] for name in names}
    waiting = dict.fromkeys(names, 0)
    for need, name in edges:
        after[need].append(name)
        waiting[name] += 1
    starts = [name for name, count in waiting.items() if count == 0]
    rank = dict.fromkeys(names, 0)
    ready = [(order[name], name) for name in starts]
    heapq.heapify(ready)
    cursor = 0
    done: set[str] = set()
    while len(done) < len(names):
        if not ready:
            while names[cursor] in done:
                cursor += 1
            ready = [(cursor, names[cursor])]
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
    for name in starts:
        rank[name] = max(0, min((rank[follower] for follower in after[name]), default=1) - 1)
    return rank


def _untangle(layout: Layout) -> None:
    """Order each rank by the mean place of its points' neighbours, to the right and back in turn."""
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        levels = range(1, len(layout.ranks)) if forward else range(len(layout.ranks) - 2, -1, -1)
        for level in levels:
            _sort(layout, level, layout.behind if forward else layout.ahead, level - 1 if forward else level + 1)


def _sort(layout: Layout, level: int, neighbours: Mapping[Point, list[Point]], beside: int) -> None:
    place = {point: index / max(1, len(layout.ranks[beside])) for index, point in enumerate(layout.ranks[beside])}
    old = {point: index for index, point in enumerate(layout.ranks[level])}

    def centre(point: Point) -> tuple[float, int]:
        near = [place[p] for p in neighbours.get(point, ()) if p in place]
        mean = sum(near) / len(near) if near else old[point] / max(1, len(old))
        return mean, old[point]

    layout.ranks[level].sort(key=centre)


def _place(layout: Layout, box: float, helper: float) -> None:
    """Give each point its height: near the mean of its neighbours', in the order of its rank, and never too close."""

    def room(a: Point, b: Point) -> float:
        return sum(box if isinstance(p, str) else helper for p in (a, b)) / 2

    for rank in layout.ranks:
        _spread(layout, rank, lambda _: 0.0, room)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        neighbours = layout.behind if forward else layout.ahead

        def wanted(point: Point, neighbours: Mapping[Point, list[Point]] = neighbours) -> float:
            near = neighbours.get(point, ())
            return sum(layout.y[p] for p in near) / len(near) if near else layout.y[point]

        for rank in layout.ranks if forward else reversed(layout.ranks):
            _spread(layout, rank, wanted, room)
    highest = min(layout.y.values(), default=0.0)
    for point in layout.y:
        layout.y[point] -= highest


def _spread(
    layout: Layout, rank: Sequence[Point], wanted: Callable[[Point], float], room: Callable[[Point, Point], float]
) -> None:
    """Place one rank: the mean of pushing everything down and pushing everything up, both of which keep the distances."""
    if not rank:
        return
    down = [wanted(point) for point in rank]
    up = list(down)
    for i in range(1, len(rank)):
        down[i] = max(down[i], down[i - 1] + room(rank[i - 1], rank[i]))
    for i in range(len(rank) - 2, -1, -1):
        up[i] = min(up[i], up[i + 1] - room(rank[i], rank[i + 1]))
    for point, low, high in zip(rank, up, down, strict=True):
        layout.y[point] = (low + high) / 2
