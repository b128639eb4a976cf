"""One event, one spelling: what a record must be, byte by byte."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import jsonschema
import pytest
import rfc8785

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs.events import (
    CONTROL_TYPES,
    EVENT_FIELDS,
    MAX_LINE,
    decode_record,
    encode_record,
    event_schema,
    genesis_document,
    is_self_consistent,
    parse_genesis,
    validate,
)
from clockwork_nb.jobs.fields import EventInvalidError, Optional, Record, Text, clip
from clockwork_nb.testing import MemoryJob

STAMP = "2026-11-22T01:02:03.000004Z"
HEX = "ab" * 32


def status_line(**changes: Any) -> bytes:
    record: dict[str, Any] = {
        "created_at": STAMP,
        "epoch": 1,
        "job_id": "job_x",
        "payload": {"from": "queued", "to": "running"},
        "prev": HEX,
        "schema": "clockwork.event.v1",
        "seq": 3,
        "type": "job.status",
        **changes,
    }
    record["hash"] = sha256(b"clockwork.event.v1\n" + canonical_json(record)).hexdigest()
    return canonical_json(record)


def test_a_record_is_its_canonical_json_with_a_hash_over_the_rest() -> None:
    payload = {"from": "queued", "to": "running", "reason": 'q"\\\u2028\u007f\x1f é 😀'}
    event, line = encode_record(
        seq=3, created_at=STAMP, event_type="job.status", payload=payload, epoch=1, prev=HEX, job_id="job_x"
    )
    parsed = json.loads(line)
    assert line == rfc8785.dumps(parsed) + b"\n"
    digest = parsed.pop("hash")
    assert digest == event.hash == sha256(b"clockwork.event.v1\n" + rfc8785.dumps(parsed)).hexdigest()
    assert decode_record(line[:-1]) == event


def test_the_independent_spelling_of_a_record_reads_back() -> None:
    assert decode_record(status_line()).payload == {"from": "queued", "to": "running"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (status_line().replace(b'"epoch":1', b'"epoch":1 '), "canonical"),
        (status_line().replace(b'"epoch":1,', b'"epoch":1,"epoch":1,'), "canonical"),
        (status_line().replace(b"queued", b"\\u0071ueued"), "canonical"),
        (status_line().replace(b'"epoch":1', b'"epoch":1.0'), "1.0"),
        (status_line().replace(b'"epoch":1', b'"epoch":NaN'), "NaN"),
        (status_line().replace(b'"epoch":1', b'"epoch":-Infinity'), "Infinity"),
        (status_line().replace(b'"epoch":1', b'"epoch":1e0'), "1e0"),
        (status_line().replace(b'"seq":3', b'"seq":9007199254740993'), "seq"),
        (status_line().replace(b'"seq":3', b'"seq":' + b"9" * 5000), "JSON"),
        (status_line(seq=0), "seq"),
        (status_line(epoch=True), "epoch"),
        (status_line(created_at="2026-11-22T01:02:03Z"), "created_at"),
        (status_line(created_at="２０26-11-22T01:02:03.000004Z"), "created_at"),
        (status_line(job_id="Job X"), "job id"),
        (status_line(prev=HEX.upper()), "prev"),
        (status_line(type="job.unheard_of"), "not an event type"),
        (status_line(schema="clockwork.event.v2"), "schema"),
        (status_line(extra=1), "keys"),
        (status_line(payload={"from": "queued", "to": "running", "why": "x"}), "unknown key"),
        (status_line(payload={"from": "queued"}), "no 'to'"),
        (status_line(payload={"from": "queued", "to": "asleep"}), "one of"),
        (status_line(payload={"from": "queued", "to": "running", "reason": None}), "null"),
        (status_line(payload={"from": "queued", "to": "running", "reason": "a\x00b"}), "U+0000"),
        (status_line(payload=[]), "object"),
        (status_line().replace(b'"to":"running"', b'"reason":"\\ud800","to":"running"'), "surrogate"),
        (status_line().replace(b"running", b"runnin\xff"), "UTF-8"),
        (status_line().replace(b'"hash":"', b'"hash":"0'), "hash"),
        (b"[" * 50_000, ""),
        (b'{"a":' * 10_000, ""),
        (b"null", "keys"),
        (b"", "JSON"),
        (b" " + status_line(), "canonical"),
        (b"x" * MAX_LINE, "bytes"),
    ],
)
def test_any_other_spelling_is_refused(line: bytes, says: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        decode_record(line)
    assert says in caught.value.message
    assert not is_self_consistent(line)


def test_a_changed_value_no_longer_fits_the_hash() -> None:
    with pytest.raises(EventInvalidError, match="hash"):
        decode_record(status_line().replace(b'"running"', b'"blocked_error"'))


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**53, -1, True, "1", None, [1], (1,)])
def test_an_integer_field_takes_only_integers_that_json_keeps(value: object) -> None:
    with pytest.raises(EventInvalidError, match="duration_ms"):
        validate("cell.completed", {"cell": "c", "index": 0, "duration_ms": value})


def test_the_largest_integer_is_kept_exactly() -> None:
    payload = {"cell": "c", "index": 0, "duration_ms": 2**53 - 1}
    event, line = encode_record(
        seq=3, created_at=STAMP, event_type="cell.completed", payload=payload, epoch=1, prev=HEX, job_id="j"
    )
    assert decode_record(line[:-1]) == event


def test_text_is_measured_in_bytes() -> None:
    limit = Text(4)
    limit.check("éé", "x")
    with pytest.raises(EventInvalidError, match="6 bytes"):
        limit.check("ééé", "x")
    with pytest.raises(EventInvalidError, match="surrogate"):
        limit.check("\ud800", "x")


@pytest.mark.parametrize(("size", "fits"), [(MAX_LINE - 1, True), (MAX_LINE, True), (MAX_LINE + 1, False)])
def test_a_record_may_have_64_kib(size: int, fits: bool) -> None:
    def payload(length: int) -> dict[str, Any]:
        rules = [{"rule": f"file:{i}", "value": "v" * 4096} for i in range(15)]
        return {"rules": [*rules, {"rule": "last", "value": "v" * length}], "hash": HEX}

    def encode(length: int) -> int:
        return len(
            encode_record(
                seq=1,
                created_at=STAMP,
                event_type="env.captured",
                payload=payload(length),
                epoch=1,
                prev=HEX,
                job_id="j",
            )[1]
        )

    length = size - encode(0)
    if fits:
        assert encode(length) == size
    else:
        with pytest.raises(EventInvalidError, match=f"{size} bytes"):
            encode(length)


def test_the_table_uses_only_keys_of_the_profile() -> None:
    assert len(EVENT_FIELDS) == 42
    for name, record in EVENT_FIELDS.items():
        assert name.isascii()
        for key in record.fields:
            assert key.isascii() and key.islower() and len(key) <= 64
    assert CONTROL_TYPES < EVENT_FIELDS.keys()


def test_the_published_schema_agrees_with_the_checks_on_good_and_bad_records() -> None:
    schema = event_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    job = MemoryJob()
    for line in job.lines:
        validator.validate(json.loads(line))
    bad: list[dict[str, Any]] = [
        {"seq": 0},
        {"type": "x"},
        {"payload": {}},
        {"prev": "x"},
        {"job_id": "A"},
        {"more": 1},
    ]
    for changes in bad:
        assert not validator.is_valid(json.loads(status_line(**changes)))


def test_a_header_reads_back_only_unchanged() -> None:
    document = genesis_document(
        job_id="job_x",
        name="n",
        adapter="pipeline",
        lineage="",
        created_at=STAMP,
        producer_version="clockwork_nb 0.1.0",
    )
    data = canonical_json(document)
    assert parse_genesis(data) == document
    for bad in (
        data.replace(b'"n"', b'"m"'),
        data.replace(b":", b": ", 1),
        canonical_json({**document, "more": 1}),
        canonical_json({k: v for k, v in document.items() if k != "lineage"}),
        b"[]",
        b"",
        b"{" * 100_000,
    ):
        with pytest.raises(InvalidInputError):
            parse_genesis(bad)


def test_clip_marks_what_it_cuts_and_never_splits_a_character() -> None:
    assert clip("é" * 10, 20) == "é" * 10
    cut = clip("é" * 11, 20)
    assert cut.endswith("[cut]") and len(cut.encode()) <= 20
    assert clip("a\x00\ud800b", 20) == "a\ufffd\ufffdb"
    assert len(clip("x" * 5000, 2000).encode()) == 2000


def test_an_optional_key_may_be_absent_and_never_null() -> None:
    record = Record(a=Text(), b=Optional(Text()))
    record.check({"a": ""}, "r")
    with pytest.raises(EventInvalidError, match=r"r\.b"):
        record.check({"a": "", "b": None}, "r")
