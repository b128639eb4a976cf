"""Runners that fight for one job while they are stopped, woken and killed, and their clocks disagree (promise P13)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clockwork_nb.store.files import JobStore

RUNNER = """
import os, random, sys, time
from msgspec.structs import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from clockwork_nb.errors import LeaseConflictError, LeaseLostError, StateLockedError
from clockwork_nb.fs import RealFileSystem
from clockwork_nb.ports import Draft
from clockwork_nb.store.files import JobStore, TakeOver
from clockwork_nb.store.lease import this_process

home, name, host, skew, ttl_ms = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])
dice = random.Random(name)

class SkewedClock:
    # Wrong by *skew* seconds, and set right or wrong by somebody now and then.
    def now(self):
        return datetime.now(UTC) + timedelta(seconds=skew * dice.choice((1, 1, 1, -1, 0)))
    def boottime(self):
        return time.clock_gettime(time.CLOCK_BOOTTIME)

class OwnLocks(RealFileSystem):
    # A file system that keeps the owner's lock for each machine alone; writes are ordered for all.
    def open_lock(self, path):
        return super().open_lock(path.with_name(f"{path.name}.{host}") if path.name == "owner.lock" else path)

def here():
    me = this_process()
    return replace(me, host_id=host, host=host, boot_id=f"boot-{host}") if host else me

store = JobStore(home, tool_version="t", fs=OwnLocks() if host else RealFileSystem(), clock=SkewedClock(), ttl_ms=ttl_ms,
                 holder=here)
