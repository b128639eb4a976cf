"""An apply whose job is taken over: it notices, ends what it runs, writes nothing more, and leaves with 7 (P14, P15)."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import LeaseConflictError
from clockwork_nb.store.files import JobStore, TakeOver
from clockwork_nb.testing.project import Project

# Ignores SIGTERM, and has children in sessions of their own: only SIGKILL and the subreaper end it.
STUBBORN = """
directory "out" {{
  path = "out"
}}
command "slow" {{
  writes     = ["out/begun"]
  depends_on = [directory.out]
  script     = <<-SH
    trap '' TERM
    setsid sleep {mark} &
    (setsid sh -c 'sleep {mark} & exec sleep {mark}' &)
    echo "$CW_FENCING_TOKEN $CW_IDEMPOTENCY_KEY" > out/begun
    sleep {mark}
  SH
}}
command "later" {{
  writes     = ["out/later"]
  script     = "touch out/later"
  depends_on = [command.slow]
}}
"""

AGAIN = """
directory "out" {
  path = "out"
}
command "slow" {
  writes     = ["out/begun"]
  depends_on = [directory.out]
  idempotent = true
  script     = "if [ -e out/begun ]; then exit 0; fi; touch out/begun; sleep 60"
}
"""


def tree(mark: str) -> set[int]:
    """The living processes that have *mark* among their words."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if mark.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                    found.add(int(process.name))
            except OSError:
                continue
    return found


def until(happens: Callable[[], Any], what: str) -> float:
    began = time.monotonic()
    while not happens():
        assert time.monotonic() < began + 40, what
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.fixture
def mark() -> str:
    return f"6{secrets.randbelow(10**12):012d}.5"  # a number of seconds that nobody else sleeps


@contextmanager
def applying(project: Project) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start an apply and yield it with its job's id once its slow step runs; it is killed at the end."""
    process = project.start("apply", "--auto-approve")
    try:
        begun = project.folder / "out/begun"
        until(lambda: begun.exists() or process.poll() is not None, "the step never began")
        assert begun.exists(), process.communicate()
        (job,) = (project.store / "jobs").glob("job_*")
        yield process, job.name
    finally:
        process.kill()
        process.communicate()


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGSTOP)
    stat = Path(f"/proc/{process.pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it never stopped")


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_a_replaced_apply_kills_its_tree_and_writes_nothing_more(tmp_path: Path, mark: str, stopped: bool) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": STUBBORN.format(mark=mark)})
    state = project.folder / ".clockwork/state.json"
    with applying(project) as (process, job):
        until(lambda: len(tree(mark)) >= 4, "the family never came up")
        token, _, key = (project.folder / "out/begun").read_text().strip().partition(" ")
        assert token == f"{job}:1"
        assert key.startswith(f"{job}:command.slow:")
        before = state.read_bytes()
        if stopped:
            stop(process)
        store = JobStore(project.store, tool_version="t")
        with pytest.raises(LeaseConflictError) as caught:
            store.open(job)
        assert caught.value.details["stopped"] == stopped
        with store.open(job, take_over=TakeOver("ann", "a drill")) as new:
            took = until(lambda: not tree(mark), "its steps outlived the take-over")
            print(f"tree gone after {took * 1000:.0f} ms")
            assert took < 4  # a step's own grace is 5 seconds; a lost job's is not
            status, said = end(process)
            assert status == 7
            assert "E_LEASE_LOST" in said
            assert "taken over by" in said
            assert new.await_predecessor(20)
            events = new.events()
            assert [(e.type, e.epoch) for e in events if e.epoch > 1] == [("lease.taken", 2)]
            assert events[-1].payload["by"] == "ann"
        assert state.read_bytes() == before
        assert not (project.folder / "out/later").exists()


def test_a_stopped_owner_is_replaced_by_command_only_with_a_reason(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": AGAIN})
    with applying(project) as (process, job):
        stop(process)
        refused = project.run("job", "resume", job, "--json", expect=7)
        assert refused.error["code"] == "E_LEASE_CONFLICT"
        assert f"process {process.pid}" in refused.error["message"]
        assert "is stopped" in refused.error["message"]
        assert refused.error["details"]["pid"] == process.pid
        unexplained = project.run("job", "resume", job, "--take-over", "--json", expect=6)
        assert unexplained.error["code"] == "E_INVALID_INPUT_SCHEMA"
        assert [e["type"] for e in project.events(job)].count("lease.taken") == 1
        project.run("job", "resume", job, "--take-over", "--reason", "it hangs")
        assert end(process)[0] == 7
        taken = [e["payload"] for e in project.events(job) if e["type"] == "lease.taken"]
        assert [t["takeover"] for t in taken] == [False, True]
        assert taken[1]["reason"] == "it hangs"
        assert taken[1]["by"]
    assert project.jobs()[0]["status"] == "completed"
    assert project.run("plan", "--detailed-exitcode").status == 0
    project.run("jobpack", "export", job)
    project.run("jobpack", "verify", job)


def test_a_killed_owner_is_replaced_at_once_and_its_step_is_doubted(tmp_path: Path, mark: str) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": STUBBORN.format(mark=mark)})
    with applying(project) as (process, job):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        began = time.monotonic()
        with JobStore(project.store, tool_version="t").open(job) as new:
            print(f"taken after {(time.monotonic() - began) * 1000:.0f} ms")
            assert new.events()[-1].payload["takeover"] is False
        until(lambda: not tree(mark), "its steps outlived it")
    assert project.run("job", "resume", job, expect=9).err.count("E_STEP_INTERRUPTED") == 1


def test_who_waits_goes_on_where_the_owner_stopped(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": AGAIN})
    with applying(project) as (process, job):
        waiting = project.start("job", "resume", job, "--wait")
        assert waiting.stderr is not None
        assert f"waiting for process {process.pid}" in waiting.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert end(process)[0] == 130
        status, said = end(waiting)
        assert status == 0, said
    assert project.jobs()[0]["status"] == "completed"


def test_who_waits_leaves_a_job_alone_that_ended_meanwhile(tmp_path: Path) -> None:
    project = Project(tmp_path)
    text = AGAIN.replace("sleep 60", "until [ -e out/go ]; do sleep 0.05; done")
    project.write({"main.cw": text})
    with applying(project) as (process, job):
        waiting = project.start("job", "resume", job, "--wait")
        assert waiting.stderr is not None
        waiting.stderr.readline()
        (project.folder / "out/go").touch()
        assert end(process)[0] == 0
        status, said = end(waiting)
        assert (status, "E_INVALID_STATE_TRANSITION" in said) == (1, True)
        assert [e["type"] for e in project.events(job)].count("lease.taken") == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_waiting_can_be_stopped(tmp_path: Path, how: signal.Signals) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": AGAIN})
    with applying(project) as (process, job):
        waiting = project.start("job", "resume", job, "--wait")
        assert waiting.stderr is not None
        waiting.stderr.readline()
        waiting.send_signal(how)
        assert end(waiting)[0] == {signal.SIGINT: 130, signal.SIGTERM: 143}[how]
        assert process.poll() is None
        assert JobStore(project.store, tool_version="t").summary(job).running
