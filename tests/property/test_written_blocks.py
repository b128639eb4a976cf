"""A block that the tool writes says exactly what it was made from, whatever the values are."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.intake.decode import Source, evaluate, read_configuration
from clockwork_nb.intake.generated import block_text
from clockwork_nb.intake.scope import EvaluationContext

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=60)
VALUES = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.lists(TEXTS, max_size=3),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
)
TRICKY = st.sampled_from(
    ["${x}", "$${x}", "%{ if a }", '"', "\\", "\\${", "a\nb", "$$", "%%{", "<<E\nx\nE", "#", "//", "{}"]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(VALUES, TRICKY, st.lists(TRICKY, max_size=3)))
def test_what_is_written_is_what_is_read(value: Any) -> None:
    text = block_text("box", "x", {"value": value})
    body = re.fullmatch(r'box "x" \{\n(.*)\}\n', text, re.DOTALL)
    assert body is not None
    source = Source("m.cw", "m.cw", f'output "o" {{\n{body.group(1)}}}\n'.encode())
    configuration, found = read_configuration([source], types={})
    assert not found.has_errors, [d.summary for d in found]
    desired, _ = evaluate(configuration, types={}, inputs=[], context=EvaluationContext())
    assert desired.outputs[0].value == value
