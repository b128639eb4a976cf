"""When the owner of a job counts as gone: on this machine, after a reboot, on another machine, and when somebody says so."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.errors import InvalidInputError, LeaseConflictError, LeaseLostError
from clockwork_nb.ports import Draft
from clockwork_nb.store import lease as leases
from clockwork_nb.store.files import JobStore, TakeOver, Waiting, may_live
from clockwork_nb.store.handle import JobHandle
from clockwork_nb.store.lease import Holder, LeaseFile, lives, read_lease, start_ticks, this_process, write_lease
from clockwork_nb.store.log import Watermark
from clockwork_nb.store.ownership import BeatWatch, judge, wake
from clockwork_nb.testing import ManualClock

ANN = TakeOver("ann", "it hangs")
HERE = Holder("me", "host-a", "a", "boot-1", 4_000_000, 7)


def lease(
    holder: Holder, *, state: str = "held", locked: bool = True, beat: int = 1, ttl_ms: int = 30_000
) -> LeaseFile:
    return LeaseFile(
        "job_a", 1, state, holder, beat, ttl_ms, Watermark(2, "0" * 64), "2026-11-22T01:02:03.000000Z", locked
    )


def other(**changes: Any) -> Holder:
    return replace(HERE, runner_id="them", pid=4_000_001, start_ticks=9, **changes)


def cell(index: int) -> Draft:
    return Draft("cell.started", {"cell": f"c{index}", "index": index})


# --- what is known ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "locked", "verdict"),
    [
        ({}, True, "gone"),  # one kernel: it let go of the lock
        ({"host_id": "container"}, True, "gone"),  # still one kernel
        ({}, False, "gone"),  # took over, and is no process any more
        ({"host_id": "container"}, False, "unsure"),  # its processes cannot be seen from here
        ({"boot_id": "boot-0"}, True, "gone"),  # the machine was started again
        ({"boot_id": "boot-0"}, False, "gone"),
        ({"host_id": "host-b", "boot_id": "boot-7"}, True, "unsure"),
        ({"boot_id": ""}, True, "unsure"),
        ({"host_id": "host-b", "boot_id": ""}, True, "unsure"),
    ],
)
def test_what_having_the_lock_says_about_the_owner(changes: dict[str, str], locked: bool, verdict: str) -> None:
    held = lease(other(**changes), locked=locked)
    assert judge(held, HERE, lock_is_ours=True) == verdict
    assert may_live(held, HERE) == (verdict != "gone")
    assert judge(held, HERE, lock_is_ours=False) == "alive"
    assert judge(lease(other(**changes), state="free", locked=locked), HERE, lock_is_ours=True) == "gone"


def test_a_machine_that_cannot_name_its_own_boot_is_sure_of_nobody() -> None:
    assert judge(lease(other(boot_id="boot-1")), replace(HERE, boot_id=""), lock_is_ours=True) == "unsure"
    assert judge(lease(other(boot_id="")), replace(HERE, boot_id=""), lock_is_ours=True) == "unsure"


def test_the_same_process_number_on_another_machine_is_another_process() -> None:
    twin = replace(HERE, runner_id="them", host_id="host-b", boot_id="boot-7")
    assert judge(lease(twin), HERE, lock_is_ours=True) == "unsure"


def test_a_reused_process_number_is_another_process() -> None:
    me = this_process()
    parent = replace(me, runner_id="them", pid=os.getppid(), start_ticks=start_ticks(os.getppid()))
    assert judge(lease(parent, locked=False), me, lock_is_ours=True) == "alive"
    reused = replace(parent, start_ticks=parent.start_ticks - 1)
    assert judge(lease(reused, locked=False), me, lock_is_ours=True) == "gone"
    assert not lives(reused, me)
    assert not wake(reused, me)


def test_a_dead_process_whose_parent_has_not_noticed_does_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(_path: str) -> str:
        return f"77 (a ) Z (b) {state} " + " ".join(["0"] * 18) + " 9 0"

    monkeypatch.setattr(leases, "_text", stat)
    seen = {}
    for state in "RSDTtZX":
        seen[state] = lives(other(), HERE)
    assert seen == {"R": True, "S": True, "D": True, "T": True, "t": True, "Z": False, "X": False}


# --- watching a heartbeat -----------------------------------------------------------------------------------------


def test_only_a_heartbeat_that_stood_still_before_our_eyes_for_two_ttls_is_given_up() -> None:
    clock = ManualClock()
    watch = BeatWatch(clock)
    held = lease(other())
    for _ in range(12):
        assert not watch.is_silent(held)
        clock.advance(5)
    assert watch.see(held) == 60
    assert watch.is_silent(held)


@pytest.mark.parametrize("sign", [{"beat": 2}, {"epoch": 2}, {"holder": replace(HERE, runner_id="third")}])
def test_any_sign_of_life_begins_the_watch_anew(sign: dict[str, Any]) -> None:
    clock = ManualClock()
    watch = BeatWatch(clock)
    held = lease(other())
    for _ in range(12):
        watch.see(held)
        clock.advance(5)
    alive = replace(held, **sign)
    assert not watch.is_silent(alive)
    for _ in range(11):
        clock.advance(5)
        assert not watch.is_silent(alive)
    clock.advance(5)
    assert watch.is_silent(alive)


def test_the_time_of_day_has_no_say() -> None:
    clock = ManualClock()
    watch = BeatWatch(clock)
    held = replace(lease(other()), acquired_at="1970-01-01T00:00:00.000000Z")
    for year in (1970, 2106, 2026, 1999):
        clock.set_wall(datetime(year, 1, 1, tzinfo=UTC))
        assert not watch.is_silent(held)
    for _ in range(12):
        clock.advance(5)
        watch.see(held)
    clock.set_wall(datetime(1970, 1, 1, tzinfo=UTC))
    assert watch.is_silent(held)


def test_an_observer_that_slept_has_seen_nothing() -> None:
    clock = ManualClock()
    watch = BeatWatch(clock)
    held = lease(other())
    for _ in range(11):
        watch.see(held)
        clock.advance(5)
    clock.advance(3600)
    assert not watch.is_silent(held)
    for _ in range(11):
        clock.advance(5)
        assert not watch.is_silent(held)
    clock.advance(5)
    assert watch.is_silent(held)


# --- a store that two machines use --------------------------------------------------------------------------------


class Machine:
    """A store as another machine sees it: its own host, its own boot, its own clock."""

    def __init__(
        self, home: Path, name: str, *, boot: str = "1", ttl_ms: int = 30_000, heartbeat: bool = False
    ) -> None:
        self.clock = ManualClock()
        me = this_process()
        self.holder = replace(me, runner_id=f"run-{name}", host_id=name, host=name, boot_id=f"{name}-{boot}")
        self.store = JobStore(
            home,
            tool_version="t",
            clock=self.clock,
            ttl_ms=ttl_ms,
            heartbeat=heartbeat,
            single_host=True,
            holder=lambda: self.holder,
        )

    def create(self) -> JobHandle:
        return self.store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")


def cut_off(job: JobHandle) -> None:
    """The owner's machine is gone: its lock with it, its lease as it was."""
    job._owner_lock.release()


