"""A sensitive value never shows in text, and the redactor finds its usual disguises."""

from __future__ import annotations

import base64
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.secrets import MASK, Redactor, Sensitive, seal, unseal

CANARY = "hunter2-köäry/+"


def test_text_forms_are_masked() -> None:
    secret = Sensitive(CANARY)
    assert {str(secret), repr(secret), f"{secret}", f"{secret:>30}"} == {MASK}


def test_it_has_no_json_and_no_pickle() -> None:
    with pytest.raises(InvalidInputError):
        canonical_json({"a": Sensitive(CANARY)})
    with pytest.raises(TypeError):
        pickle.dumps(Sensitive(CANARY))


def test_sealing_is_keyed_and_stable() -> None:
    doc = {"env": [{"A": Sensitive(CANARY)}], "plain": 1}
    sealed = seal(doc, b"k1")
    assert CANARY not in json.dumps(sealed)
    assert sealed == seal(doc, b"k1")
    assert sealed != seal(doc, b"k2")
    assert unseal(doc) == {"env": [{"A": CANARY}], "plain": 1}


@pytest.mark.parametrize(
    "form",
    [
        CANARY.encode(),
        base64.b64encode(CANARY.encode()),
        CANARY.encode().hex().encode(),
        json.dumps(CANARY)[1:-1].encode(),
        b"hunter2-k%C3%B6%C3%A4ry%2F%2B",
    ],
)
def test_disguises_are_found(form: bytes) -> None:
    redactor = Redactor()
    redactor.register({"x": [Sensitive(CANARY)]})
    assert redactor.redact_bytes(b"before " + form + b" after") == b"before " + MASK.encode() + b" after"


@given(st.integers(0, 40))
def test_a_value_cut_by_a_chunk_border_is_held_back(cut: int) -> None:
    redactor = Redactor()
    redactor.register(CANARY)
    data = b"x" * 10 + CANARY.encode() + b"y" * 10
    cut = min(cut, len(data))
    pending, out = b"", b""
    for chunk in (data[:cut], data[cut:]):
        text = redactor.redact_bytes(pending + chunk)
        keep = min(redactor.overlap, len(text))
        out, pending = out + text[: len(text) - keep], text[len(text) - keep :]
    out += redactor.redact_bytes(pending)
    assert CANARY.encode() not in out
