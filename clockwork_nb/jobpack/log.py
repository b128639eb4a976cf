"""Reads a native log: bytes in, checked events out."""

from __future__ import annotations

from typing import Any

from clockwork_nb.errors import (
    ChainBrokenError,
    EvidenceInconsistentError,
    InvalidInputError,
    PackLimitError,
)
from clockwork_nb.jobpack.layout import GENESIS, MAX_EVENT_BYTES, MAX_EVENT_RECORDS, NATIVE_EVENTS
from clockwork_nb.jobs.events import Event, decode_record, parse_genesis
from clockwork_nb.jobs.state import FoldError, evolve, initial_state

__all__ = ["read_log"]


def read_log(genesis: bytes, data: bytes) -> tuple[dict[str, Any], list[Event]]:
    """Return the header and the events of a log: every record well formed, chained, and able to follow the one before.

    Raises:
        PackLimitError: E_PACK_LIMIT: more than 64 MiB or 200,000 records.
        ChainBrokenError: E_CHAIN_BROKEN, with ``seq`` and byte ``offset``.
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: the rules of `clockwork_nb.jobs.state` do not hold.
    """
    if len(data) > MAX_EVENT_BYTES:
        raise PackLimitError(f"the event log has {len(data)} bytes, more than {MAX_EVENT_BYTES}")
    try:
        header = parse_genesis(genesis)
    except InvalidInputError as error:
        raise ChainBrokenError(f"the job's header is not valid: {error.message}", details={"path": GENESIS}) from None
    lines = data.split(b"\n")
    if lines.pop():
        raise _broken(len(lines) + 1, len(data), "the log does not end with a whole record")
    if len(lines) > MAX_EVENT_RECORDS:
        raise PackLimitError(f"the event log has {len(lines)} records, more than {MAX_EVENT_RECORDS}")
    job_id, prev, epoch, offset = header["job_id"], header["genesis"], 0, 0
    events: list[Event] = []
    for number, line in enumerate(lines, 1):
        try:
            event = decode_record(line)
        except InvalidInputError as error:
            raise _broken(number, offset, error.message) from None
        if event.seq != number:
            raise _broken(number, offset, f"record {number} says it is number {event.seq}")
        if event.prev != prev or event.job_id != job_id:
            raise _broken(number, offset, f"record {number} does not chain to the one before it")
        if event.epoch < epoch:
            raise _broken(number, offset, f"record {number} goes back to epoch {event.epoch}")
        prev, epoch = event.hash, event.epoch
        offset += len(line) + 1
        events.append(event)
    state = initial_state(header)
    try:
        for event in events:
            state = evolve(state, event)
    except FoldError as error:
        raise EvidenceInconsistentError(error.message, details={"path": NATIVE_EVENTS, **error.details}) from None
    return header, events


def _broken(seq: int, offset: int, fault: str) -> ChainBrokenError:
    return ChainBrokenError(
        f"the event log is broken at record {seq}: {fault}",
        details={"path": NATIVE_EVENTS, "seq": seq, "offset": offset},
    )
