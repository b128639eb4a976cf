"""The JSON that verbs print is the standard library's, to the byte."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.render.json_text import indented

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner))


@given(value=_VALUES, ascii_only=st.booleans())
def test_it_is_what_the_standard_library_writes(value: Any, ascii_only: bool) -> None:
    assert indented(value, ascii_only=ascii_only) == json.dumps(
        value, indent=2, sort_keys=True, ensure_ascii=ascii_only
    )


def test_subclasses_of_json_types_are_written_in_their_place() -> None:
    value = {"a": [OrderedDict(b=[1, {}], a=OrderedDict(c=2)), []], "b": {}}
    assert indented(value) == json.dumps(value, indent=2, sort_keys=True)


def test_keys_that_are_no_text_are_refused() -> None:
    with pytest.raises(TypeError, match="keys are text"):
        indented({1: 2})
