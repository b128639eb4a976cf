"""Bringing a damaged job back, by a person's decision: cut its log at a record, or build its lease and caches anew.

Nothing here is done without being asked for. The damaged log is kept beside the repaired one, and a job whose evidence
suffered stays tainted for ever: the record that says so is in the new log before that takes the old one's place, in one
step. A crash leaves the damaged log or the repaired one; until lease and snapshot fit it, the job is refused as before,
and the repair can be run again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from clockwork_nb.clock import Clock, SystemClock, rfc3339
from clockwork_nb.errors import ClockworkError, InvalidInputError, LeaseConflictError, StoreCorruptError
from clockwork_nb.fs import REAL, FileSystem, create_atomic, write_atomic
from clockwork_nb.jobs.events import Event, decode_record, encode_record
from clockwork_nb.jobs.state import JobState, evolve, replay
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import may_live
from clockwork_nb.store.lease import TTL_MS, Holder, LeaseFile, read_lease, this_process, write_lease
from clockwork_nb.store.lock import FileLock, hold
from clockwork_nb.store.log import LogScan, Watermark, check_limits, scan
from clockwork_nb.store.reading import JobReader, read_log
from clockwork_nb.store.snapshot import Snapshot, read_snapshot, write_caches

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Loss", "Repair", "RepairPlan", "plan_repair", "repair_job"]

_MAX_REASON: Final = 2_000
"""Bytes."""


class Loss(Struct, frozen=True):
    """What a cut takes away, as far as it can be read: bytes, records by type, the time of the last one, finished steps."""

    bytes: int = 0
    events: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    last_at: str = ""
    completed_steps: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "bytes": self.bytes,
            "events": self.events,
            "types": dict(self.types),
            "last_at": self.last_at,
            "completed_steps": list(self.completed_steps),
        }


class RepairPlan(Struct, frozen=True):
    """What a repair would do.

    ``kind`` is ``cut`` (the log ends at byte ``offset`` from then on, after ``kept`` records), ``lease`` (the log is
    whole, what was confirmed of it is not known any more) or ``cache`` (only the snapshot is wrong). ``taints`` says
    whether the job is tainted by it, ``finding`` why the repair is needed.
    """

    job_id: str
    kind: str
    offset: int
    kept: int
    finding: str
    reason: str
    loss: Loss
    taints: bool
    log_sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "job_id": self.job_id,
            "kind": self.kind,
            "offset": self.offset,
            "kept": self.kept,
            "finding": self.finding,
            "reason": self.reason,
            "loss": self.loss.to_dict(),
            "taints": self.taints,
        }


class Repair(Struct, frozen=True):
    """What a repair did: its plan, the copy of the damaged log (empty when the log was whole), and the new epoch."""

    plan: RepairPlan
    saved: str
    epoch: int
    tainted: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.plan.to_dict(), "saved": self.saved, "epoch": self.epoch, "tainted": self.tainted}


class _Found(Struct, frozen=True):
    """A job's files as they are, judged one by one."""

    genesis: Mapping[str, Any]
    data: bytes
    scanned: LogScan
    lease: LeaseFile | None
    lease_problem: str
    snapshot: Snapshot | None

    @property
    def watermark(self) -> Watermark:
        """The latest record that is known to have been confirmed."""
        marks = [Watermark()]
        if self.lease is not None:
            marks.append(self.lease.watermark)
        if self.snapshot is not None:
            marks.append(Watermark(self.snapshot.seq, self.snapshot.head))
        return max(marks, key=lambda mark: mark.seq)


