"""Configs are compared leaf by leaf."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from clockwork_nb.assembly.diff import diff_config, same_value, with_known_secrets
from clockwork_nb.intake.values import Unknown
from clockwork_nb.secrets import Sensitive, seal

KEY = b"k" * 32


def paths(before: dict[str, Any], after: dict[str, Any], **options: Any) -> list[tuple[str, Any, Any]]:
    return [(c.path, c.before, c.after) for c in diff_config(before, after, KEY, **options)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": None}, {}, []),
        ({}, {"a": None}, []),
        ({}, {"a": 1}, [("a", None, 1)]),
        ({"e": {"A": "1"}}, {"e": {"A": "2"}}, [("e.A", "1", "2")]),
        ({"e": {"A": "1"}}, {"e": {}}, [("e.A", "1", None)]),
        ({"e": {"A.B": "1"}}, {"e": {"A.B": "2"}}, [('e["A.B"]', "1", "2")]),
        ({"e": {'q"': "1"}}, {"e": {'q"': "2"}}, [('e["q\\""]', "1", "2")]),
        ({"p": [{"x": 1}]}, {"p": [{"x": 2}]}, [("p.0.x", 1, 2)]),
        ({"p": [1, 2]}, {"p": [1]}, [("p.1", 2, None)]),
        ({"p": []}, {"p": [1]}, [("p.0", None, 1)]),
        ({"h": None}, {"h": {"a": 1}}, [("h", None, {"a": 1})]),
        ({"h": {"a": 1}}, {"h": "text"}, [("h", {"a": 1}, "text")]),
        ({"n": True}, {"n": 1}, [("n", True, 1)]),
        ({"n": "1"}, {"n": 1}, [("n", "1", 1)]),
        ({"n": 0.1}, {"n": Decimal("0.1")}, []),
        ({"n": 2}, {"n": Decimal("2.0")}, []),
        ({"n": 2}, {"n": 2.5}, [("n", 2, 2.5)]),
        ({"n": [1, [2, [3]]]}, {"n": (1, (2, (4,)))}, [("n.1.1.0", 3, 4)]),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, [("a", 1, 2), ("b", 1, 2)]),
    ],
)
def test_differences(before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, Any, Any]]) -> None:
    assert paths(before, after) == expected


def test_an_ignored_attribute_is_not_compared_at_any_depth() -> None:
    assert paths({"e": {"A": 1}, "f": 1}, {"e": {"A": 2}, "f": 2}, ignore=("e",)) == [("f", 1, 2)]


def test_what_forces_a_replacement_is_marked_at_every_leaf() -> None:
    changes = diff_config({"p": [1, 2], "q": 1}, {"p": [3, 4], "q": 2}, KEY, forces=("p",))
    assert [(c.path, c.forces_replacement) for c in changes] == [("p.0", True), ("p.1", True), ("q", False)]


def test_sensitive_values_match_their_digest_under_the_same_key_only() -> None:
    recorded = seal(Sensitive({"a": [1, "x"]}), KEY)
    assert same_value(recorded, Sensitive({"a": [1, "x"]}), KEY)
    assert not same_value(recorded, Sensitive({"a": [1, "y"]}), KEY)
    assert not same_value(recorded, Sensitive({"a": [1, "x"]}), b"other")
    assert not same_value(recorded, {"a": [1, "x"]}, KEY)
    assert not same_value("x", Sensitive("x"), KEY)


def test_unknown_never_matches() -> None:
    assert not same_value(None, Unknown(), KEY)
    assert not same_value(seal(Sensitive("x"), KEY), Sensitive(Unknown()), KEY)


def test_known_secrets_take_the_place_of_digests_where_nothing_changed() -> None:
    recorded = {"env": {"A": seal(Sensitive("x"), KEY)}, "mode": "0600", "old": 1}
    wanted = {"env": {"A": Sensitive("x")}, "mode": "0644"}
    assert with_known_secrets(recorded, wanted, KEY) == {"env": {"A": Sensitive("x")}, "mode": "0600", "old": 1}


def test_very_deep_values_do_not_hit_the_recursion_limit() -> None:
    before: Any = 1
    after: Any = 2
    for _ in range(5000):
        before, after = {"a": before}, {"a": after}
    (change,) = diff_config({"x": before}, {"x": after}, KEY)
    assert (change.before, change.after) == (1, 2)
