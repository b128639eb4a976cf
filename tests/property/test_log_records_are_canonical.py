"""For every event type and any content: one spelling, read back equal, and the published schema says the same."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs.events import EVENT_FIELDS, decode_record, encode_record, event_schema, validate
from clockwork_nb.jobs.fields import Choice, FieldType, Flag, Int, ListOf, Pattern, Record, Text

STAMP = "2026-11-22T01:02:03.000004Z"
VALIDATOR = jsonschema.Draft202012Validator(event_schema())
# At most the 64 bytes that the shortest text may have; the schema can count characters alone.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=16)


def values(kind: FieldType) -> st.SearchStrategy[Any]:
    match kind:
        case Text():
            return TEXT if kind.empty else TEXT.filter(bool)
        case Pattern():
            return st.from_regex(kind.compiled, fullmatch=True)
        case Int():
            return st.integers(kind.low, kind.high)
        case Flag():
            return st.booleans()
        case Choice():
            return st.sampled_from(kind.words)
        case ListOf():
            return st.lists(values(kind.of), max_size=3)
        case Record():
            required = {name: values(kind.fields[name]) for name in kind.required}
            optional = {name: values(of) for name, of in kind.fields.items() if name not in kind.required}
            return st.fixed_dictionaries(required, optional=optional)
    raise AssertionError(kind)


EVENTS = st.sampled_from(sorted(EVENT_FIELDS)).flatmap(
    lambda name: st.tuples(st.just(name), values(EVENT_FIELDS[name]))
)
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), TEXT, st.lists(st.integers(), max_size=2), st.just({})
)


def encode(name: str, payload: dict[str, Any]) -> bytes:
    return encode_record(
        seq=7, created_at=STAMP, event_type=name, payload=payload, epoch=2, prev="0" * 64, job_id="job_x"
    )[1]


@given(EVENTS)
@settings(max_examples=300, deadline=None)
def test_a_record_is_canonical_reads_back_and_passes_the_schema(event: tuple[str, dict[str, Any]]) -> None:
    name, payload = event
    line = encode(name, payload)
    record = json.loads(line)
    assert rfc8785.dumps(record) + b"\n" == line
    assert decode_record(line[:-1]).payload == payload
    VALIDATOR.validate(record)


@given(EVENTS, st.data())
@settings(max_examples=300, deadline=None)
def test_checks_and_schema_agree_on_damaged_payloads(event: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    name, payload = event
    keys = sorted(EVENT_FIELDS[name].fields)
    key = data.draw(st.sampled_from([*keys, "stranger"]))
    damaged = {**payload, key: data.draw(ANYTHING)}
    if data.draw(st.booleans()):
        del damaged[key]
    record = {**json.loads(encode(name, payload)), "payload": damaged}
    try:
        validate(name, damaged)
        accepted = True
    except InvalidInputError:
        accepted = False
    assert VALIDATOR.is_valid(record) == accepted


@given(EVENTS, st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_never_goes_unnoticed(event: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    line = encode(*event)[:-1]
    position = data.draw(st.integers(0, len(line) - 1))
    damaged = bytearray(line)
    damaged[position] ^= data.draw(st.integers(1, 255))
    try:
        decode_record(bytes(damaged))
    except InvalidInputError:
        return
    raise AssertionError(f"byte {position} of {line!r} may be anything")
