"""The JSON that verbs print is the standard library's, to the byte but for fractions."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.render.json_text import indented

_LEAVES = st.none() | st.booleans() | st.integers() | st.text()
_FRACTIONS = st.floats(allow_nan=False, allow_infinity=False)


def _values(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner))


@given(value=_values(_LEAVES), ascii_only=st.booleans())
def test_it_is_what_the_standard_library_writes(value: Any, ascii_only: bool) -> None:
    assert indented(value, ascii_only=ascii_only) == json.dumps(
        value, indent=2, sort_keys=True, ensure_ascii=ascii_only
    )


@given(value=_values(_LEAVES | _FRACTIONS), ascii_only=st.booleans())
def test_fractions_are_read_back_as_they_were(value: Any, ascii_only: bool) -> None:
    text = indented(value, ascii_only=ascii_only)
    assert json.dumps(json.loads(text), sort_keys=True) == json.dumps(value, sort_keys=True)


def test_subclasses_of_json_types_are_written_in_their_place() -> None:
    value = {"a": [OrderedDict(b=[1, {}], a=OrderedDict(c=2)), []], "b": {}}
    assert indented(value) == json.dumps(value, indent=2, sort_keys=True)


@pytest.mark.parametrize("ascii_only", [True, False])
def test_file_names_that_are_no_text_are_written_all_the_same(ascii_only: bool) -> None:
    value = {"path": "caf\udce9", "é": "\U0001f600"}
    assert indented(value, ascii_only=ascii_only) == json.dumps(
        value, indent=2, sort_keys=True, ensure_ascii=ascii_only
    )
