"""The closed list of events, their one written form, and the chain that holds them together.

One record is one line of canonical JSON (RFC 8785) and a newline. ``hash`` is the SHA-256 of the record without it,
``prev`` the hash of the record before, and the first ``prev`` the digest of the job's header ``job.json``: so a record
belongs to one place of one job. `EVENT_FIELDS` is the only description of the payloads; the checks here and the
published JSON Schema both come from it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec.json
from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.errors import ClockworkError
from clockwork_nb.ids import JOB_ID, check_job_id
from clockwork_nb.jobs.fields import (
    AMOUNT,
    FLAG,
    HEX,
    MAX_INT,
    STAMP,
    Choice,
    EventInvalidError,
    Int,
    ListOf,
    Optional,
    Record,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONTROL_TYPES",
    "DIMENSIONS",
    "EVENT_FIELDS",
    "MAX_LINE",
    "MAX_LOG_BYTES",
    "MAX_QUORUM",
    "MAX_RECORDS",
    "OUTCOMES",
    "STATUSES",
    "SUMMARY_LIMIT",
    "VIAS",
    "Event",
    "EventInvalidError",
    "decode_record",
    "encode_plain",
    "encode_record",
    "event_schema",
    "genesis_document",
    "genesis_hash",
    "is_self_consistent",
    "parse_genesis",
    "validate",
]

MAX_LINE: Final = 65_536
"""Bytes of one record, its newline included."""
MAX_RECORDS: Final = 200_000
MAX_LOG_BYTES: Final = 64 << 20
SUMMARY_LIMIT: Final = 2_000
MAX_QUORUM: Final = 9
"""How many different persons a decision may ask for."""

STATUSES: Final = (
    "queued",
    "running",
    "paused",
    "blocked_decision",
    "blocked_budget",
    "blocked_error",
    "completed",
    "canceled",
)
OUTCOMES: Final = ("completed", "failed", "denied", "canceled", "stale")
VIAS: Final = ("button", "terminal", "cli", "http", "auto", "policy")
DIMENSIONS: Final = ("wall_time_seconds", "step_count", "retry_count", "tool_call_count", "tokens", "cost")

CONTROL_TYPES: Final = frozenset({"approval.granted", "approval.denied", "budget.raised", "control.requested"})
"""Events that any process of the store's user may append; all others need the lease."""

_COUNT = Int(0)
_POSITIVE = Int(1)
_NAME = Text(512, empty=False)
_STEP = Text(1024, empty=False)
_EXIT = Int(-(2**31), 2**31 - 1)
_STATUS = Choice(*STATUSES)
_DIMENSION = Choice(*DIMENSIONS)
_VIA = Choice(*VIAS)
_CODES = ListOf(Text(128, empty=False), 64)
_RULES = ListOf(Record(rule=Text(1024, empty=False), value=Text(4096)), 64)
_BINDS = Record(configuration=HEX, plan=HEX, bundle=HEX, policy=HEX, environment=HEX, lineage=Text(128), serial=_COUNT)

