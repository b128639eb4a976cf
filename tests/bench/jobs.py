"""What durable jobs cost: a thousand steps, a log of a hundred thousand events, a pack of ten thousand, a bomb."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore
from tests.bench.append import append_costs

__all__ = ["job_rows"]

CLOCKWORK = [sys.executable, "-m", "clockwork_nb.cli"]
Measure = Callable[..., dict[str, float]]


def job_rows(base: Path, env: Mapping[str, str], measure: Measure) -> dict[str, Any]:
    """Return and print the figures; *measure* is that of `tests.bench.__main__`."""
    rows: dict[str, Any] = {}
    home = Path(env["CLOCKWORK_HOME"])

    def tell(name: str, row: Mapping[str, float], more: str = "") -> None:
        rows[name] = dict(row)
        figures = f"{row['cpu']:8.2f} s CPU  {row['wall']:8.2f} s wall  {row['mib']:5.0f} MiB"
        print(f"job    {name:<44} {figures}  {more}".rstrip(), flush=True)

    folder = base / "jobs"
    folder.mkdir()
    steps = [{"id": f"s{i}", "command": "true"} for i in range(1_000)]
    (folder / "spec.json").write_text(json.dumps({"name": "noop", "inputs": {"steps": steps}}))
    row = measure([*CLOCKWORK, "job", "submit", "spec.json", "--job-id", "thousand"], cwd=folder, env=env)
    tell("submit to completed, 1,000 sh steps in a row", row, f"{1000 / row['wall']:.0f} steps/s")
    tell("wrap -- true", measure([*CLOCKWORK, "wrap", "--", "true"], cwd=folder, env=env, runs=5))

    _log(home, "long", 100_000)
    for verb in (("job", "status"), ("checkpoint", "list"), ("job", "show")):
        tell(f"{' '.join(verb)}, 100,000 events", measure([*CLOCKWORK, *verb, "long", "--json"], cwd=folder, env=env))
    _log(home, "ten", 9_990)
    tell("jobpack export, 10,000 events", measure([*CLOCKWORK, "jobpack", "export", "ten"], cwd=folder, env=env))
    tell(
        "jobpack verify, 10,000 events", measure([*CLOCKWORK, "jobpack", "verify", "ten"], cwd=folder, env=env, runs=3)
    )
    _bomb(folder / "bomb.zip")
    tell(
        "jobpack verify, 1 GiB bomb",
        measure([*CLOCKWORK, "jobpack", "verify", "bomb.zip"], cwd=folder, env=env, expect=2),
    )

    cost = append_costs(base / "append")
    rows["append"] = {"first_us": cost.first * 1e6, "overall_us": cost.overall * 1e6, "reopen_cpu_s": cost.reopen}
    print(
        f"log    append {1e6 * cost.first:.0f} us CPU at first, {1e6 * cost.overall:.0f} us over 100,000 ({cost.ratio:.2f}x);"
        f" open + check 100,000: {cost.reopen:.1f} s CPU"
    )
    rows["append_rate"] = _rates(base / "rates")
    print("log    " + "; ".join(f"{name} {rate:,.0f}/s" for name, rate in rows["append_rate"].items()), flush=True)
    return rows


def _log(home: Path, job_id: str, events: int) -> None:
    store = JobStore(home, tool_version="bench")
    with store.create(name="long", adapter="pipeline", lineage="", spec={}, job_id=job_id) as job:
        job.append([Draft("job.status", {"from": "queued", "to": "running"})])
        for start in range(0, events, 500):
            cells = range(start, min(events, start + 500))
            job.append([Draft("cell.started", {"cell": f"c{i % 50}", "index": i % 50}) for i in cells])
        last = {"kind": "completed", "summary": "done", "reason_codes": []}
        job.append([Draft("checkpoint", last), Draft("job.status", {"from": "running", "to": "completed"})])
        job.append([Draft("job.finished", {"status": "completed", "reason_codes": []})])


def _rates(home: Path) -> dict[str, float]:
    """Return appends per second of wall time: in groups of 100, and one by one from 32 threads."""
    rates = {}
    with JobStore(home, tool_version="bench").create(name="rate", adapter="pipeline", lineage="", spec={}) as job:
        begun = time.monotonic()
        for _ in range(200):
            job.append([Draft("cell.started", {"cell": "c", "index": 1})] * 100)
        rates["append in groups of 100"] = 20_000 / (time.monotonic() - begun)

        def many() -> None:
            for _ in range(300):
                job.append([Draft("cell.started", {"cell": "c", "index": 1})])

        threads = [threading.Thread(target=many) for _ in range(32)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rates["append of 32 threads"] = 9_600 / (time.monotonic() - begun)
    return rates


def _bomb(path: Path) -> None:
    import zipfile

    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack,
        pack.open("events.jsonl", "w", force_zip64=True) as file,
    ):
        for _ in range(1024):
            file.write(b"\0" * (1 << 20))
    assert os.path.getsize(path) < 4 << 20
