"""The two caches beside the log: ``snapshot.json`` (the fold of the log so far) and ``runtime_config.json`` (a short view).

Neither is ever believed against the log. A snapshot names the record it stands for; when that record is not in the log,
records were lost or exchanged, and that is an error, not a reason to build a new snapshot.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import ClockworkError
from clockwork_nb.fs import REAL, FileSystem, read_bytes, write_atomic, write_atomic_all

if TYPE_CHECKING:
    from pathlib import Path

    from clockwork_nb.jobs.model import JobState

__all__ = [
    "Snapshot",
    "due",
    "read_runtime",
    "read_snapshot",
    "runtime_document",
    "write_caches",
    "write_runtime",
    "write_snapshot",
]

_EVERY: Final = 64


class Snapshot(Struct, frozen=True):
    """A job's state after record ``seq``, whose hash is ``head`` and which ends at byte ``offset`` of the log.

    ``log_sha256`` is the SHA-256 of the log's bytes up to there, empty when the writer did not know it.
    """

    seq: int
    head: str
    offset: int
    state: JobState
    log_sha256: str = ""


def due(seq: int, last: int) -> bool:
    """Return whether a snapshot should be taken at *seq* when the latest is of *last*.

    Every 64 records, and in a long log less often, so that the cost of all snapshots stays in proportion to the log.
    """
    return seq - last >= max(_EVERY, last // 8)


def write_caches(
    folder: Path, state: JobState, offset: int, *, version: str, log_sha256: str = "", fs: FileSystem = REAL
) -> None:
    """Write both caches into a job's folder, durably: `write_snapshot` and `write_runtime` with fewer waits.

    Raises:
        StoreFullError, StoreIOError.
    """
    files = {
        folder / "snapshot.json": _snapshot(state, offset, version, log_sha256),
        folder / "runtime_config.json": canonical_json(runtime_document(state, offset)),
    }
    write_atomic_all(files, fs=fs)


def write_snapshot(
    path: Path, state: JobState, offset: int, *, version: str, log_sha256: str = "", fs: FileSystem = REAL
) -> None:
    """Write ``snapshot.json``, durably. The caller holds the append lock and *state* is what the log durably holds.

    *log_sha256* is the digest of those *offset* bytes; without it nobody reads less than the whole log.

    Raises:
        StoreFullError, StoreIOError.
    """
    write_atomic(path, _snapshot(state, offset, version, log_sha256), fs=fs)


def _snapshot(state: JobState, offset: int, version: str, log_sha256: str) -> bytes:
    from clockwork_nb.jobs.events import encode_plain

    body = encode_plain(state.to_document())
    head = encode_plain(
        {
            "head": state.hash,
            "job_id": state.job_id,
            "lineage": state.lineage,
            **({"log_sha256": log_sha256} if log_sha256 else {}),
            "offset": offset,
            "schema": "clockwork.snapshot.v1",
            "seq": state.seq,
        }
    )
    rest = encode_plain(
        {"state_sha256": sha256(body).hexdigest(), "writer": {"epoch": state.epoch, "version": version}}
    )
    return head[:-1] + b',"state":' + body + b"," + rest[1:]


def read_snapshot(path: Path, job_id: str, *, fs: FileSystem = REAL) -> Snapshot | None:
    """Return the snapshot, None when there is none or it cannot be used (then the log tells everything).

    Raises:
        StoreIOError: E_STORE_IO.
    """
    try:
        data = read_bytes(path, fs=fs)
    except FileNotFoundError:
        return None
    from clockwork_nb.jobs.model import JobState

    start, end = data.find(b',"state":'), data.rfind(b',"state_sha256":')
    if start < 0 or end < start:
        return None
    try:
        document = json.loads(data)
        if sha256(data[start + len(b',"state":') : end]).hexdigest() != document["state_sha256"]:
            return None
        if document["schema"] != "clockwork.snapshot.v1" or document["job_id"] != job_id:
            return None
        state = JobState.from_document(document["state"])
        digest = str(document.get("log_sha256", ""))
        snapshot = Snapshot(int(document["seq"]), str(document["head"]), int(document["offset"]), state, digest)
    except (ClockworkError, ValueError, KeyError, TypeError, RecursionError):
        return None
    fits = state.job_id == job_id and state.seq == snapshot.seq and state.hash == snapshot.head
    return snapshot if fits else None


def runtime_document(state: JobState, offset: int) -> dict[str, Any]:
    """Return the short view of a job for people and lists; ``offset`` is how much of the log it covers, in bytes."""
    steps = [step.status for section in state.open_sections for step in section.steps.values()]
    closed = [section for section in state.sections.values() if not section.open]
    return {
        "schema": "clockwork.runtime.v1",
        "job_id": state.job_id,
        "name": state.name,
        "adapter": state.adapter,
        "status": state.status,
        "reason": state.reason,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "seq": state.seq,
        "head": state.hash,
        "offset": offset,
        "epoch": state.epoch,
        "finished": state.finished,
        "tainted": state.tainted,
        "stop": state.stop,
        "sections": len(state.sections),
        "open_sections": [section.number for section in state.open_sections],
        "open_decisions": [decision.checkpoint_seq for decision in state.open_decisions],
        "steps_done": steps.count("completed") + sum(section.done for section in closed),
        "steps_failed": steps.count("failed") + steps.count("interrupted") + sum(section.failed for section in closed),
        "steps_skipped": steps.count("skipped") + sum(section.skipped for section in closed),
    }


def write_runtime(path: Path, state: JobState, offset: int, *, fs: FileSystem = REAL) -> None:
    """Write ``runtime_config.json``, durably.

    Raises:
        StoreFullError, StoreIOError.
    """
    write_atomic(path, canonical_json(runtime_document(state, offset)), fs=fs)


def read_runtime(path: Path, job_id: str, *, fs: FileSystem = REAL) -> dict[str, Any] | None:
    """Return what ``runtime_config.json`` says, None when there is none or it is not usable.

    Raises:
        StoreIOError: E_STORE_IO.
    """
    try:
        document = parse_json(read_bytes(path, fs=fs), what=path.name)
    except (FileNotFoundError, ClockworkError) as error:
        if isinstance(error, ClockworkError) and error.exit_code == 10:
            raise
        return None
    usable = isinstance(document, dict) and document.get("job_id") == job_id and isinstance(document.get("offset"), int)
    return document if usable else None
