"""Reads the ``events.jsonl`` of a Wrkr job folder: bytes in, events and findings out, nothing guessed.

Wrkr's log has no checksums and no chain. After a crash a partial line stays at its end, and the next append is glued to
it, after which Wrkr itself cannot read the job any more. This reader takes every event before the first place that
cannot be read, says where that place is, and names what stands behind it without counting it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import Struct, field

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack.layout import MAX_EVENT_BYTES, MAX_EVENT_RECORDS
from clockwork_nb.jobpack.wrkr_values import parse_document, utc_stamp
from clockwork_nb.jobs.fields import MAX_INT, clip

__all__ = ["LOG", "MAX_LINE", "Finding", "Severity", "WrkrEvent", "WrkrLog", "read_log"]

LOG: Final = "events.jsonl"
MAX_LINE: Final = 1 << 20

Severity = Literal["damage", "contradiction", "note"]


class Finding(Struct, frozen=True):
    """One thing about a folder that a reader must know.

    ``damage``: bytes that cannot be read. ``contradiction``: records that break Wrkr's rules or each other. ``note``:
    what is usual and still matters. ``line`` counts from 1, ``offset`` in bytes from 0, both within ``file``;
    ``field`` is the one the finding is about. ``message`` is for people and may say it better tomorrow, so that it
    never goes into a pack; everything else is part of one and frozen.
    """

    code: str
    severity: Severity
    message: str
    file: str = LOG
    seq: int | None = None
    line: int | None = None
    offset: int | None = None
    field: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the form that packs hold; places that are not known are absent."""
        places = {"seq": self.seq, "line": self.line, "offset": self.offset, "field": self.field}
        return {
            "code": self.code,
            "severity": self.severity,
            "file": self.file,
            **{name: value for name, value in places.items() if value is not None},
        }

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form for people: the record and its message."""
        return {**self.to_record(), "message": self.message}


class WrkrEvent(Struct, frozen=True):
    """One stored event. ``created_at`` is in UTC and in the shortest form that Go prints."""

    seq: int
    created_at: str
    type: str
    payload: Mapping[str, Any]
    line: int
    offset: int


class WrkrLog(Struct, frozen=True):
    """What a log holds. ``readable`` counts the bytes before the first place that cannot be read, of ``size``."""

    events: tuple[WrkrEvent, ...]
    findings: tuple[Finding, ...]
    size: int
    readable: int


def read_log(data: bytes) -> WrkrLog:
    """Return the events of *data* in the order of their numbers, as Wrkr replays them, and what is wrong with the log.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: more than 64 MiB or 200,000 lines.
    """
    if len(data) > MAX_EVENT_BYTES:
        raise InvalidInputError(f"{LOG} has {len(data)} bytes; at most {MAX_EVENT_BYTES} are read")
    if data.count(b"\n") > MAX_EVENT_RECORDS:
        raise InvalidInputError(f"{LOG} has more than {MAX_EVENT_RECORDS} lines")
    reading = _Reading(data)
    reading.run()
    return WrkrLog(
        events=tuple(sorted(reading.events, key=lambda event: event.seq)),  # stable: equal numbers stay as written
        findings=tuple(reading.findings),
        size=len(data),
        readable=reading.readable,
    )


class _Reading(Struct):
    data: bytes
    events: list[WrkrEvent] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    readable: int = 0

    def run(self) -> None:
        for number, offset, text, ended in _lines(self.data):
            if not ended:
                self._torn(text, number, offset)
                break
            if not text.strip():
                self._find("blank_line", "note", "an empty line", number, offset)
            elif len(text) > MAX_LINE:
                self._broken(f"the line has {len(text)} bytes, more than {MAX_LINE}", text, number, offset)
                break
            else:
                try:
                    self._take(text, number, offset)
                except InvalidInputError as error:
                    self._broken(error.message, text, number, offset)
                    break
            self.readable = offset + len(text) + 1
        self._check_numbers()

    def _find(
        self, code: str, severity: Severity, message: str, line: int, offset: int, seq: int | None = None
    ) -> None:
        self.findings.append(Finding(code, severity, message, line=line, offset=offset, seq=seq))

    def _take(self, text: bytes, number: int, offset: int) -> None:
        event, unknown = _event(text, number, offset)
        if unknown:
            named = ", ".join(repr(key[:40]) for key in unknown[:4])
            self._find("unknown_field", "note", f"fields Wrkr does not have: {named}", number, offset, event.seq)
        self.events.append(event)

    def _torn(self, text: bytes, number: int, offset: int) -> None:
        whole = _whole_record(text, number, offset)
        what = f"a whole record ({whole.type[:40]}) without its line end" if whole else "the beginning of a record"
        self._find(
            "torn_tail",
            "damage",
            f"the last {len(text)} bytes are {what}: Wrkr is writing now, or a crash cut it off",
            number,
            offset,
            whole.seq if whole else None,
        )

    def _broken(self, reason: str, text: bytes, number: int, offset: int) -> None:
        self._find("broken_line", "damage", f"cannot be read from here on: {reason}", number, offset)
        glued = _glued_record(text, number, offset)
        if glued is not None:
            self._find(
                "glued_record",
                "damage",
                f"a whole record ({glued.type[:40]}) is glued to a partial one; Wrkr took it as written; not counted",
                number,
                glued.offset,
                glued.seq,
            )
        behind = self.data[offset + len(text) + 1 :]
        if behind:
            lines = behind.count(b"\n") + (not behind.endswith(b"\n"))
            self._find(
                "rest_unread",
                "damage",
                f"{lines} more lines ({len(behind)} bytes) follow and are not counted",
                number + 1,
                offset + len(text) + 1,
            )

    def _check_numbers(self) -> None:
        seen: set[int] = set()
        highest = 0
        for event in self.events:
            place = (event.line, event.offset, event.seq)
            if event.seq == 1 and seen:
                self._find("numbering_restarts", "contradiction", "the numbers begin again at 1", *place)
            elif event.seq in seen:
                self._find("duplicate", "contradiction", f"event {event.seq} is there twice", *place)
            elif event.seq < highest:
                self._find("out_of_order", "contradiction", f"event {event.seq} stands after {highest}", *place)
            seen.add(event.seq)
            highest = max(highest, event.seq)
        before = 0
        for seq in sorted(seen):
            if seq > before + 1:
                missing = f"event {before + 1} is" if seq == before + 2 else f"events {before + 1} to {seq - 1} are"
                self.findings.append(Finding("gap", "contradiction", f"{missing} missing", seq=seq))
            before = seq


def _lines(data: bytes) -> Iterator[tuple[int, int, bytes, bool]]:
    """Yield number, offset, text without its end, and whether it has one, for each line."""
    at, number = 0, 0
    while at < len(data):
        number += 1
        end = data.find(b"\n", at)
        yield number, at, data[at : end if end >= 0 else len(data)], end >= 0
        if end < 0:
            return
        at = end + 1


_FIELDS: Final = frozenset({"seq", "created_at", "type", "payload"})


def _event(text: bytes, line: int, offset: int) -> tuple[WrkrEvent, list[str]]:
    """Return the event in *text*, and its fields that no Wrkr event has.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: *text* is no event.
    """
    record = parse_document(text, "the line")
    if type(record) is not dict:
        raise InvalidInputError("the line is not an object")
    seq, stamp, kind = record.get("seq"), record.get("created_at"), record.get("type")
    if type(seq) is not int or not 1 <= seq <= MAX_INT:
        raise InvalidInputError("seq is not a whole number from 1 on")
    if type(stamp) is not str:
        raise InvalidInputError("created_at is not a date")
    if type(kind) is not str or not kind:
        raise InvalidInputError("type is not a name")
    payload = record.get("payload")
    if payload is None:
        payload = {}
    if type(payload) is not dict:
        raise InvalidInputError("payload is not an object")
    unknown = [clip(key, 80) for key in record if key not in _FIELDS]
    return WrkrEvent(seq, utc_stamp(stamp), kind, payload, line, offset), unknown


def _whole_record(text: bytes, line: int, offset: int) -> WrkrEvent | None:
    if len(text) > MAX_LINE:
        return None
    try:
        return _event(text, line, offset)[0]
    except InvalidInputError:
        return None


_RECORD_START: Final = b'{"seq":'
_MOST_STARTS: Final = 16


def _glued_record(text: bytes, line: int, offset: int) -> WrkrEvent | None:
    """Return the whole record at the end of a line that begins with something else, None when there is none."""
    at = len(text)
    for _ in range(_MOST_STARTS):  # from the end: the record that was appended last is the whole one
        at = text.rfind(_RECORD_START, 1, at)
        if at < 0:
            return None
        found = _whole_record(text[at:], line, offset + at)
        if found is not None:
            return found
    return None
