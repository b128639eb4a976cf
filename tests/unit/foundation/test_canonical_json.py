"""Canonical JSON equals RFC 8785, checked against an independent implementation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.canonical import canonical_json, digest, parse_json
from clockwork_nb.errors import InvalidInputError

SAFE = 2**53 - 1
scalars = (
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.text(st.characters(exclude_categories=["Cs"]))
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != int(x) or abs(x) <= SAFE)
)  # fmt: skip
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(documents)
def test_bytes_equal_the_reference_implementation(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(documents)
def test_canonical_form_is_a_fixed_point(value: Any) -> None:
    once = canonical_json(value)
    assert canonical_json(parse_json(once)) == once


def test_keys_sort_by_utf16_units() -> None:
    assert canonical_json({"\U0001f600": 1, "\ufb33": 2}) == '{"\U0001f600":1,"\ufb33":2}'.encode()


def test_whole_decimals_are_integers() -> None:
    assert canonical_json([Decimal("2.0"), Decimal("0.5")]) == b"[2,0.5]"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 2**53, 1e16, "\ud800", {1: 2}, {"a": {1, 2}}, b"x"])
def test_values_without_a_json_form_are_refused(bad: Any) -> None:
    with pytest.raises(InvalidInputError):
        canonical_json(bad)


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "NaN", "1e999", "[-1e400]", "[1,]", b"\xff", "[" * 100_000])
def test_loose_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_json(text)


def test_digest_is_of_the_canonical_bytes() -> None:
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
