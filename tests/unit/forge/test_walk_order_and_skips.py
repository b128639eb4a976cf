"""The graph walk: order, parallelism, failures, stopping."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge.walk import Skip, WalkResult, walk


def never() -> bool:
    return False


def go(
    nodes: Sequence[str],
    needs: Mapping[str, tuple[str, ...]],
    run: Callable[[str], bool | None],
    *,
    parallelism: int = 1,
    stop: Callable[[], bool] = never,
    **more: object,
) -> WalkResult:
    return walk(nodes, needs, run, parallelism=parallelism, stop=stop, **more)  # type: ignore[arg-type]


def test_ready_nodes_start_in_the_order_they_were_given() -> None:
    seen: list[str] = []

    def run(node: str) -> bool:
        seen.append(node)
        return True

    result = go("dcba", {"d": ("a",), "c": ("b",)}, run)
    assert seen == ["b", "c", "a", "d"]
    assert result.done == seen
    assert (result.failed, result.skipped, result.waiting) == ([], [], [])


def test_independent_nodes_run_at_the_same_time_but_not_more_than_allowed() -> None:
    together = threading.Barrier(3, timeout=20)
    lock = threading.Lock()
    running, most = 0, 0

    def run(node: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()  # passes only when three are here at once
        with lock:
            running -= 1
        return True

    assert len(go([str(i) for i in range(9)], {}, run, parallelism=3).done) == 9
    assert most == 3


def test_a_failure_takes_its_dependents_with_it_and_the_rest_goes_on() -> None:
    told: list[list[Skip]] = []
    result = go(
        ["a", "b", "c", "d", "e"],
        {"b": ("a",), "c": ("b",), "d": ("e", "b")},
        lambda n: n != "a",
        on_skip=lambda skips: told.append(list(skips)),
    )
    assert result.failed == ["a"]
    assert result.done == ["e"]
    assert told == [[Skip("b", "a"), Skip("c", "a"), Skip("d", "a")]]
    assert result.skipped == told[0]


def test_a_node_with_two_failed_needs_is_skipped_once_with_the_first_cause() -> None:
    result = go(["a", "b", "c"], {"c": ("a", "b")}, lambda n: False)
    assert result.skipped == [Skip("c", "a")]


def test_what_is_done_already_counts_and_is_not_run() -> None:
    seen: list[str] = []

    def run(node: str) -> bool:
        seen.append(node)
        return True

    result = go(["a", "b", "c"], {"b": ("a",), "c": ("b",)}, run, done={"a", "b"})
    assert seen == ["c"]
    assert result.done == ["c"]


def test_nothing_to_do() -> None:
    assert go([], {}, lambda n: True) == WalkResult()
    assert go(["a"], {}, lambda n: True, done={"a"}) == WalkResult()


def test_a_stop_lets_running_nodes_end_and_starts_nothing_more() -> None:
    stopped = threading.Event()

    def run(node: str) -> bool:
        if node == "b":
            stopped.set()
        return True

    result = go(["a", "b", "c", "d"], {"d": ("a",)}, run, stop=stopped.is_set)
    assert result.done == ["a", "b"]
    assert result.waiting == ["c", "d"]


def test_a_node_that_was_stopped_leaves_its_dependents_waiting() -> None:
    result = go(["a", "b"], {"b": ("a",)}, lambda n: None)
    assert (result.done, result.failed, result.skipped, result.waiting) == ([], [], [], ["b"])


@pytest.mark.parametrize("parallelism", [1, 4])
def test_an_exception_ends_the_walk_after_the_running_nodes(parallelism: int) -> None:
    class Boom(Exception):
        pass

    def run(node: str) -> bool:
        if node == "b":
            raise Boom(node)
        return True

    with pytest.raises(Boom, match="b"):
        go([*"abcdef"], {}, run, parallelism=parallelism)
    with pytest.raises(Boom):
        go(["a", "b"], {"b": ("a",)}, lambda n: False, on_skip=lambda skips: (_ for _ in ()).throw(Boom()))
    assert not [t for t in threading.enumerate() if t.name.startswith("step-")]


def test_cycles_and_unknown_needs_are_refused_before_anything_runs() -> None:
    with pytest.raises(InvalidInputError, match="circle"):
        go(["x", "a", "b"], {"a": ("b",), "b": ("a",)}, lambda n: pytest.fail("ran"))
    with pytest.raises(InvalidInputError, match="needs z"):
        go(["a"], {"a": ("z",)}, lambda n: pytest.fail("ran"))


def test_ten_thousand_nodes_in_a_chain_and_in_one_failing_fan() -> None:
    nodes = [str(i) for i in range(10_000)]
    chain = {nodes[i]: (nodes[i - 1],) for i in range(1, len(nodes))}
    assert go(nodes, chain, lambda n: True, parallelism=4).done == nodes
    failed = go(nodes, chain, lambda n: n != "0")
    assert len(failed.skipped) == 9_999
    assert {s.cause for s in failed.skipped} == {"0"}


def test_ctrl_c_stops_the_walk_and_is_reported_once_the_running_nodes_ended() -> None:
    told = threading.Event()

    def run(node: str) -> bool | None:
        if node == "a":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            assert told.wait(20)
            return None
        return True

    result = go(["a", "b"], {}, run, on_interrupt=told.set)
    assert result.interrupted
    assert result.waiting == ["b"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_graph_every_node_ends_once_and_after_its_needs(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 14))
    nodes = [f"n{i}" for i in range(count)]
    needs = {
        nodes[i]: tuple(nodes[j] for j in sorted(data.draw(st.sets(st.integers(0, i - 1), max_size=4)))) if i else ()
        for i in range(count)
    }
    bad = data.draw(st.sets(st.sampled_from(nodes), max_size=3))
    order: list[str] = []
    lock = threading.Lock()

    def run(node: str) -> bool:
        with lock:
            assert all(n in order and n not in bad for n in needs[node])
            order.append(node)
        return node not in bad

    result = go(nodes, needs, run, parallelism=data.draw(st.integers(1, 4)))
    skipped = {s.node for s in result.skipped}
    assert sorted([*result.done, *result.failed, *skipped]) == sorted(nodes)
    assert set(result.failed) == bad - skipped
    assert all(s.cause in bad for s in result.skipped)
    assert all(any(n in bad or n in skipped for n in needs[s]) for s in skipped)