EVENT_FIELDS: Final[Mapping[str, Record]] = {
    "job.created": Record(name=_NAME, adapter=Text(64, empty=False), objective=Text(), spec=Text(49_152)),
    "job.status": Record(from_=_STATUS, to=_STATUS, reason=Optional(Text())),
    "lease.taken": Record(
        runner_id=Text(64, empty=False),
        host_id=Text(64),
        ttl_ms=_POSITIVE,
        tool_version=Text(64, empty=False),
        takeover=FLAG,
        by=Optional(_NAME),
        reason=Optional(Text(empty=False)),
    ),
    "lease.released": Record(runner_id=Text(64, empty=False), outcome=Text(128)),
    "env.captured": Record(rules=_RULES, hash=HEX),
    "env.override": Record(
        rules=_RULES, expected_hash=HEX, actual_hash=HEX, reason=Text(), by=_NAME, once=Optional(FLAG)
    ),
    "section.opened": Record(
        section=_POSITIVE,
        verb=Choice("plan", "apply", "destroy", "verify", "run"),
        cell=Text(512),
        call=_COUNT,
        inputs=HEX,
    ),
    "section.closed": Record(
        section=_POSITIVE,
        outcome=Choice(*OUTCOMES),
        done=_COUNT,
        failed=_COUNT,
        skipped=_COUNT,
        state_after=Optional(HEX),
    ),
    "plan.bound": Record(
        section=_POSITIVE,
        plan=HEX,
        configuration=HEX,
        lineage=Text(128),
        serial=_COUNT,
        changes=_COUNT,
        state_before=Optional(HEX),
    ),
    "bundle.bound": Record(section=_POSITIVE, bundle=HEX),
    "policy.bound": Record(section=_POSITIVE, policy=HEX),
    "checkpoint": Record(
        kind=Choice("plan", "progress", "decision-needed", "blocked", "completed"),
        summary=Text(SUMMARY_LIMIT, empty=False),
        reason_codes=_CODES,
        required_action=Optional(Record(kind=Text(128), instructions=Text())),
        section=Optional(_POSITIVE),
    ),
    "approval.requested": Record(
        approval_id=Text(64, empty=False),
        checkpoint_seq=_POSITIVE,
        section=_POSITIVE,
        binds=_BINDS,
        expires_at=Optional(STAMP),
        quorum=Optional(Int(2, MAX_QUORUM)),
    ),
    "approval.granted": Record(
        approval_id=Text(64, empty=False),
        checkpoint_seq=_POSITIVE,
        binds=_BINDS,
        by=_NAME,
        via=_VIA,
        reason=Text(empty=False),
        expires_at=Optional(STAMP),
        max_uses=_POSITIVE,
        claimed=Optional(_NAME),
        signer=Optional(Text(256, empty=False)),
        signature=Optional(Text(16_384, empty=False)),
    ),
    "approval.denied": Record(
        approval_id=Text(64, empty=False),
        checkpoint_seq=_POSITIVE,
        by=_NAME,
        via=_VIA,
        reason=Text(),
        claimed=Optional(_NAME),
    ),
    "approval.used": Record(approval_id=Text(64, empty=False), section=_POSITIVE, step_id=_STEP, attempt=_POSITIVE),
    "step.started": Record(
        section=_POSITIVE,
        step_id=_STEP,
        index=_COUNT,
        attempt=_POSITIVE,
        summary=Text(),
        command=Text(8192),
        argv=HEX,
        artifact=Optional(_STEP),
        artifact_sha256=Optional(HEX),
        idempotent=FLAG,
        timeout_ms=_COUNT,
        confinement=Text(256),
        class_=Choice("confined", "host", "built-in"),
    ),
    "step.output": Record(
        section=_POSITIVE,
        step_id=_STEP,
        attempt=_POSITIVE,
        stream=Choice("out", "err"),
        blob=HEX,
        bytes=_COUNT,
        truncated=FLAG,
        whole=Optional(HEX),
    ),
    "step.completed": Record(
        section=_POSITIVE,
        step_id=_STEP,
        attempt=_POSITIVE,
        exit_code=_EXIT,
        duration_ms=_COUNT,
        note=Text(),
        entry=Optional(Text(16_384, empty=False)),
        entry_blob=Optional(HEX),
    ),
    "step.failed": Record(
        section=_POSITIVE,
        step_id=_STEP,
        attempt=_POSITIVE,
        exit_code=Optional(_EXIT),
        duration_ms=_COUNT,
        code=Text(64, empty=False),
        note=Text(),
        tail=Text(),
        log=Text(),
    ),
    "step.interrupted": Record(section=_POSITIVE, step_id=_STEP, attempt=_POSITIVE, found=Text()),
    "step.skipped": Record(section=_POSITIVE, step_id=_STEP, index=_COUNT, summary=Text(), reason=Text()),
    "step.retried": Record(section=_POSITIVE, step_id=_STEP, attempt=_POSITIVE, reason=Text()),
    "step.compensated": Record(section=_POSITIVE, step_id=_STEP, attempt=_POSITIVE, by_step=_STEP),
    "cell.started": Record(cell=_NAME, index=_COUNT),
    "cell.completed": Record(cell=_NAME, index=_COUNT, duration_ms=_COUNT),
    "cell.failed": Record(cell=_NAME, index=_COUNT, error=Text(256), message=Text()),
    "cell.restored": Record(cell=_NAME, index=_COUNT),
    "cell.skipped": Record(cell=_NAME, index=_COUNT, reason=Text()),
    "budget.charged": Record(
        retry_count=_COUNT, step_count=_COUNT, tool_call_count=_COUNT, active_ms=_COUNT, tokens=_COUNT, cost=AMOUNT
    ),
    "budget.exceeded": Record(dimension=_DIMENSION, limit=AMOUNT, used=AMOUNT),
    "budget.raised": Record(dimension=_DIMENSION, limit=AMOUNT, by=_NAME, reason=Text(empty=False)),
    "artifact.published": Record(
        path=_STEP, op=Choice("added", "changed", "removed"), blob=Optional(HEX), step_id=Optional(_STEP)
    ),
    "control.requested": Record(action=Choice("pause", "cancel"), by=_NAME, reason=Text(), drain=Optional(FLAG)),
    "drift.detected": Record(address=_STEP, attributes=ListOf(Text(512), 256), digest=HEX),
    "fix.proposed": Record(fix_id=Text(64, empty=False), path=_STEP, before=HEX, after=HEX),
    "fix.applied": Record(fix_id=Text(64, empty=False), path=_STEP, after=HEX),
    "log.recovered": Record(offset=_COUNT, bytes=_POSITIVE, saved=_NAME),
    "accept.recorded": Record(
        checks_run=_COUNT,
        checks_passed=_COUNT,
        failures=ListOf(Record(check=_NAME, message=Text(), artifact=Optional(_STEP)), 256),
        reason_codes=_CODES,
    ),
    "job.tainted": Record(reason=Text(empty=False), offset=_COUNT),
    "job.sealed": Record(count=_COUNT, head=HEX),
    "job.finished": Record(status=Choice("completed", "canceled"), reason_codes=_CODES),
}
"""Event type → the fields of its payload."""