acks = os.open(home / f"acks.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
while not (home / "over").exists():
    order = TakeOver(name, "the race") if dice.random() < 0.15 else None
    try:
        job = store.open("job_a", take_over=order, wait_s=dice.uniform(0, 3 if host else 0.05))
    except (LeaseConflictError, StateLockedError):
        continue
    try:
        for turn in range(dice.randrange(1, 60)):
            if job.stop_requested() == "lost":
                break
            for event in job.append([Draft("cell.started", {"cell": name, "index": turn})]):
                os.write(acks, f"{event.seq} {event.hash} {event.epoch} {job.runner_id}\\n".encode())
    except (LeaseLostError, StateLockedError):
        os.write(acks, b"refused\\n")
    finally:
        job.close()
"""


@dataclass
class Race:
    """Runners on one store, and somebody who stops, wakes and kills them."""

    home: Path
    hosts: tuple[str, ...]
    ttl_ms: int
    dice: random.Random
    runners: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    stopped: dict[str, float] = field(default_factory=dict)
    started = 0
    kills = 0
    stops = 0

    def start(self, host: str) -> None:
        self.started += 1
        name = f"r{self.started}"
        skew = self.dice.choice((-600, -60, -1, 1, 60, 600))
        words = [sys.executable, "-c", RUNNER, str(self.home), name, host, str(skew), str(self.ttl_ms)]
        self.runners[f"{name}@{host}"] = subprocess.Popen(words, stderr=subprocess.PIPE)

    def acked(self) -> int:
        return sum(path.read_bytes().count(b" ") // 3 for path in self.home.glob("acks.*"))

    def disturb(self) -> None:
        now = time.monotonic()
        for name in [n for n, until in self.stopped.items() if until <= now]:
            del self.stopped[name]
            self.runners[name].send_signal(signal.SIGCONT)
        name = self.dice.choice(sorted(self.runners))
        fate = self.dice.random()
        if fate < 0.15 and name not in self.stopped and len(self.stopped) < len(self.runners) - 1:
            # Now and then longer than the ttl, so that others may take the job from a machine that "went away".
            self.stopped[name] = now + self.dice.choice((0.02, 0.05, 0.1, 0.1, 0.1, 3 * self.ttl_ms / 1000))
            self.runners[name].send_signal(signal.SIGSTOP)
            self.stops += 1
        elif fate > 0.985:
            self.stopped.pop(name, None)
            self.end(name, signal.SIGKILL)
            self.kills += 1
            self.start(name.partition("@")[2])

    def end(self, name: str, how: signal.Signals) -> None:
        process = self.runners.pop(name)
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
        assert process.returncode in {0, -signal.SIGKILL}, said.decode()

    def finish(self) -> None:
        (self.home / "over").touch()
        for name in list(self.runners):
            self.end(name, signal.SIGCONT)


@contextmanager
def race(home: Path, hosts: tuple[str, ...], ttl_ms: int) -> Iterator[Race]:
    JobStore(home, tool_version="t").create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a").close()
    running = Race(home, hosts, ttl_ms, random.Random(7))
    try:
        for host in hosts:
            running.start(host)
        yield running
    finally:
        for process in running.runners.values():
            process.kill()
            process.communicate()


def check(home: Path) -> tuple[int, int, int]:
    """Compare what the runners were told with what the log holds; return acks, epochs and refusals."""
    lines = [json.loads(line) for line in (home / "jobs/job_a/events.jsonl").read_bytes().splitlines()]
    epochs = [line["epoch"] for line in lines]
    assert epochs == sorted(epochs), "a stale owner's record came into the log"
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    owners: dict[int, str] = {}
    for line in lines:
        if line["type"] == "lease.taken":
            assert line["epoch"] not in owners, "two runners began the same epoch"
            owners[line["epoch"]] = line["payload"]["runner_id"]
    acked = refused = 0
    for path in home.glob("acks.*"):
        # A killed runner leaves no half line: each is one write.
        for text in path.read_text().splitlines():
            if text == "refused":
                refused += 1
                continue
            seq, digest, epoch, runner = text.split()
            record = lines[int(seq) - 1]
            assert (record["hash"], record["epoch"]) == (digest, int(epoch)), "a confirmed event is lost"
            assert owners[int(epoch)] == runner, "a runner wrote under the epoch of another"
            acked += 1
    JobStore(home, tool_version="t").read("job_a")  # the chain, and the rules of a job
    return acked, len(owners), refused


def run_race(home: Path, hosts: tuple[str, ...], commits: int, *, ttl_ms: int, limit_s: float) -> tuple[int, int, int]:
    with race(home, hosts, ttl_ms) as running:
        deadline = time.monotonic() + limit_s
        while running.acked() < commits and time.monotonic() < deadline:
            time.sleep(0.02)
            running.disturb()
        running.finish()
        figures = check(home)
        print(
            f"{figures[0]} commits, {figures[1]} epochs, {figures[2]} refused, {running.stops} stops, {running.kills} kills"
        )
        assert running.stops > 5
        return figures


def test_two_thousand_commits_of_four_runners_without_a_stale_one(tmp_path: Path) -> None:
    acked, epochs, _ = run_race(tmp_path, ("", "", "", ""), 2_000, ttl_ms=600, limit_s=90)
    assert acked >= 2_000
    assert epochs > 20


def test_runners_of_two_machines_write_one_at_a_time(tmp_path: Path) -> None:
    acked, epochs, _ = run_race(tmp_path, ("alpha", "alpha", "beta", "beta"), 500, ttl_ms=600, limit_s=90)
    assert acked >= 500
    assert epochs > 5


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("hosts", [("",) * 6, ("alpha", "alpha", "beta", "beta", "gamma", "gamma")])
def test_ten_thousand_commits_without_a_stale_one(tmp_path: Path, hosts: tuple[str, ...]) -> None:
    acked, _, _ = run_race(tmp_path, hosts, 10_000, ttl_ms=600, limit_s=1_200)
    assert acked >= 10_000


def test_the_race_is_run_by_processes_that_are_gone_afterwards(tmp_path: Path) -> None:
    with race(tmp_path, ("", ""), 600) as running:
        pids = [process.pid for process in running.runners.values()]
        time.sleep(0.05)
        running.finish()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