def plan_repair(
    store: JobReader,
    job_id: str,
    *,
    truncate_at: int | None = None,
    to_last_valid: bool = False,
    fs: FileSystem = REAL,
) -> RepairPlan:
    """Return what repairing the job would do. Reads only.

    A damaged log needs *truncate_at*, a byte offset where a record ends, or *to_last_valid*: the end of the last record
    before the damage. A whole log needs neither.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: no such job; nothing is damaged; no place to cut was chosen, or the
            place is not the end of a record (the hint names the nearest one before).
        StoreCorruptError: E_STORE_CORRUPT: the header or the whole log is gone, which no cut can bring back.
        StoreIOError: E_STORE_IO.
    """
    return _plan(_look(store, job_id, fs), job_id, truncate_at, to_last_valid=to_last_valid)


def _look(store: JobReader, job_id: str, fs: FileSystem) -> _Found:
    folder = store.existing(job_id)
    genesis = store.genesis(job_id)
    snapshot = read_snapshot(folder / "snapshot.json", job_id, fs=fs)
    lease, problem = _lease(folder, job_id, fs)
    data = read_log(folder, fs=fs)
    return _Found(genesis, data, scan(data, genesis), lease, problem, snapshot)


def _lease(folder: Path, job_id: str, fs: FileSystem) -> tuple[LeaseFile | None, str]:
    kind = fs.stat(folder / "lease.json")
    if kind is not None and not kind.is_file:
        return None, "lease.json is not a regular file"
    try:
        lease = read_lease(folder / "lease.json", fs=fs)
    except StoreCorruptError as error:
        return None, f"lease.json is {'missing' if error.details['reason'] == 'missing' else 'damaged'}"
    if lease.job_id != job_id:
        return None, f"lease.json is that of job {lease.job_id}"
    return lease, ""


def _plan(found: _Found, job_id: str, truncate_at: int | None, *, to_last_valid: bool) -> RepairPlan:
    scanned = found.scanned
    finding, reason = _damage_of_log(found)
    chosen = truncate_at is not None or to_last_valid
    kind = "cut" if finding else ""
    if not kind:
        kind, finding, reason = _damage_beside_log(found)
    if not kind:
        raise InvalidInputError(
            f"the log of job {job_id} and what stands beside it are not damaged; there is nothing to repair",
            hint=f"Look with: clockwork store check {job_id}\nBlobs can only be put back from a backup.",
            details={"job_id": job_id},
        )
    if chosen and kind != "cut":
        raise InvalidInputError(
            f"the log of job {job_id} is whole; there is nothing to cut",
            hint=f"{finding}: clockwork store repair {job_id} --reason …",
            details={"job_id": job_id, "reason": reason},
        )
    if kind == "cut" and not chosen:
        raise InvalidInputError(
            f"the log of job {job_id} is damaged at byte {scanned.offset} ({reason}); where shall it end?",
            hint=f"--to-last-valid ends it at byte {scanned.offset}, after {len(scanned.events)} records; --truncate-at "
            "OFFSET earlier.",
            details={"job_id": job_id, "offset": scanned.offset, "reason": reason},
        )
    offset = scanned.offset if truncate_at is None else _boundary(found.data, scanned.offset, truncate_at)
    kept = found.data.count(b"\n", 0, offset)
    if not kept:
        raise InvalidInputError(
            f"not one record of job {job_id} would be left", hint="Restore the job's folder from a backup instead."
        )
    return RepairPlan(
        job_id, kind, offset, kept, finding, reason, _loss(found.data[offset:]), kind != "cache", _sha256(found.data)
    )


def _damage_of_log(found: _Found) -> tuple[str, str]:
    scanned, mark = found.scanned, found.watermark
    if scanned.verdict == "corrupt":
        says = f"the log is damaged at byte {scanned.offset} (record {scanned.state.seq + 1}): "
        return says + (scanned.problem or "more bytes follow than one write can leave"), scanned.reason
    if mark.seq > scanned.state.seq:
        return f"record {mark.seq} was confirmed, but the log ends after record {scanned.state.seq}", "acked_lost"
    for known in (found.lease, found.snapshot):
        at = known.watermark if isinstance(known, LeaseFile) else Watermark(known.seq, known.head) if known else mark
        if at.seq and scanned.events[at.seq - 1].hash != at.hash:
            return f"record {at.seq} is not the one that was confirmed", "fork"
    return "", ""


