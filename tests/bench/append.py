"""What one append costs in CPU seconds as a log grows: it must not depend on how long the log is (P12)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore

__all__ = ["AppendCost", "append_costs"]


@dataclass(frozen=True, slots=True)
class AppendCost:
    """CPU seconds an append at the beginning and over all, and CPU seconds to open and check the log at its end."""

    records: int
    first: float
    overall: float
    reopen: float

    @property
    def ratio(self) -> float:
        """How much more an append costs over all than at the beginning."""
        return self.overall / self.first


def append_costs(home: Path, *, first: int = 1_000, total: int = 100_000, batch: int = 1) -> AppendCost:
    """Append *total* records to a job below *home*, *batch* at a time, and return what that cost."""
    store = JobStore(home, tool_version="bench")
    with store.create(name="append", adapter="pipeline", lineage="", spec={}) as job:
        start = time.process_time()
        at_first = start
        for index in range(0, total, batch):
            job.append([Draft("cell.started", {"cell": "c", "index": index + i}) for i in range(batch)])
            if index < first <= index + batch:
                at_first = time.process_time()
        end = time.process_time()
        job_id = job.job_id
    again = time.process_time()
    store.open(job_id).close()
    return AppendCost(total, (at_first - start) / first, (end - start) / total, time.process_time() - again)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        cost = append_costs(Path(place))
        print(
            f"{cost.records:,} appends: {1e6 * cost.first:.0f} us CPU each at first, {1e6 * cost.overall:.0f} us over all "
            f"({cost.ratio:.2f}x); open and check {cost.reopen:.1f} s CPU"
        )
