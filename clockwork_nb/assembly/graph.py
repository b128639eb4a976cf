"""Dependency graphs: order, closures, and who waits for whom. Iterative, linear, and the same for the same names."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from clockwork_nb.errors import InvalidInputError

__all__ = ["Graph"]


class Graph:
    """Nodes and what each of them needs. Immutable.

    Args:
        needs: node → the nodes it needs. Needs that are no nodes themselves are left out.
    """

    def __init__(self, needs: Mapping[str, Iterable[str]]) -> None:
        self._needs: dict[str, tuple[str, ...]] = {
            node: tuple(sorted({n for n in wanted if n in needs and n != node})) if wanted else ()
            for node, wanted in needs.items()
        }
        self._dependents: dict[str, list[str]] = {}
        for node in sorted(node for node, wanted in self._needs.items() if wanted):
            for need in self._needs[node]:
                self._dependents.setdefault(need, []).append(node)
        self._order: list[str] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._needs)

    def __contains__(self, node: object) -> bool:
        return node in self._needs

    def __len__(self) -> int:
        return len(self._needs)

    def needs(self, node: str) -> Sequence[str]:
        """Return what *node* needs directly, sorted."""
        return self._needs[node]

    def dependents(self, node: str) -> Sequence[str]:
        """Return what needs *node* directly, sorted."""
        return self._dependents.get(node, ())

    def order(self, *, key: Callable[[str], Any] | None = None, break_cycles: bool = False) -> list[str]:
        """Return all nodes, each after what it needs; among those that are ready the smallest first (Kahn with a heap).

        Args:
            key: what "smallest" compares, the node itself without it; must tell nodes apart and be comparable.
            break_cycles: go on with the smallest waiting node when all that are left wait for each other.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, there is a cycle; it is named, by a shortest path.
        """
        if key is None:
            if self._order is None:
                self._order = self._ordered(None, break_cycles=break_cycles)
            return list(self._order)
        return self._ordered(key, break_cycles=break_cycles)

    def _ordered(self, key: Callable[[str], Any] | None, *, break_cycles: bool) -> list[str]:
        names = sorted(self._needs, key=key)
        if not self._dependents:
            return names
        rank = {node: i for i, node in enumerate(names)}
        missing = {node: len(needs) for node, needs in self._needs.items()}
        ready = [rank[node] for node, count in missing.items() if count == 0]
        heapq.heapify(ready)
        done: set[str] = set()
        out: list[str] = []
        waiting = iter(names)
        while len(out) < len(names):
            if not ready:
                if not break_cycles:
                    cycle = self._shortest_cycle({n for n in self._needs if n not in done})
                    raise InvalidInputError(
                        f"these need each other: {' → '.join([*cycle, cycle[0]])}",
                        hint="Break one of these dependencies.",
                        details={"cycle": cycle},
                    )
                ready.append(rank[next(n for n in waiting if n not in done)])
            node = names[heapq.heappop(ready)]
            if node in done:
                continue
            done.add(node)
            out.append(node)
            for dependent in self._dependents.get(node, ()):
                missing[dependent] -= 1
                if missing[dependent] == 0 and dependent not in done:
                    heapq.heappush(ready, rank[dependent])
        return out

    def stuck(self) -> set[str]:
        """Return the nodes that can never be reached in order: those on cycles and those that need them."""
        missing = {node: len(needs) for node, needs in self._needs.items()}
        ready = [node for node, count in missing.items() if count == 0]
        while ready:
            for dependent in self._dependents.get(ready.pop(), ()):
                missing[dependent] -= 1
                if missing[dependent] == 0:
                    ready.append(dependent)
        return {node for node, count in missing.items() if count}

    def closure(self, starts: Iterable[str], *, dependents: bool = False) -> set[str]:
        """Return *starts* and everything they need, directly or not; with *dependents* everything that needs them."""
        edges: Mapping[str, Sequence[str]] = self._dependents if dependents else self._needs
        seen = {node for node in starts if node in self._needs}
        stack = list(seen)
        while stack:
            for node in edges.get(stack.pop(), ()):
                if node not in seen:
                    seen.add(node)
                    stack.append(node)
        return seen

    def _shortest_cycle(self, left: set[str]) -> list[str]:
        """Return a shortest cycle through one node of *left* (nodes that all wait for another of them)."""
        # Walking along the needs from anywhere ends up in a cycle.
        node, seen = min(left), set[str]()
        while node not in seen:
            seen.add(node)
            node = next(n for n in self._needs[node] if n in left)
        start = node
        came: dict[str, str] = {}
        frontier = [start]
        while frontier:
            following = []
            for current in frontier:
                for need in self._needs[current]:
                    if need == start:
                        path = [current]
                        while path[-1] != start:
                            path.append(came[path[-1]])
                        return path[::-1]
                    if need in left and need not in came:
                        came[need] = current
                        following.append(need)
            frontier = following
        return [start]
