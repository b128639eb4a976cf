"""The kernel's end of a job whose engine is stopped (SIGSTOP), taken over, or wakes too late."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clockwork_nb.errors import LeaseLostError
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore, TakeOver
from clockwork_nb.store.remote import RemoteJob

ENGINE = """
import sys
from pathlib import Path
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.remote import JobServer
home = Path(sys.argv[1])
job = JobStore(home, tool_version="t", ttl_ms=int(sys.argv[2])).create(
    name="n", adapter="notebook", lineage="", spec={}, job_id="job_a")
with JobServer(job, home / "s"):
    print("serves", flush=True)
    sys.stdin.readline()
job.close()
"""


@contextmanager
def engine(home: Path, ttl_ms: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(home), str(ttl_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "serves\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def cell(index: int) -> Draft:
    return Draft("cell.started", {"cell": f"c{index}", "index": index})


def test_asking_a_stopped_engine_takes_no_longer_than_patience_and_loses_nothing(tmp_path: Path) -> None:
    with engine(tmp_path, 30_000) as process, RemoteJob(tmp_path / "s") as job:
        job.append([cell(1)])
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.25)
        took = []
        for _ in range(2):
            began = time.monotonic()
            assert job.stop_requested() == ""
            took.append(time.monotonic() - began)
            time.sleep(0.25)
        print(f"asked for {max(took):.2f} s at most")
        assert max(took) < 10  # an answer that matters is waited for a minute
        process.send_signal(signal.SIGCONT)
        job.append([cell(2)])
        time.sleep(0.25)
        assert job.stop_requested() == ""
        assert set(job.state.cells) == {"c1", "c2"}


def test_an_engine_that_stays_silent_for_half_a_ttl_is_lost_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with engine(tmp_path, 3_000) as process, RemoteJob(tmp_path / "s") as job:
        job.append([cell(1)])
        process.send_signal(signal.SIGSTOP)
        errors: list[LeaseLostError] = []

        def append() -> None:
            try:
                job.append([cell(2)])
            except LeaseLostError as error:
                errors.append(error)

        waiting = threading.Thread(target=append)
        waiting.start()
        deadline = time.monotonic() + 40
        while job.stop_requested() != "lost":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        waiting.join(20)
        assert len(errors) == 1
        with pytest.raises(LeaseLostError):
            job.append([cell(3)])
        process.send_signal(signal.SIGCONT)
        assert job.stop_requested() == "lost"  # for good: its steps are gone


def test_many_who_ask_at_once_are_all_answered_in_time(tmp_path: Path) -> None:
    with engine(tmp_path, 30_000) as process, RemoteJob(tmp_path / "s") as job:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.25)
        said: list[str] = []
        threads = [threading.Thread(target=lambda: said.append(job.stop_requested())) for _ in range(16)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == [""] * 16
        assert time.monotonic() - began < 10


def test_the_kernel_hears_at_once_that_the_job_was_taken_over(tmp_path: Path) -> None:
    with engine(tmp_path, 30_000) as process, RemoteJob(tmp_path / "s") as job:
        process.send_signal(signal.SIGSTOP)
        with JobStore(tmp_path, tool_version="t").open("job_a", take_over=TakeOver("ann", "it hangs")) as new:
            # The engine was woken to hear it, and tells.
            deadline = time.monotonic() + 20
            while job.stop_requested() != "lost":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            with pytest.raises(LeaseLostError):
                job.append([cell(1)])
            assert new.state.cells == {}
            assert [e.epoch for e in new.events()] == [1, 1, 2]