def test_an_owner_on_another_machine_is_not_replaced_at_once(tmp_path: Path) -> None:
    a, b = Machine(tmp_path, "alpha"), Machine(tmp_path, "beta")
    job = a.create()
    cut_off(job)
    with pytest.raises(LeaseConflictError) as caught:
        b.store.open("job_a")
    error = caught.value
    assert (error.exit_code, error.code) == (7, "E_LEASE_CONFLICT")
    assert f"process {os.getpid()} on alpha" in error.message
    assert "heartbeat 0" in error.message
    assert "--take-over --reason" in error.hint
    assert "--wait" in error.hint
    assert "60 s" in error.hint
    assert (error.details["beat"], error.details["epoch"], error.details["other_host"]) == (0, 1, True)
    job.append([cell(1)])  # and nothing has happened to it
    job.close()


def test_an_owner_on_another_machine_is_replaced_once_its_heartbeat_stood_still(tmp_path: Path) -> None:
    a, b = Machine(tmp_path, "alpha", ttl_ms=60), Machine(tmp_path, "beta", ttl_ms=60)
    old = a.create()
    cut_off(old)
    seen: list[Waiting] = []

    def pass_time(waiting: Waiting) -> None:
        seen.append(waiting)
        b.clock.advance(1 / 64)

    with b.store.open("job_a", wait_s=1, on_wait=pass_time) as new:
        assert new.epoch == 2
        taken = new.events()[-1].payload
        assert taken["takeover"] is False
        assert "by" not in taken
        assert seen[-1].silent_s == 7 / 64
        assert (seen[0].silent_s, seen[0].limit_s, seen[0].holder.host, seen[0].beat) == (0, 0.12, "alpha", 0)
        with pytest.raises(LeaseLostError, match="taken over by"):
            old.append([cell(1)])
        assert old.stop_requested() == "lost"
    old.close()