def _damage_beside_log(found: _Found) -> tuple[str, str, str]:
    scanned = found.scanned
    if found.lease_problem:
        says = f"{found.lease_problem}; whether records that were confirmed are lost cannot be told any more"
        return "lease", says, "lease_lost"
    if found.lease is not None and found.lease.epoch < scanned.state.epoch:
        says = f"lease.json is an older copy (epoch {found.lease.epoch}, the log is at {scanned.state.epoch})"
        return "lease", says, "epoch_behind"
    snapshot = found.snapshot
    if snapshot is not None:
        rebuilt = replay(found.genesis, scanned.events[: snapshot.seq])
        if rebuilt.to_document() != snapshot.state.to_document():
            return "cache", "the snapshot's state is not what the log adds up to", "state_differs"
    return "", "", ""


def _boundary(data: bytes, valid: int, offset: int) -> int:
    """Return *offset* when a valid record ends there.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    if 0 < offset <= valid and data[offset - 1 : offset] == b"\n":
        return offset
    nearest = data.rfind(b"\n", 0, max(0, min(offset, valid))) + 1
    raise InvalidInputError(
        f"no valid record ends at byte {offset}",
        hint=f"The nearest end before it is byte {nearest}: --truncate-at {nearest}",
        details={"offset": offset, "nearest": nearest},
    )


def _loss(tail: bytes) -> Loss:
    types: Counter[str] = Counter()
    last, steps = "", []
    for line in tail.split(b"\n"):
        event = _readable(line)
        if event is not None:
            types[event.type] += 1
            last = max(last, event.created_at)
            if event.type == "step.completed":
                steps.append(str(event.payload["step_id"]))
    return Loss(len(tail), types.total(), dict(sorted(types.items())), last, tuple(steps))


def _readable(line: bytes) -> Event | None:
    try:
        return decode_record(line) if line else None
    except ClockworkError:
        return None


def _sha256(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()


# --- doing it ----------------------------------------------------------------------------------------------------


def repair_job(
    store: JobReader,
    plan: RepairPlan,
    *,
    reason: str,
    tool_version: str,
    fs: FileSystem = REAL,
    clock: Clock | None = None,
) -> Repair:
    """Carry out *plan* and return what was done; nobody else owns the job meanwhile.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: no *reason*, or the job is not any more what *plan* was made for.
        LeaseConflictError: E_LEASE_CONFLICT: a living process owns the job.
        JobLimitError: E_JOB_LIMIT: the log has no room for the record of its repair.
        StoreFullError, StoreIOError: run the repair again once the disk is well.
    """
    if not reason.strip() or len(reason.encode("utf-8", "surrogatepass")) > _MAX_REASON:
        raise InvalidInputError(
            "a repair needs a reason; it stays in the job's evidence",
            hint=f"--reason TEXT, at most {_MAX_REASON} bytes.",
        )
    folder = store.existing(plan.job_id)
    clock = clock or SystemClock()
    holder = this_process()
    with _owning(folder, plan.job_id, holder, fs):
        found = _look(store, plan.job_id, fs)
        if _sha256(found.data) != plan.log_sha256:
            raise InvalidInputError(
                f"the log of job {plan.job_id} changed meanwhile", hint="Look again, then repair what is there now."
            )
        if plan.kind == "cache":
            _write_caches(folder, found.scanned.state, found.data[: plan.offset], tool_version, fs)
            return Repair(plan, "", found.scanned.state.epoch, found.scanned.state.tainted)
        return _rewrite(folder, found, plan, reason, holder, tool_version, fs, clock)


@contextmanager
def _owning(folder: Path, job_id: str, holder: Holder, fs: FileSystem) -> Iterator[None]:
    lock = FileLock(folder / "owner.lock", fs=fs)
    free = lock.try_acquire()
    try:
        lease, _ = _lease(folder, job_id, fs)
        if not free or (lease is not None and may_live(lease, holder)):
            who = f" by {lease.holder}" if lease else ""
            raise LeaseConflictError(
                f"job {job_id} is owned{who}; a job is repaired only while nobody runs it",
                hint=f"Let it end, or stop it: clockwork job cancel {job_id}",
                details={"job_id": job_id},
            )
        with hold(folder / "append.lock", fs=fs):
            yield
    finally:
        lock.release()


def _rewrite(
    folder: Path, found: _Found, plan: RepairPlan, reason: str, holder: Holder, tool_version: str, fs: FileSystem,
    clock: Clock,
) -> Repair:  # fmt: skip
    stamp = rfc3339(clock.now())
    state = replay(found.genesis, found.scanned.events[: plan.kept])
    epoch = max([state.epoch, *_epochs(found)]) + 1
    state, lines = _repair_records(state, plan, reason, holder, tool_version, epoch, stamp)
    repaired = found.data[: plan.offset] + lines
    check_limits(state.seq, len(repaired))
    saved = _keep(folder, found.data, stamp, fs) if plan.kind == "cut" or plan.loss.bytes else ""
    # In one step: the cut and the record that tells of it.
    write_atomic(folder / "events.jsonl", repaired, fs=fs)
    _write_caches(folder, state, repaired, tool_version, fs)
    mark = Watermark(state.seq, state.hash)
    beat = found.lease.beat + 1 if found.lease else 0
    lease = LeaseFile(plan.job_id, epoch, "free", holder, beat, TTL_MS, mark, acquired_at=stamp)
    write_lease(folder / "lease.json", lease, fs=fs)
    return Repair(plan, saved, epoch, state.tainted)


def _epochs(found: _Found) -> Iterator[int]:
    # Also of records that are cut: whoever wrote them must never be able to write again under its number.
    if found.lease is not None:
        yield found.lease.epoch
    yield found.scanned.state.epoch
    for line in found.scanned.tail.split(b"\n"):
        event = _readable(line)
        if event is not None and event.job_id == found.genesis["job_id"]:
            yield event.epoch


def _repair_records(
    state: JobState, plan: RepairPlan, reason: str, holder: Holder, tool_version: str, epoch: int, stamp: str
) -> tuple[JobState, bytes]:
    taken = {
        "runner_id": holder.runner_id,
        "host_id": holder.host_id,
        "ttl_ms": TTL_MS,
        "tool_version": f"clockwork_nb {tool_version}",
        "takeover": False,
    }
    cut = f"cut after record {plan.kept}" if plan.kind == "cut" else plan.finding
    drafts = [
        Draft("lease.taken", taken),
        Draft("job.tainted", {"reason": f"{cut} ({plan.reason}): {reason}", "offset": plan.offset}),
        Draft("lease.released", {"runner_id": holder.runner_id, "outcome": "repaired"}),
    ]
    lines = []
    for draft in drafts:
        event, line = encode_record(
            seq=state.seq + 1, created_at=stamp, event_type=draft.type, payload=draft.payload,
            epoch=epoch, prev=state.hash, job_id=state.job_id,
        )  # fmt: skip
        state = evolve(state, event)
        lines.append(line)
    return state, b"".join(lines)


def _keep(folder: Path, data: bytes, stamp: str, fs: FileSystem) -> str:
    """Keep the damaged log beside the repaired one, durably, and return the file's name."""
    name = f"events.jsonl.broken-{stamp.replace(':', '').replace('-', '')}"
    while True:
        try:
            create_atomic(folder / name, data, mode=0o400, fs=fs)
            return name
        except FileExistsError:  # two repairs within one tick of the clock
            name += f"-{os.urandom(2).hex()}"


def _write_caches(folder: Path, state: JobState, log: bytes, tool_version: str, fs: FileSystem) -> None:
    write_caches(folder, state, len(log), version=tool_version, log_sha256=_sha256(log), fs=fs)