class Event(Struct, frozen=True):
    """A written event. ``created_at`` informs people; nothing but expiry is ever decided by it."""

    seq: int
    created_at: str
    type: str
    payload: Mapping[str, Any]
    epoch: int
    hash: str
    prev: str
    job_id: str


def validate(event_type: str, payload: Any) -> None:
    """Return when *payload* is a payload of *event_type*.

    Raises:
        EventInvalidError: E_INVALID_INPUT_SCHEMA; unknown types are refused too, for the list is closed.
    """
    record = EVENT_FIELDS.get(event_type)
    if record is None:
        raise EventInvalidError(
            f"{event_type!r} is not an event type of this version",
            hint="A newer version may have written it; nothing is run or changed until the types are known.",
        )
    record.check(payload, event_type)


_SCHEMA: Final = "clockwork.event.v1"
_DOMAIN: Final = b"clockwork.event.v1\n"
_GENESIS_DOMAIN: Final = b"clockwork.genesis.v1\n"
encode_plain: Final = msgspec.json.Encoder(order="sorted").encode
"""Canonical JSON of values in the event profile (ASCII keys, no floats): there it gives the bytes of RFC 8785."""
_RECORD_KEYS: Final = frozenset({"created_at", "epoch", "hash", "job_id", "payload", "prev", "schema", "seq", "type"})
_SEQ: Final = Int(1)


def _frame(event: tuple[int, str, str, Mapping[str, Any], int, str, str]) -> tuple[bytes, bytes]:
    # The two halves of a record, around the place of its hash. Keys stand in sorted order.
    seq, created_at, event_type, payload, epoch, prev, job_id = event
    after = f'","schema":"{_SCHEMA}","seq":{seq},"type":"{event_type}"}}'
    return (
        f'{{"created_at":"{created_at}","epoch":{epoch},'.encode(),
        b'"job_id":"%b","payload":%b,"prev":"%b%b'
        % (job_id.encode(), encode_plain(payload), prev.encode(), after.encode()),
    )


def encode_record(
    *, seq: int, created_at: str, event_type: str, payload: Mapping[str, Any], epoch: int, prev: str, job_id: str
) -> tuple[Event, bytes]:
    """Return the event and its line, newline included.

    Raises:
        EventInvalidError: E_INVALID_INPUT_SCHEMA: the payload does not fit its type, or the line is over `MAX_LINE`.
    """
    validate(event_type, payload)
    first, last = _frame((seq, created_at, event_type, payload, epoch, prev, job_id))
    digest = hashlib.sha256(_DOMAIN + first + last).hexdigest()
    line = b'%b"hash":"%b",%b\n' % (first, digest.encode(), last)
    if len(line) > MAX_LINE:
        raise EventInvalidError(
            f"a {event_type} event has {len(line)} bytes, more than {MAX_LINE}", hint="Put the data into a blob."
        )
    event = Event(seq, created_at, event_type, payload, epoch, digest, prev, job_id)
    return event, line


def _no_number(text: str) -> NoReturn:
    raise EventInvalidError(f"{text[:40]} is not allowed in an event")


_decode: Final = json.JSONDecoder(parse_float=_no_number, parse_constant=_no_number).decode


