"""Any bytes are a bundle that passes the gate, or are refused with a code; nothing else ever comes out of the reader."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.errors import BundleError
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.forge.bundle_reader import bundle_from_json, read_bundle
from clockwork_nb.forge.content_flags import content_flags
from clockwork_nb.forge.validate import validate_bundle
from tests.conformance.bundles.hostile_documents import ACTIONS, INTERPRETERS, honest, text

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ("sh", "../x", "\ud800", "scripts/file.a/write_file.sh", "-c", "data", "0755", "file.a:write_file", "secret")
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of *document*."""
    out: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        value = stack.pop()
        keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        out += [(value, key) for key in keys]
        stack += [value[key] for key in keys]
    return out


def _read(data: bytes) -> Bundle | None:
    try:
        bundle = bundle_from_json(data, ACTIONS, interpreters=INTERPRETERS)
    except BundleError as error:
        found = error.details["findings"]
        assert found
        assert all(f["code"].startswith("E_BUNDLE_") and f["place"] and f["message"] for f in found)
        json.dumps(error.to_dict())
        return None
    assert validate_bundle(bundle, ACTIONS, source="agent") == []
    content_flags(bundle)
    return bundle


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_value_anywhere_in_an_honest_bundle(data: st.DataObject) -> None:
    document = copy.deepcopy(honest())
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(_places(document)))
        container[key] = data.draw(VALUES)
    _read(json.dumps(document).encode())


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 3), st.binary(min_size=1, max_size=3)), min_size=1, max_size=4
    )
)
def test_bytes_changed_anywhere(changes: list[tuple[int, int, bytes]]) -> None:
    data = text().encode()
    for at, length, new in changes:
        place = at % len(data)
        data = data[:place] + new + data[place + length :]
    _read(data)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes(data: bytes) -> None:
    reading = read_bundle(data, ACTIONS, interpreters=INTERPRETERS)
    assert reading.findings
    assert reading.bundle is None


def test_what_was_read_is_read_again_from_its_own_document() -> None:
    bundle = _read(text().encode())
    assert bundle is not None
    contents = {a["sha256"]: bundle.artifact(a["path"]).content for a in bundle.to_document()["artifacts"]}
    again = Bundle.from_document(bundle.to_document(), contents.__getitem__)
    assert again.digest == bundle.digest
    assert {a.path: a.content for a in again.artifacts} == {a.path: a.content for a in bundle.artifacts}
