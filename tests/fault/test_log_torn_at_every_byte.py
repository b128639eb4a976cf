"""A log cut at every byte of its last records is healed, the cut bytes are kept, and the next append is readable (P4)."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.lease import read_lease, write_lease
from clockwork_nb.store.log import Watermark
from clockwork_nb.testing import CrashFs, ManualClock

HOME = Path("/home")
FOLDER = HOME / "jobs" / "job_a"


def cell(index: int) -> Draft:
    return Draft("cell.started", {"cell": f"c{index}", "index": index})


def rewrite(disk: CrashFs, path: Path, data: bytes) -> None:
    handle = disk.open_append(path)
    disk.truncate(handle, 0)
    disk.write(handle, data)
    disk.sync(handle)
    disk.close(handle)


def test_a_cut_at_every_byte_is_healed_by_the_next_owner() -> None:
    disk = CrashFs()
    store = JobStore(HOME, tool_version="0.1.0", fs=disk, clock=ManualClock(), heartbeat=False)
    job = store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
    known = job.append([cell(0)])[-1]
    sure = len(disk.read(FOLDER / "events.jsonl"))
    lease = replace(
        read_lease(FOLDER / "lease.json", fs=disk), watermark=Watermark(known.seq, known.hash), state="free"
    )
    job.append([cell(1), cell(2)])
    whole = disk.read(FOLDER / "events.jsonl")
    ends = [sure, whole.index(b"\n", sure) + 1, len(whole)]
    job.close()
    for size in range(sure, len(whole) + 1):
        for name in disk.list_dir(FOLDER):
            if name.startswith("torn-") or name in {"snapshot.json", "runtime_config.json"}:
                disk.unlink(FOLDER / name)
        rewrite(disk, FOLDER / "events.jsonl", whole[:size])
        write_lease(FOLDER / "lease.json", lease, fs=disk)
        kept = max(end for end in ends if end <= size)
        assert store.read("job_a").torn == size - kept
        with store.open("job_a") as again:
            again.append([cell(9)])
            healed = [event.payload for event in again.events() if event.type == "log.recovered"]
        log = disk.read(FOLDER / "events.jsonl")
        assert log.startswith(whole[:kept])
        view = store.read("job_a")
        assert view.torn == 0 and "c9" in view.state.cells
        if size == kept:
            assert healed == []
            continue
        tail = whole[kept:size]
        name = f"torn-{kept}-{sha256_hex(tail)[:8]}.bin"
        assert healed == [{"offset": kept, "bytes": len(tail), "saved": name}]
        assert disk.read(FOLDER / name) == tail
