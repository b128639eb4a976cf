"""A job and the blobs it cannot do without appear in one step: no kill leaves a notebook job that cannot be resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import ClockworkError, InvalidInputError, StoreFullError
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.handle import JobHandle
from clockwork_nb.testing import CrashFs, Fault, FaultFs, FaultPlan, ManualClock

HOME = Path("/home")
BLOBS = [b"the notebook", b"something else", b"\x00" * 4096]
TAKEN_IN = [Draft("artifact.published", {"path": "notebook/input.ipynb", "op": "added", "blob": sha256_hex(BLOBS[0])})]


class KilledError(BaseException):
    """The process ends here."""


def store(fs: CrashFs | FaultFs) -> JobStore:
    return JobStore(HOME, tool_version="t", fs=fs, clock=ManualClock(), heartbeat=False)


def create(on: JobStore) -> JobHandle:
    return on.create(name="n", adapter="notebook", lineage="", spec={}, job_id="job_a", blobs=BLOBS, drafts=TAKEN_IN)


def check(on: JobStore) -> bool:
    """Return whether there is a job; if there is, it has everything."""
    if not on.exists("job_a"):
        return False
    view = on.read("job_a")
    assert [e.type for e in view.events][:3] == ["job.created", "lease.taken", "artifact.published"]
    for blob in BLOBS:
        assert on.blobs("job_a").get(sha256_hex(blob)) == blob
    return True


def test_a_kill_before_any_call_leaves_no_job_or_a_whole_one() -> None:
    there = []
    number = 0
    while True:
        number += 1
        left = number

        def strike(_operation: str) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                raise KilledError

        disk = CrashFs(on_op=strike)
        try:
            job = create(store(disk))
        except (KilledError, ClockworkError):
            disk.on_op = None
        else:
            disk.on_op = None
            job.close()
            break
        there.append(check(store(disk)))
    assert number > 30
    assert there == sorted(there)  # not there, not there, …, there
    assert any(there)


def test_a_lost_power_supply_leaves_no_job_or_a_whole_one() -> None:
    disk = CrashFs()
    states = 0

    def look(_operation: str) -> None:
        nonlocal states
        for crashed in disk.crash_states(limit=6):
            check(store(crashed))
            states += 1

    disk.on_op = look
    create(store(disk)).close()
    assert states > 60


def test_a_blob_that_does_not_fit_leaves_no_job() -> None:
    plan = FaultPlan((Fault("write", error=28, name=".tmp", nth=3),))
    disk = FaultFs(CrashFs(), plan)
    with pytest.raises(StoreFullError):
        create(store(disk))
    plan.clear()
    assert store(disk).ids() == []
    create(store(disk)).close()
    assert check(store(disk))


def test_events_that_cannot_be_leave_no_job() -> None:
    disk = CrashFs()
    wrong = [Draft("artifact.published", {"path": "x", "op": "changed", "blob": "0" * 64})]
    with pytest.raises(ClockworkError):
        store(disk).create(name="n", adapter="notebook", lineage="", spec={}, job_id="job_a", drafts=wrong)
    with pytest.raises(InvalidInputError):
        store(disk).create(name="n", adapter="notebook", lineage="", spec={}, job_id="job_a", drafts=[Draft("x", {})])
    assert store(disk).ids() == []


# A process of its own, because it forks: each child makes a notebook job and is killed at its n-th call to the disk.
SWEEP = """
import os, signal, sys
from pathlib import Path
from clockwork_nb import fs
from clockwork_nb.runbook.notebook import read_notebook
from clockwork_nb.runbook.run import NotebookRun
from clockwork_nb.settings import load_settings

home, notebook = Path(sys.argv[1]), Path(sys.argv[2])

def child(point):
    left = point
    def dying(call):
        def wrapped(*args, **more):
            nonlocal left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **more)
        return wrapped
    for name in ("create", "write", "truncate", "sync", "rename", "link", "unlink", "make_dir", "sync_dir"):
        setattr(fs.RealFileSystem, name, dying(getattr(fs.RealFileSystem, name)))
    settings = load_settings({"CLOCKWORK_HOME": str(home / str(point)), "HOME": str(home)})
    NotebookRun.create(read_notebook(notebook), {}, settings=settings, out=home / "out")
    os._exit(0)

point, killed = 0, True
while killed:
    point += 1
    pid = os.fork()
    if pid == 0:
        child(point)
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
print(point)
"""


def test_a_notebook_job_is_never_left_without_its_notebook(tmp_path: Path) -> None:
    notebook = tmp_path / "n.ipynb"
    cell = {"cell_type": "markdown", "id": "one", "metadata": {}, "source": "1"}
    notebook.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(tmp_path), str(notebook)], capture_output=True, text=True, check=True
    )
    points = int(done.stdout)
    assert points > 40
    whole = 0
    for point in range(1, points + 1):
        found = JobStore(tmp_path / str(point), tool_version="t")
        for job in found.ids():
            published = found.read(job).state.published
            assert found.blobs(job).get(published["notebook/input.ipynb"]) == notebook.read_bytes(), f"point {point}"
            whole += 1
            with found.open(job) as again:
                assert again.epoch == 2
    assert 5 < whole < points
