"""What a killed run left running is found by its mark, reported, and ended only with that mark (P32)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clockwork_nb.forge.orphans import MARK_NAME, Orphan, end_orphans, find_orphans
from clockwork_nb.session.orphans import over_in, words_for
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.lease import read_lease
from clockwork_nb.testing.project import Project

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def process(**env: str) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(SLEEP, env=env, start_new_session=True)
    try:
        # Until its exec is done it still has the environment of this process.
        wait_for(lambda: b"time.sleep" in Path(f"/proc/{running.pid}/cmdline").read_bytes(), "it did not start")
        yield running
    finally:
        running.kill()
        running.wait()


def found_here(is_over: Callable[[str, int], bool], *jobs: str) -> list[Orphan]:
    return [o for o in find_orphans(is_over) if o.job in jobs]


def test_only_runs_that_are_over_leave_orphans() -> None:
    with process(CW_FENCING_TOKEN="job_left:3") as left, process(CW_FENCING_TOKEN="job_runs:3"):
        found = found_here(lambda job, epoch: (job, epoch) == ("job_left", 3), "job_left", "job_runs")
        assert [(o.pid, o.job, o.epoch) for o in found] == [(left.pid, "job_left", 3)]
        assert left.poll() is None, "looking must not end anything"


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"CW_FENCING_TOKEN": ""},
        {"CW_FENCING_TOKEN": "job_x"},
        {"CW_FENCING_TOKEN": "job_x:"},
        {"CW_FENCING_TOKEN": "job_x:1 "},
        {"CW_FENCING_TOKEN": "../x:1"},
        {"XCW_FENCING_TOKEN": "job_x:1"},
        {"OTHER": "CW_FENCING_TOKEN=job_x:1"},
    ],
)
def test_what_does_not_carry_a_whole_mark_is_nobody(env: dict[str, str]) -> None:
    with process(**env) as stranger:
        assert stranger.pid not in [o.pid for o in find_orphans(lambda job, epoch: True)]


def test_an_orphan_is_ended_and_its_neighbour_is_not() -> None:
    with process(CW_FENCING_TOKEN="job_left:3") as left, process(CW_FENCING_TOKEN="job_left:4") as later:
        found = found_here(lambda job, epoch: epoch < 4, "job_left")
        assert end_orphans(found) == found
        assert left.wait(10) == -signal.SIGKILL
        assert later.poll() is None


def test_a_number_that_another_process_has_now_is_left_alone() -> None:
    with process(CW_FENCING_TOKEN="job_left:3") as left, process() as other:
        taken = Orphan(other.pid, "job_left", 3, "python")
        gone = Orphan(2**22 - 1, "job_left", 3, "python")
        moved = Orphan(left.pid, "job_left", 2, "python")
        assert end_orphans([taken, gone, moved]) == []
        assert other.poll() is None
        assert left.poll() is None


def test_the_words_name_process_and_job() -> None:
    assert words_for([], []) == ""
    found = [Orphan(n, "job_x", 1, "sh") for n in range(10, 17)]
    words = words_for(found, found[:1])
    assert words.startswith("ended 7 processes that a killed run had left running: sh (10, job job_x), ")
    assert words.endswith("and 2 more; 1 could not be ended")


def test_a_run_is_over_when_its_epoch_or_its_process_is(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "home", tool_version="0")
    handle = store.create(name="n", adapter="noop", lineage="", spec={}, objective="")
    job, epoch = handle.job_id, handle.epoch
    is_over = over_in(store)
    assert not is_over(job, epoch), "its process is this one"
    assert not is_over(job, epoch + 1)
    assert is_over(job, epoch - 1)
    assert not is_over("job_of_another_store", 1)
    lease = store.folder(job) / "lease.json"
    kept = lease.read_bytes()
    ticks = b'"start_ticks":%d' % read_lease(lease).holder.start_ticks
    assert ticks in kept
    lease.write_bytes(kept.replace(ticks, b'"start_ticks":1'))  # another process had this number
    assert is_over(job, epoch)
    lease.write_bytes(kept)
    handle.close("interrupted")
    assert is_over(job, epoch)


SCRIPT = """
resource "command" "left" {
  script     = <<-EOT
    if [ -e out/second ]; then exit 0; fi
    setsid sh -c 'echo $$ > out/pid.new; mv out/pid.new out/pid; exec sleep 600' &
    sleep 600
  EOT
  writes     = ["out/pid"]
  idempotent = true
}
"""


def test_the_next_start_reports_and_ends_what_a_killed_run_left(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": SCRIPT, "out/.keep": ""})
    running = project.start("apply", "--auto-approve")
    pid_file = project.folder / "out/pid"
    wait_for(pid_file.exists, "the step did not come up")
    orphan = int(pid_file.read_text())
    name = Path(f"/proc/{orphan}/comm")
    wait_for(lambda: name.read_text().strip() == "sleep", "it did not get to its sleep")
    # The launcher ends everything when the run dies, its guard when the launcher does. All of them at once is the gap.
    family = [running.pid, *launchers_of(running.pid)]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    running.wait()
    running.communicate()
    wait_for(lambda: all(not Path(f"/proc/{p}/exe").exists() for p in family[1:]), "the launcher is still there")
    assert name.exists(), "it was ended with the run; then there is nothing to find"
    mark = [v for v in Path(f"/proc/{orphan}/environ").read_bytes().split(b"\0") if v.startswith(MARK_NAME.encode())]
    assert mark

    (project.folder / "out/second").touch()
    job = project.jobs()[0]["id"]
    done = project.run("job", "resume", job)
    assert f"that a killed run had left running: sleep ({orphan}, job {job})" in done.err
    wait_for(lambda: not Path(f"/proc/{orphan}/exe").exists(), "the orphan is still there")
    told = [e["payload"]["summary"] for e in project.events(job) if e["type"] == "checkpoint"]
    assert any(f"sleep ({orphan}" in words for words in told)


def launchers_of(pid: int) -> list[int]:
    """The guard and the worker of the run *pid*."""
    found = []
    level = [pid]
    while level:
        below = [int(c) for p in level for c in Path(f"/proc/{p}/task/{p}/children").read_text().split()]
        level = [c for c in below if b"import launcher" in Path(f"/proc/{c}/cmdline").read_bytes()]
        found += level
    return found
