"""The log of a Wrkr job folder: what can be read is read, what cannot is told with its place, nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack import wrkr_log
from clockwork_nb.jobpack.wrkr_log import WrkrLog, read_log
from clockwork_nb.jobpack.wrkr_values import MAX_DEPTH, utc_stamp
from tests.conformance.wrkr.folders import PARTIAL, REAL_FINGERPRINT, REAL_LEASE, decision, demo


def line(seq: int, kind: str = "status_changed", payload: str = "{}", at: str = "2026-11-21T23:34:03Z") -> bytes:
    return b'{"seq":%d,"created_at":"%b","type":"%b","payload":%b}\n' % (
        seq,
        at.encode(),
        kind.encode(),
        payload.encode(),
    )


def codes(log: WrkrLog) -> list[str]:
    return [finding.code for finding in log.findings]


def test_lines_that_wrkr_printed_are_read_to_the_nanosecond() -> None:
    log = read_log(REAL_FINGERPRINT + REAL_LEASE)
    assert [(e.seq, e.created_at, e.type) for e in log.events] == [
        (2, "2026-11-21T23:34:03.814707543Z", "env_fingerprint_set"),
        (5, "2026-11-21T23:35:31.48064661Z", "lease_set"),
    ]
    assert log.events[1].payload["lease_id"] == "lease-28499-1795304131480344229"
    assert codes(log) == ["gap", "gap"]
    assert log.readable == log.size


def test_a_whole_log_has_no_findings() -> None:
    log = read_log(bytes(decision().log))
    assert codes(log) == []
    assert [event.seq for event in log.events] == list(range(1, len(log.events) + 1))


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_torn_tail_is_left_out_and_told_with_its_place(cut: int) -> None:
    whole = bytes(demo().log)
    log = read_log(whole[:-cut])
    (finding,) = log.findings
    assert finding.code == "torn_tail"
    assert finding.offset == log.readable == whole.rindex(b"\n", 0, -1) + 1
    assert len(log.events) == 6
    assert finding.seq == (7 if cut == 1 else None)  # only the line end is missing: the record itself is told


def test_a_record_glued_to_a_partial_one_ends_the_log_and_is_named() -> None:
    before = bytes(demo().log)
    log = read_log(before + PARTIAL + line(8, "approval_recorded") + line(9))
    assert codes(log) == ["broken_line", "glued_record", "rest_unread"]
    broken, glued, rest = log.findings
    assert broken.offset == log.readable == len(before)
    assert (glued.seq, glued.offset) == (8, len(before) + len(PARTIAL))
    assert "approval_recorded" in glued.message
    assert "1 more lines" in rest.message
    assert len(log.events) == 7


def test_the_last_of_many_glued_beginnings_is_the_whole_one() -> None:
    log = read_log(PARTIAL * 40 + line(8))
    assert codes(log) == ["broken_line", "glued_record"]
    assert log.findings[1].seq == 8


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"not json", "not JSON"),
        (b'{"seq":1,"seq":2,"created_at":"2026-11-21T23:34:03Z","type":"x"}', "appears twice"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"x","payload":{"a":{"b":1,"b":2}}}', "appears twice"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"\xff"}', "not UTF-8"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"\\ud800"}', "surrogate"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"x","payload":{"n":9007199254740993}}', "exactly"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"x","payload":{"n":1e999}}', "no JSON form"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"x","payload":{"n":NaN}}', "not JSON"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"x","payload":{"n":%b}}' % (b"1" * 5000), "too long"),
        (b'{"seq":0,"created_at":"2026-11-21T23:34:03Z","type":"x"}', "seq"),
        (b'{"seq":1.0,"created_at":"2026-11-21T23:34:03Z","type":"x"}', "seq"),
        (b'{"seq":true,"created_at":"2026-11-21T23:34:03Z","type":"x"}', "seq"),
        (b'{"created_at":"2026-11-21T23:34:03Z","type":"x"}', "seq"),
        (b'{"seq":1,"created_at":"2026-11-21 23:34:03Z","type":"x"}', "RFC 3339"),
        (b'{"seq":1,"created_at":"2026-02-30T23:34:03Z","type":"x"}', "not a date"),
        (b'{"seq":1,"created_at":5,"type":"x"}', "created_at"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":""}', "type"),
        (b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"x","payload":[]}', "payload"),
        (b'["seq",1]', "not an object"),
        (b'{"seq":1,"x":' + b"[" * 70 + b"]" * 70 + b"}", "deep"),
    ],
)
def test_a_line_that_is_no_event_ends_the_log(text: bytes, says: str) -> None:
    log = read_log(line(1) + text + b"\n")
    assert codes(log) == ["broken_line"]
    assert says in log.findings[0].message
    assert (log.findings[0].line, log.findings[0].offset) == (2, len(line(1)))
    assert len(log.events) == 1


def test_depth_is_counted_outside_strings_and_exactly() -> None:
    def nested(depth: int) -> bytes:  # the record and its payload are two of them
        return line(1, payload='{"a":' + "[" * (depth - 2) + "]" * (depth - 2) + "}")

    assert codes(read_log(nested(MAX_DEPTH))) == []
    assert codes(read_log(nested(MAX_DEPTH + 1))) == ["broken_line"]
    assert codes(read_log(line(1, payload='{"a":"' + "[" * 200 + '\\"' + "{" * 200 + '"}'))) == []
    assert codes(read_log(b'{"seq":1,' + b'"' + b'\\"' * 100_000 + b"[" * 100 + b"\n")) == ["broken_line"]


def test_gaps_duplicates_order_and_a_new_start_are_findings_and_the_events_are_kept() -> None:
    log = read_log(line(1) + line(2) + line(5) + line(5) + line(4) + line(1))
    assert [e.seq for e in log.events] == [1, 1, 2, 4, 5, 5]
    assert [(f.code, f.seq) for f in log.findings] == [
        ("duplicate", 5),
        ("out_of_order", 4),
        ("numbering_restarts", 1),
        ("gap", 4),
    ]
    assert log.findings[0].offset == 3 * len(line(1))
    assert "event 3 is missing" in log.findings[-1].message
    assert "events 1 to 6 are missing" in read_log(line(7)).findings[0].message


def test_what_wrkr_does_not_write_is_told_and_does_no_harm() -> None:
    log = read_log(b'{"seq":1,"created_at":"2026-11-21T23:34:03Z","type":"x","hash":"ab"}\n\n' + line(2))
    assert codes(log) == ["unknown_field", "blank_line"]
    assert len(log.events) == 2
    assert log.events[0].payload == {}


def test_an_empty_log_has_no_events_and_nothing_wrong() -> None:
    assert read_log(b"") == WrkrLog((), (), 0, 0)


def test_sizes_at_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrkr_log, "MAX_EVENT_BYTES", 2 * len(line(1)))
    monkeypatch.setattr(wrkr_log, "MAX_EVENT_RECORDS", 2)
    assert len(read_log(line(1) + line(2)).events) == 2
    with pytest.raises(InvalidInputError, match="bytes"):
        read_log(line(1) + line(2) + b" ")
    monkeypatch.setattr(wrkr_log, "MAX_EVENT_BYTES", 10_000)
    with pytest.raises(InvalidInputError, match="lines"):
        read_log(line(1) + line(2) + line(3))
    monkeypatch.setattr(wrkr_log, "MAX_LINE", len(line(2)) - 1)
    assert codes(read_log(line(1) + line(2))) == []
    assert codes(read_log(line(1) + line(10))) == ["broken_line"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T23:34:03Z", "2026-11-21T23:34:03Z"),
        ("2026-11-21T23:34:03.870000000Z", "2026-11-21T23:34:03.87Z"),
        ("2026-11-21T23:34:03.000000001Z", "2026-11-21T23:34:03.000000001Z"),
        ("2026-11-21T23:34:03.1234567899Z", "2026-11-21T23:34:03.123456789Z"),
        ("2026-11-22T01:34:03.5+02:00", "2026-11-21T23:34:03.5Z"),
        ("2026-11-21T23:34:03+00:00", "2026-11-21T23:34:03Z"),
        ("2026-12-31T23:59:59-12:30", "2027-01-01T12:29:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_dates_of_any_offset_get_one_form(text: str, expected: str) -> None:
    assert utc_stamp(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-11-21", "2026-11-21t23:34:03Z", "2026-11-21T23:34:03z", "2026-11-21T23:34:03", "2026-11-21T24:00:00Z",
        "2026-11-21T23:34:60Z", "2026-11-21T23:34:03,5Z", "2026-11-21T23:34:03.Z", "2026-11-21T23:34:03+24:00",
        "2026-11-21T23:34:03+02:60", "2026-11-21T23:34:03+0200", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00", "2026-11-21T23:34:03Z\n", "２026-11-21T23:34:03Z",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        utc_stamp(text)


@given(st.binary(max_size=400), st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_garbage_anywhere_never_breaks_the_reader_and_keeps_what_stands_before_it(garbage: bytes, place: int) -> None:
    whole = bytes(demo().log)
    at = whole.rfind(b"\n", 0, place * 5) + 1
    log = read_log(whole[:at] + garbage + whole[at:])
    before = whole[:at].count(b"\n")
    assert [event.seq for event in log.events if event.offset < at] == list(range(1, before + 1))
    assert log.readable <= log.size
