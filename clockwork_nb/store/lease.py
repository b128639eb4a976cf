"""The lease file: who runs a job, under which epoch, and how far its log is known to be durable.

The epoch is the fencing token. Only whoever takes a job over raises it, under the append lock; an append by an older
epoch is refused there, however late it comes. No two machines' clocks are ever compared.
"""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import ClockworkError, StoreCorruptError
from clockwork_nb.fs import REAL, FileSystem, read_bytes, write_atomic
from clockwork_nb.ids import new_ulid
from clockwork_nb.jobs.fields import FLAG, HEX, STAMP, Choice, Int, Optional, Record, Text
from clockwork_nb.mounts import boot_id
from clockwork_nb.store.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "TTL_MS",
    "Holder",
    "LeaseFile",
    "is_stopped",
    "lives",
    "read_lease",
    "start_ticks",
    "this_process",
    "write_lease",
]

TTL_MS: Final = 30_000
_MAX_BYTES: Final = 16_384


class Holder(Struct, frozen=True):
    """A process, so that no other can be taken for it: process numbers are reused, start times on one boot are not."""

    runner_id: str
    host_id: str
    host: str
    boot_id: str
    pid: int
    start_ticks: int

    def same_boot(self, other: Holder) -> bool:
        """Return whether both ran on one machine since it was last started."""
        return bool(self.boot_id) and self.boot_id == other.boot_id and self.host_id == other.host_id

    def __str__(self) -> str:
        """Return what people need to find it: process number and host name."""
        return f"process {self.pid} on {self.host or 'an unnamed host'}"


class LeaseFile(Struct, frozen=True):
    """The content of ``lease.json``."""

    job_id: str
    epoch: int
    state: str
    holder: Holder
    beat: int
    ttl_ms: int
    watermark: Watermark
    acquired_at: str
    locked: bool = False
    """Whether the holder has the owner's lock: then nobody gets that lock while the holder lives."""

    def beaten(self, watermark: Watermark, *, locked: bool) -> LeaseFile:
        """Return the same lease one heartbeat later."""
        return replace(self, beat=self.beat + 1, watermark=watermark, locked=locked)

    def freed(self, watermark: Watermark) -> LeaseFile:
        """Return the lease given back."""
        return replace(self, state="free", beat=self.beat + 1, watermark=watermark)


_FORM: Final = Record(
    schema=Choice("clockwork.lease.v1"),
    job_id=Text(64, empty=False),
    epoch=Int(1),
    state=Choice("held", "free"),
    holder=Record(
        runner_id=Text(64), host_id=Text(64), host=Text(256), boot_id=Text(64), pid=Int(0), start_ticks=Int(0)
    ),
    beat=Int(0),
    ttl_ms=Int(1),
    watermark=Record(seq=Int(0), hash=HEX),
    acquired_at=STAMP,
    locked=Optional(FLAG),
)


def write_lease(path: Path, lease: LeaseFile, *, fs: FileSystem = REAL) -> None:
    """Write ``lease.json``, durably. The caller holds the append lock.

    Raises:
        StoreFullError, StoreIOError.
    """
    holder = lease.holder
    document = {
        "schema": "clockwork.lease.v1",
        "job_id": lease.job_id,
        "epoch": lease.epoch,
        "state": lease.state,
        "holder": {
            "runner_id": holder.runner_id,
            "host_id": holder.host_id,
            "host": holder.host,
            "boot_id": holder.boot_id,
            "pid": holder.pid,
            "start_ticks": holder.start_ticks,
        },
        "beat": lease.beat,
        "ttl_ms": lease.ttl_ms,
        "watermark": {"seq": lease.watermark.seq, "hash": lease.watermark.hash},
        "acquired_at": lease.acquired_at,
        "locked": lease.locked,
    }
    write_atomic(path, canonical_json(document), fs=fs)


def read_lease(path: Path, *, fs: FileSystem = REAL) -> LeaseFile:
    """Return what ``lease.json`` says.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT: missing or not such a file. It is replaced in one step, so a crash cannot
            leave it in pieces.
        StoreIOError: E_STORE_IO.
    """
    try:
        data = read_bytes(path, fs=fs)
    except FileNotFoundError:
        raise StoreCorruptError(f"{path} is missing", details={"path": str(path), "reason": "missing"}) from None
    return _parsed(data[:_MAX_BYTES], path)


@lru_cache(maxsize=4)  # an owner reads its lease before every append, and it changes with a heartbeat alone
def _parsed(data: bytes, path: Path) -> LeaseFile:
    try:
        document: Mapping[str, Any] = parse_json(data, what=str(path))
        _FORM.check(document, "lease.json")
    except ClockworkError as error:
        raise StoreCorruptError(
            f"{path} is damaged: {error.message}", details={"path": str(path), "reason": "unreadable"}
        ) from error
    mark = document["watermark"]
    return LeaseFile(
        job_id=document["job_id"],
        epoch=document["epoch"],
        state=document["state"],
        holder=Holder(**document["holder"]),
        beat=document["beat"],
        ttl_ms=document["ttl_ms"],
        watermark=Watermark(mark["seq"], mark["hash"]),
        acquired_at=document["acquired_at"],
        locked=document.get("locked", False),
    )


def this_process() -> Holder:
    """Return the calling process under a fresh runner id."""
    pid = os.getpid()
    machine = _text("/etc/machine-id") or os.uname().nodename
    return Holder(
        runner_id=new_ulid(),
        host_id=sha256(f"{machine}clockwork".encode()).hexdigest()[:16],
        host=os.uname().nodename[:256],
        boot_id=boot_id(),
        pid=pid,
        start_ticks=start_ticks(pid),
    )


def start_ticks(pid: int) -> int:
    """Return when the process *pid* started, in clock ticks since boot; 0 when there is none or it cannot be told."""
    return _process(pid)[1]


def lives(holder: Holder, here: Holder) -> bool:
    """Return whether *holder* is a living process of the machine that *here* runs on."""
    return bool(_state(holder, here))


def is_stopped(holder: Holder, here: Holder) -> bool:
    """Return whether *holder* is a living process of the machine that *here* runs on, and is stopped by a signal."""
    return _state(holder, here) == "T"


def _state(holder: Holder, here: Holder) -> str:
    if not holder.same_boot(here) or holder.start_ticks == 0:
        return ""
    state, started = _process(holder.pid)
    return state if started == holder.start_ticks and state not in "ZX" else ""


def _process(pid: int) -> tuple[str, int]:
    stat = _text(f"/proc/{pid}/stat")
    # proc(5): the second field is the command in parentheses and may hold anything. The third is the state (T: stopped
    # by a signal, Z and X: dead), the 22nd the start time.
    fields = stat.rpartition(")")[2].split()
    return (fields[0], int(fields[19])) if len(fields) > 19 and fields[19].isdigit() else ("", 0)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
