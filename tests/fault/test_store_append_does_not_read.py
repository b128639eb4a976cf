"""Appending costs the same however long the log is: nothing of it is read again (P12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.fs import FileStat
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore
from clockwork_nb.testing import CrashFs, ManualClock
from tests.bench.append import append_costs

HOME = Path("/home")


class CountingFs(CrashFs):
    """A disk in memory that counts the bytes read and written, of the log and of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.log_read = self.written = self.stats = 0

    def read(self, path: Path, offset: int = 0) -> bytes:
        data = super().read(path, offset)
        self.log_read += len(data) if path.name == "events.jsonl" else 0
        return data

    def write(self, handle: int, data: bytes) -> int:
        self.written += len(data)
        return super().write(handle, data)

    def stat(self, path: Path) -> FileStat | None:
        self.stats += 1
        return super().stat(path)


def test_appends_never_read_the_log_and_write_in_proportion_to_it() -> None:
    disk = CountingFs()
    disk.make_dir(HOME, 0o700)
    store = JobStore(HOME, tool_version="0.1.0", fs=disk, clock=ManualClock(), heartbeat=False)
    with store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a") as job:
        costs = []
        for part in range(3):
            before = disk.written, disk.stats
            for index in range(600):
                # Each cell has its own name, so the state grows as the log does.
                job.append([Draft("cell.started", {"cell": f"c{part}-{index}", "index": index})])
            assert job.state.seq  # asked behind the appends: the caches of all of them are written
            costs.append((disk.written - before[0], disk.stats - before[1]))
        assert disk.log_read == 0
    sizes = [size for size, _ in costs]
    assert max(sizes) < 1.5 * min(sizes), costs  # snapshots are taken less often as the log grows
    assert len({stats for _, stats in costs}) == 1, costs


@pytest.mark.slow
def test_a_hundred_thousand_appends_cost_less_than_three_times_the_first_thousand_each(tmp_path: Path) -> None:
    cost = append_costs(tmp_path)
    assert cost.ratio < 3
    assert cost.reopen < 10
