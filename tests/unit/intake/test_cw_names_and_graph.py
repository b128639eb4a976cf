"""Suggestions, and order among things that need one another."""

from __future__ import annotations

import pytest

from clockwork_nb.diagnostics import SUMMARY_LIMIT
from clockwork_nb.intake.graph import cycles, order
from clockwork_nb.intake.names import did_you_mean, nearest, shown, summary


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("imgae", ["image", "name"], "image"),
        ("pahts", ["path"], "path"),
        ("Image", ["image"], "image"),
        ("helth_check", ["health_check", "http"], "health_check"),
        ("x", ["y"], ""),
        ("ab", ["cd"], ""),
        ("port", ["image"], ""),
        ("prot", ["part", "port"], "port"),
        ("cat", ["bat", "car"], "bat"),
        ("", ["a"], ""),
        ("a" * 1000, ["a" * 1000], ""),
    ],
)
def test_nearest(name: str, known: list[str], found: str) -> None:
    assert nearest(name, known) == found


def test_texts_for_people() -> None:
    assert did_you_mean("prot", ["port"], prefix="var.") == 'did you mean "var.port"?'
    assert did_you_mean("zzz", ["port"]) == ""
    assert shown("a") == '"a"'
    assert len(shown("a" * 100)) < 45
    assert summary("x" * SUMMARY_LIMIT) == "x" * SUMMARY_LIMIT
    assert len(summary("x" * (SUMMARY_LIMIT + 1))) == SUMMARY_LIMIT


def test_order_follows_needs_and_keeps_the_given_order_among_equals() -> None:
    needs = {"a": ["c"], "b": [], "c": ["d"], "d": [], "e": []}
    done, left = order(needs)
    assert done == ["b", "d", "e", "c", "a"]
    assert left == []


def test_what_hangs_on_a_cycle_is_left_too() -> None:
    needs = {"a": ["b"], "b": ["a"], "c": ["a"], "d": []}
    done, left = order(needs)
    assert done == ["d"]
    assert left == ["a", "b", "c"]
    assert cycles(left, needs) == [["a", "b"]]


def test_the_shortest_cycle_of_a_knot() -> None:
    needs = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": ["c"], "e": ["e"]}
    _, left = order(needs)
    assert cycles(left, needs) == [["c", "d"], ["e"]]


def test_a_long_cycle_needs_no_recursion() -> None:
    count = 50_000
    needs = {str(i): [str((i + 1) % count)] for i in range(count)}
    done, left = order(needs)
    assert not done
    (found,) = cycles(left, needs)
    assert len(found) == count
