"""The event log as bytes: bytes in, records and a verdict out. No files here.

The verdict decides what may be repaired without asking. Only what a crash can leave behind an unfinished append counts
as torn and may be cut; everything else that is wrong is corruption, and nothing is changed until a person looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from clockwork_nb.errors import ClockworkError, JobLimitError, StoreCorruptError
from clockwork_nb.jobs.events import MAX_LOG_BYTES, MAX_RECORDS, Event, decode_record, is_self_consistent
from clockwork_nb.jobs.state import FoldError, JobState, evolve, initial_state
from clockwork_nb.store.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_BATCH", "MAX_TAIL", "SECTOR", "LogScan", "Watermark", "check_limits", "corrupt", "extend", "scan"]

SECTOR: Final = 512
MAX_TAIL: Final = 256 << 10
"""A torn tail cannot be longer than one append, so a longer one is not a torn tail."""
MAX_BATCH: Final = MAX_TAIL
"""Bytes written by one append; a single `append` call may not need more."""

Verdict = Literal["clean", "torn", "corrupt"]


class LogScan(Struct, frozen=True):
    """What a log holds.

    ``offset`` is the number of bytes the valid records take; ``tail`` what follows them. ``reason`` explains a verdict
    that is not clean: ``no_newline``, ``zero_sectors``; ``acked_lost``, ``fork``, ``midfile``, ``bad_tail``,
    ``tail_too_long``, ``fold``. ``problem`` is the first thing that was wrong, in words.
    """

    events: list[Event]
    state: JobState
    offset: int
    tail: bytes
    verdict: Verdict
    reason: str = ""
    problem: str = ""


def scan(data: bytes, genesis: Mapping[str, Any], *, watermark: Watermark | None = None) -> LogScan:
    """Return the records of a whole log, the job state they add up to, and the verdict. Linear, never raises on content."""
    return extend(data, initial_state(genesis), watermark=watermark)


def extend(data: bytes, state: JobState, *, base: int = 0, watermark: Watermark | None = None) -> LogScan:
    """Return the records of *data*, which follow in the log at byte *base* after *state* (taken over by this call)."""
    known = watermark or Watermark()
    hash_at_mark = state.hash if state.seq == known.seq else None
    events: list[Event] = []
    position, problem, reason = 0, "", ""
    while (end := data.find(b"\n", position)) >= 0:
        try:
            event = decode_record(data[position:end])
            in_place = event.seq == state.seq + 1 and event.prev == state.hash
            state = evolve(state, event)
        except FoldError as error:
            problem, reason = error.message, "fold" if in_place else "midfile"
            break
        except ClockworkError as error:
            problem = error.message
            break
        events.append(event)
        if event.seq == known.seq:
            hash_at_mark = event.hash
        position = end + 1
    verdict, reason = _classify(data, position, base, reason)
    if verdict != "corrupt" and known.seq > state.seq:
        verdict, reason = "corrupt", "acked_lost"
        problem = f"record {known.seq} was written and confirmed, but the log ends after record {state.seq}"
    elif verdict != "corrupt" and hash_at_mark is not None and known.seq and hash_at_mark != known.hash:
        verdict, reason = "corrupt", "fork"
        problem = f"record {known.seq} is not the one that was confirmed"
    return LogScan(events, state, base + position, data[position:], verdict, reason, problem)


def _classify(data: bytes, start: int, base: int, reason: str) -> tuple[Verdict, str]:
    tail_length = len(data) - start
    if not tail_length:
        return "clean", ""
    first_end = data.find(b"\n", start)
    if first_end >= 0:
        # A complete line that is a record by itself was written as a whole: it is in the wrong place or contradicts
        # what is before it. The same holds for any later one: then what is broken lies in the middle.
        position = start
        while (end := data.find(b"\n", position)) >= 0:
            if is_self_consistent(data[position:end]):
                return "corrupt", reason if reason and position == start else "midfile"
            position = end + 1
    if tail_length > MAX_TAIL:
        return "corrupt", "tail_too_long"
    if first_end < 0:
        return "torn", "no_newline"
    if _has_zero_sector(data[start : first_end + 1], base + start):
        return "torn", "zero_sectors"
    return "corrupt", "bad_tail"


def _has_zero_sector(line: bytes, offset: int) -> bool:
    # A sector that never reached the disk reads as zeros: the part of the line that lies in it, from edge to edge.
    position = 0
    while position < len(line):
        edge = min(len(line), position + SECTOR - (offset + position) % SECTOR)
        if not line[position:edge].strip(b"\x00"):
            return True
        position = edge
    return False


def corrupt(scanned: LogScan, name: str) -> StoreCorruptError:
    """Return the error that says what is wrong with the log *name*, and where."""
    seq = scanned.state.seq + 1
    return StoreCorruptError(
        f"{name} is damaged at byte {scanned.offset} (record {seq}): {scanned.problem or scanned.reason}",
        hint=f"Nothing was run and nothing was changed. Look at it with: clockwork store check {scanned.state.job_id}",
        details={"path": name, "offset": scanned.offset, "seq": seq, "reason": scanned.reason},
    )


def check_limits(records: int, size: int) -> None:
    """Return when a log of *records* records and *size* bytes is within its limits.

    Raises:
        JobLimitError: E_JOB_LIMIT.
    """
    if records > MAX_RECORDS or size > MAX_LOG_BYTES:
        raise JobLimitError(
            f"the job's log would have {records} records and {size} bytes; the limit is {MAX_RECORDS} and {MAX_LOG_BYTES}",
            hint="Close this job and go on in a new one.",
            details={"records": records, "bytes": size},
        )
