"""Order among nodes that need one another, and the shortest cycle when there is none. Linear and iterative."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["cycles", "order"]

# Up to so many steps are spent on finding the very shortest cycle of a knot; beyond it, the shortest through one node.
_SEARCH = 200_000


def order(needs: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str]]:
    """Return the keys of *needs* so that each comes after what it needs, and those that cannot be ordered.

    Among keys that are free at the same time the order of *needs* decides. Every needed key must be in *needs*.
    """
    waiting: dict[str, int] = {}
    wanted_by: dict[str, list[str]] = {}
    for node, targets in needs.items():
        count = 0
        for target in targets:
            wanted_by.setdefault(target, []).append(node)
            count += 1
        waiting[node] = count
    ready = deque(node for node, count in waiting.items() if not count)
    done: list[str] = []
    while ready:
        node = ready.popleft()
        done.append(node)
        for follower in wanted_by.get(node, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return done, [node for node, count in waiting.items() if count]


def _knots(nodes: Sequence[str], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the strongly connected components with a cycle (Tarjan, iterative), each in the order of *nodes*."""
    position = {node: i for i, node in enumerate(nodes)}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    on_stack: set[str] = set()
    stack: list[str] = []
    knots: list[list[str]] = []
    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(needs[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in position:
                    continue
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(needs[target])))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    knot: list[str] = []
                    while not knot or knot[-1] != node:
                        knot.append(stack.pop())
                        on_stack.discard(knot[-1])
                    if len(knot) > 1 or node in needs[node]:
                        knots.append(sorted(knot, key=position.__getitem__))
    return sorted(knots, key=lambda knot: position[knot[0]])


def _shortest_through(start: str, members: set[str], needs: Mapping[str, Sequence[str]]) -> tuple[list[str], int]:
    """Return the shortest cycle through *start* and how many steps were taken to find it."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    steps = 0
    while queue:
        node = queue.popleft()
        for target in needs[node]:
            steps += 1
            if target == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1], steps
            if target in members and target not in came_from:
                came_from[target] = node
                queue.append(target)
    return [], steps


def cycles(nodes: Sequence[str], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return one shortest cycle for each knot among *nodes*: ``[a, b, c]`` when a needs b, b needs c and c needs a."""
    found: list[list[str]] = []
    for knot in _knots(nodes, needs):
        members = set(knot)
        best: list[str] = []
        budget = _SEARCH
        for start in knot:
            path, steps = _shortest_through(start, members, needs)
            if path and (not best or len(path) < len(best)):
                best = path
            budget -= steps
            if budget <= 0 or len(best) == 1:
                break
        found.append(best)
    return found