def test_an_owner_on_another_machine_that_beats_is_never_replaced(tmp_path: Path) -> None:
    a, b = Machine(tmp_path, "alpha", ttl_ms=60), Machine(tmp_path, "beta", ttl_ms=60)
    old = a.create()
    cut_off(old)
    beats = iter(range(1_000))

    def live_on(waiting: Waiting) -> None:
        b.clock.advance(1 / 64)
        if next(beats) % 6 == 5:
            old._call(old._beat)
            old._owner_lock.release()

    with pytest.raises(LeaseConflictError):
        b.store.open("job_a", wait_s=1, on_wait=live_on)
    assert old.append([cell(1)])[0].epoch == 1
    old.close()


def test_who_waits_gets_the_job_when_the_owner_gives_it_back(tmp_path: Path) -> None:
    a, b = Machine(tmp_path, "alpha"), Machine(tmp_path, "beta")
    old = a.create()

    def close(_waiting: Waiting) -> None:
        assert _waiting.limit_s == 0  # the kernel keeps the lock, so nothing but the end is waited for
        old.close()
        b.clock.advance(1)

    with b.store.open("job_a", wait_s=60, on_wait=close) as new:
        assert new.epoch == 2


def test_the_machine_was_started_again_so_its_owner_is_gone(tmp_path: Path) -> None:
    a, b = Machine(tmp_path, "alpha", boot="1"), Machine(tmp_path, "alpha", boot="2")
    old = a.create()
    cut_off(old)
    with b.store.open("job_a") as new:
        assert new.epoch == 2
    old.close()


def test_replacing_a_living_owner_is_written_down_with_name_and_reason(tmp_path: Path) -> None:
    a, b = Machine(tmp_path, "alpha"), Machine(tmp_path, "beta")
    old = a.create()
    cut_off(old)
    with b.store.open("job_a", take_over=TakeOver("ann", "alpha burnt down")) as new:
        taken = new.events()[-1]
        assert (taken.type, taken.epoch) == ("lease.taken", 2)
        assert taken.payload["takeover"] is True
        assert (taken.payload["by"], taken.payload["reason"]) == ("ann", "alpha burnt down")
        assert taken.payload["host_id"] == "beta"
    old.close()


def test_the_order_to_take_over_is_not_written_down_when_there_was_nobody(tmp_path: Path) -> None:
    store = JobStore(tmp_path, tool_version="t")
    store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a").close()
    with store.open("job_a", take_over=ANN) as job:
        taken = job.events()[-1].payload
        assert taken["takeover"] is False
        assert not {"by", "reason"} & set(taken)
        assert job.await_predecessor(0)


@pytest.mark.parametrize(("by", "reason"), [("ann", ""), ("", "why"), ("ann", "  \n")])
def test_nobody_takes_over_without_a_name_and_a_reason(by: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match="reason") as caught:
        TakeOver(by, reason)
    assert caught.value.exit_code == 6


def test_who_took_over_gets_the_lock_when_the_replaced_one_lets_go(tmp_path: Path) -> None:
    store = JobStore(tmp_path, tool_version="t", ttl_ms=120)
    old = store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a")
    assert read_lease(old.folder / "lease.json").locked
    with store.open("job_a", take_over=ANN) as new:
        assert not read_lease(new.folder / "lease.json").locked
        assert not new.await_predecessor(0)
        old.close()
        assert new.await_predecessor(10)
        assert read_lease(new.folder / "lease.json").locked
        with pytest.raises(LeaseConflictError):
            store.open("job_a")
    with store.open("job_a") as third:
        assert third.epoch == 3


def test_a_dead_owner_that_never_got_the_lock_is_replaced_at_once(tmp_path: Path) -> None:
    store = JobStore(tmp_path, tool_version="t")
    store.create(name="n", adapter="pipeline", lineage="", spec={}, job_id="job_a").close()
    path = store.folder("job_a") / "lease.json"
    dead = replace(this_process(), runner_id="them", pid=os.getpid(), start_ticks=1)  # our number, another process
    write_lease(path, replace(read_lease(path), state="held", holder=dead, locked=False))
    began = time.monotonic()
    with store.open("job_a") as job:
        assert job.epoch == 2
    assert time.monotonic() - began < 5


def test_a_lease_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lease.json"
    write_lease(path, lease(HERE))
    text = path.read_text()
    assert '"locked":true' in text
    path.write_text(text.replace('"locked":true,', ""))
    assert read_lease(path) == lease(HERE, locked=False)
