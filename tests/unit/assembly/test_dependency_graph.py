"""Order, closures and cycles of dependency graphs."""

from __future__ import annotations

import pytest

from clockwork_nb.assembly.graph import Graph
from clockwork_nb.errors import InvalidInputError


def test_order_puts_needs_first_and_then_goes_by_name() -> None:
    graph = Graph({"c": ["a"], "b": [], "a": [], "d": ["c", "b"]})
    assert graph.order() == ["a", "b", "c", "d"]
    assert graph.order(key=lambda n: -ord(n)) == ["b", "a", "c", "d"]
    assert (graph.needs("d"), graph.dependents("a"), len(graph), "a" in graph) == (("b", "c"), ["c"], 4, True)


def test_needs_outside_the_graph_and_on_itself_are_left_out() -> None:
    assert Graph({"a": ["a", "nowhere"]}).needs("a") == ()


def test_closures_go_both_ways() -> None:
    graph = Graph({"a": [], "b": ["a"], "c": ["b"], "x": []})
    assert graph.closure(["c", "unknown"]) == {"a", "b", "c"}
    assert graph.closure(["a"], dependents=True) == {"a", "b", "c"}


def test_a_cycle_is_named_by_a_shortest_path() -> None:
    needs = {"a": ["b"], "b": ["c", "d"], "c": ["d"], "d": ["a"], "behind": ["a"], "free": []}
    graph = Graph(needs)
    with pytest.raises(InvalidInputError) as caught:
        graph.order()
    cycle = caught.value.details["cycle"]
    assert len(cycle) == 3
    assert all(b in needs[a] for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    assert graph.stuck() == {"a", "b", "c", "d", "behind"}


def test_cycles_can_be_cut_instead() -> None:
    graph = Graph({"b": ["c"], "c": ["b"], "a": ["b"], "z": []})
    assert graph.order(break_cycles=True) == ["z", "a", "b", "c"]


def test_a_chain_of_100_000_needs_no_recursion() -> None:
    count = 100_000
    names = [f"n{i:06}" for i in range(count)]
    graph = Graph({names[i]: names[i - 1 : i] for i in reversed(range(count))})
    assert graph.order() == names
    assert len(graph.closure([names[-1]])) == count


def test_a_cycle_of_100_000_is_found_without_recursion() -> None:
    count = 100_000
    names = [f"n{i:06}" for i in range(count)]
    graph = Graph({names[i]: [names[i - 1]] for i in range(count)})
    with pytest.raises(InvalidInputError) as caught:
        graph.order()
    assert len(caught.value.details["cycle"]) == count
    assert len(graph.order(break_cycles=True)) == count