def decode_record(line: bytes) -> Event:
    """Return the event that *line* (without its newline) spells, after every check a single record allows.

    The text made from the parsed values must be the line itself: this alone excludes duplicate keys, other orders,
    white space and other spellings.

    Raises:
        EventInvalidError: E_INVALID_INPUT_SCHEMA.
    """
    if len(line) >= MAX_LINE:
        raise EventInvalidError(f"a record has {len(line) + 1} bytes, more than {MAX_LINE}")
    try:
        record = _decode(line.decode())
    except UnicodeDecodeError as error:
        raise EventInvalidError(f"a record is not UTF-8 at its byte {error.start}") from None
    except RecursionError:
        raise EventInvalidError("a record is nested too deeply") from None
    except ValueError as error:
        raise EventInvalidError(f"a record is not JSON: {error}") from None
    if type(record) is not dict or record.keys() != _RECORD_KEYS:
        raise EventInvalidError("a record does not have the keys of an event")
    seq, created_at, epoch, prev = record["seq"], record["created_at"], record["epoch"], record["prev"]
    event_type, payload, job_id, digest = record["type"], record["payload"], record["job_id"], record["hash"]
    if record["schema"] != _SCHEMA:
        raise EventInvalidError(f"a record has the schema {record['schema']!r}, not {_SCHEMA!r}")
    _SEQ.check(seq, "seq")
    _SEQ.check(epoch, "epoch")
    STAMP.check(created_at, "created_at")
    HEX.check(prev, "prev")
    if type(event_type) is not str or type(job_id) is not str:
        raise EventInvalidError("a record's type and job_id must be text")
    if JOB_ID.match(job_id) is None:
        raise EventInvalidError(f"{job_id[:80]!r} is not a job id")
    validate(event_type, payload)
    try:
        first, last = _frame((seq, created_at, event_type, payload, epoch, prev, job_id))
    except UnicodeEncodeError:
        raise EventInvalidError("a record holds half of a surrogate pair") from None
    expected = hashlib.sha256(_DOMAIN + first + last).hexdigest()
    if digest != expected:
        raise EventInvalidError("a record's hash does not fit its content")
    if line != b'%b"hash":"%b",%b' % (first, expected.encode(), last):
        raise EventInvalidError("a record is not in canonical form")
    return Event(seq, created_at, event_type, payload, epoch, digest, prev, job_id)


def is_self_consistent(line: bytes) -> bool:
    """Return whether *line* (without newline) is a record whose own hash is right, whatever its place in the chain."""
    try:
        decode_record(line)
    except ClockworkError:
        return False
    return True


def genesis_hash(document: Mapping[str, Any]) -> str:
    """Return the digest the first record's ``prev`` must be: over the header without its ``genesis`` key."""
    body = {key: value for key, value in document.items() if key != "genesis"}
    return sha256_hex(_GENESIS_DOMAIN + canonical_json(body))


def genesis_document(
    *, job_id: str, name: str, adapter: str, lineage: str, created_at: str, producer_version: str
) -> dict[str, Any]:
    """Return the header ``job.json`` of a new job, ``genesis`` included.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    document: dict[str, Any] = {
        "schema": "clockwork.job.v1",
        "adapter": adapter,
        "created_at": created_at,
        "job_id": check_job_id(job_id),
        "lineage": lineage,
        "name": name,
        "producer_version": producer_version,
    }
    document["genesis"] = genesis_hash(document)
    _GENESIS.check(document, "job.json")
    return document


_GENESIS: Final = Record(
    schema=Choice("clockwork.job.v1"),
    adapter=Text(64, empty=False),
    created_at=STAMP,
    genesis=HEX,
    job_id=Text(64, empty=False),
    lineage=Text(128),
    name=_NAME,
    producer_version=Text(64, empty=False),
)


def parse_genesis(data: bytes) -> dict[str, Any]:
    """Return the header that *data* spells, checked: exact keys, canonical bytes, and its own digest.

    Raises:
        EventInvalidError: E_INVALID_INPUT_SCHEMA.
    """
    if len(data) > MAX_LINE:
        raise EventInvalidError(f"job.json has {len(data)} bytes, more than {MAX_LINE}")
    document: dict[str, Any] = parse_json(data, what="job.json")
    _GENESIS.check(document, "job.json")
    check_job_id(document["job_id"])
    if canonical_json(document) != data:
        raise EventInvalidError("job.json is not in canonical form")
    if document["genesis"] != genesis_hash(document):
        raise EventInvalidError("job.json does not fit its own digest")
    return document


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one record, made from `EVENT_FIELDS`."""
    base = {
        "created_at": STAMP.schema(),
        "epoch": _SEQ.schema(),
        "hash": HEX.schema(),
        "job_id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
        "payload": {"type": "object"},
        "prev": HEX.schema(),
        "schema": {"const": _SCHEMA},
        "seq": {**_SEQ.schema(), "maximum": MAX_INT},
        "type": {"enum": sorted(EVENT_FIELDS)},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:clockwork:schema:event:v1",
        "title": "One record of a job's event log",
        "type": "object",
        "properties": base,
        "required": sorted(base),
        "additionalProperties": False,
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
                "then": {"properties": {"payload": record.schema()}},
            }
            for name, record in sorted(EVENT_FIELDS.items())
        ],
    }
