"""Faults of ownership: leases, fencing, heartbeats, take-over, and disks whose locks cannot be trusted (P13 to P16)."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_WHO: Final = "tests/unit/store/test_who_owns_a_job.py"
_STORE: Final = "tests/unit/store/test_job_store.py"
_RACE: Final = "tests/fault/test_lease_race_of_runners.py"
_SELF: Final = "tests/fault/test_lease_self_fencing.py"
_APPLY: Final = "tests/fault/test_lease_taken_from_a_running_apply.py"
_SILENT: Final = "tests/fault/test_lease_of_a_silent_engine.py"
_WHOLE: Final = "tests/fault/test_jobs_appear_with_what_they_need.py"
_MOUNTS: Final = "tests/unit/foundation/test_mounts_and_locks.py"
_BETWEEN: Final = "tests/fault/test_lease_between_processes.py"

_HANDLE: Final = "clockwork_nb/store/handle.py"
_FILES: Final = "clockwork_nb/store/files.py"
_LEASE: Final = "clockwork_nb/store/lease.py"
_OWNERSHIP: Final = "clockwork_nb/store/ownership.py"
_REMOTE: Final = "clockwork_nb/store/remote.py"
_DISKS: Final = "clockwork_nb/mounts.py"

MUTANTS: list[Mutant] = [
    # --- P13: no two runners under one epoch, nothing of a stale one in the log
    Mutant(
        "epoch-is-not-checked", _HANDLE,
        "if lease.epoch != self.epoch or lease.holder.runner_id != self.runner_id:", "if False:",
        "P13", (f"{_RACE}::test_two_thousand_commits_of_four_runners_without_a_stale_one",),
    ),
    Mutant(
        "epoch-is-not-raised", _FILES,
        "epoch = max(before.epoch, journal.state.epoch) + 1", "epoch = max(before.epoch, journal.state.epoch)",
        "P13", (_STORE,),
    ),
    Mutant(
        "lease-is-checked-without-the-append-lock", "clockwork_nb/store/lock.py",
        "    lock.acquire(wait_s=wait_s)\n    try:\n        yield", "    try:\n        yield",
        "P13", (_RACE, _SELF),
    ),
    Mutant(
        "owner-of-another-machine-is-gone", _OWNERSHIP,
        'return "gone" if rebooted else "unsure"', 'return "gone"',
        "P13", (_WHO,),
    ),
    Mutant(
        "one-ttl-of-silence-is-enough", _OWNERSHIP, "SILENT_TTLS: Final = 2\n", "SILENT_TTLS: Final = 1\n", "P13", (_WHO,)
    ),
    Mutant(
        "wall-clocks-are-compared", _OWNERSHIP,
        "        now = self._clock.boottime()\n        mark", "        now = self._clock.now().timestamp()\n        mark",
        "P13", (_WHO,),
    ),
    Mutant(
        "an-observer-counts-its-own-sleep", _OWNERSHIP,
        "if mark != self._mark or now - self._looked > lease.ttl_ms / 2000:", "if mark != self._mark:",
        "P13", (_WHO,),
    ),
    Mutant(
        "the-heartbeat-is-not-looked-at", _OWNERSHIP,
        "mark = (lease.epoch, lease.holder.runner_id, lease.beat)", "mark = (lease.epoch, lease.holder.runner_id, 0)",
        "P13", (_WHO,),
    ),
    # --- P14: a dead owner at once, a living one never silently
    Mutant(
        "taken-over-silently", _OWNERSHIP,
        '    if not lock_is_ours:\n        return "alive"', '    if not lock_is_ours:\n        return "gone"',
        "P14", (_BETWEEN, _WHO),
    ),
    Mutant(
        "an-owner-that-waits-for-its-lock-is-gone", _OWNERSHIP,
        'return "alive" if lives(lease.holder, here) else "gone"', 'return "gone"',
        "P14", (_STORE, _WHO),
    ),
    Mutant(
        "decided-by-process-number-only", _LEASE,
        'return state if started == holder.start_ticks and state not in "ZX" else ""', "return state",
        "P14", (_WHO,),
    ),
    Mutant(
        "a-zombie-lives", _LEASE,
        'return state if started == holder.start_ticks and state not in "ZX" else ""',
        'return state if started == holder.start_ticks else ""',
        "P14", (_WHO,),
    ),
    Mutant(
        "the-lock-of-a-dead-owner-is-not-believed", _OWNERSHIP,
        '        if lease.locked:\n            return "gone"', '        if False:\n            return "gone"',
        "P14", (_WHO,),
    ),
    Mutant(
        "nobody-answers-for-a-take-over", _OWNERSHIP,
        "if not self.by.strip() or not self.reason.strip():", "if False:", "P14", (_WHO,),
    ),
    Mutant(
        "a-take-over-is-not-written-down", _FILES,
        'payload |= {"by": clip(take_over.by, 512), "reason": clip(take_over.reason, 4096)}', "pass",
        "P14", (_WHO,),
    ),
    Mutant(
        "a-finished-job-is-resumed-after-waiting", _FILES,
        "if unfinished and journal.state.final:", "if False:",
        "P14", (f"{_APPLY}::test_who_waits_leaves_a_job_alone_that_ended_meanwhile",),
    ),
    Mutant(
        "a-stopped-owner-is-not-woken", _FILES,
        "        if take_over is not None:\n            wake(before.holder, here)", "        pass",
        "P15", (f"{_APPLY}::test_a_replaced_apply_kills_its_tree_and_writes_nothing_more",),
    ),
    # --- P15: who lost the lease stops
    Mutant(
        "heartbeat-errors-are-only-noted", _HANDLE,
        '            if self._overdue():\n                self._give_up()\n        return "lost"', '        return "lost"',
        "P15", (_SELF,),
    ),
    Mutant(
        "a-heartbeat-that-failed-counts", _HANDLE,
        "            self._trouble = error.message", "            self._last_beat = began", "P15", (_SELF,),
    ),
    Mutant(
        "an-append-waits-for-ever", _HANDLE,
        "if self._gave_up or (self._silent() and not done.wait(_QUICK_S)):", "if False:",
        "P15", (f"{_SELF}::test_an_append_that_hangs_is_given_up_even_when_nobody_else_asks",),
    ),
    Mutant(
        "others-go-on-waiting-for-a-job-given-up", _HANDLE,
        "                    batch.error = self._failed\n                    batch.done.set()", "                    pass",
        "P15", (_SELF,),
    ),
    Mutant(
        "whoever-took-over-never-gets-the-lock", _HANDLE,
        "        self._owner_lock.try_acquire()  # not held yet", "        # not held yet",
        "P15", (_WHO,),
    ),
    Mutant(
        "steps-of-a-lost-job-get-their-whole-grace", "clockwork_nb/session/execution.py",
        "on_lost=lambda: launcher.hurry(_LOST_GRACE_S),", "on_lost=lambda: None,",
        "P15", (f"{_APPLY}::test_a_replaced_apply_kills_its_tree_and_writes_nothing_more",),
    ),
    Mutant(
        "the-launcher-does-not-hurry", "clockwork_nb/forge/launcher.py",
        "step.grace = min(step.grace, grace)", "pass",
        "P15", (f"{_APPLY}::test_a_replaced_apply_kills_its_tree_and_writes_nothing_more",),
    ),
    Mutant(
        "the-state-is-written-after-the-job-was-lost", "clockwork_nb/forge/runner.py",
        'return self.stopped != "lost" and self.writer.stop_requested() != "lost"', "return True",
        "P15", (f"{_SELF}::test_a_run_that_finds_its_job_taken_leaves_the_state_alone",),
    ),
    Mutant(
        "a-lost-job-does-not-stop-the-run", "clockwork_nb/forge/runner.py",
        "    def _must_stop(self) -> bool:\n        if not", "    def _must_stop(self) -> bool:\n        if False and not",
        "P15", (f"{_APPLY}::test_a_replaced_apply_kills_its_tree_and_writes_nothing_more",),
    ),
    Mutant(
        "fencing-is-forgotten-by-the-kernel", _REMOTE,
        "if self._clock.boottime() - self._heard > self._ttl_s / 2:", "if False:",
        "P15", (f"{_SILENT}::test_an_engine_that_stays_silent_for_half_a_ttl_is_lost_and_nobody_waits_for_it",),
    ),
    Mutant(
        "the-kernel-waits-a-minute-for-a-stopped-engine", _REMOTE,
        'self._ask({"ask": "stop"}, patience_s=_PATIENCE_S)', 'self._ask({"ask": "stop"})',
        "P15", (f"{_SILENT}::test_asking_a_stopped_engine_takes_no_longer_than_patience_and_loses_nothing",),
    ),
    Mutant(
        "one-silence-loses-the-job", _REMOTE,
        "if self._clock.boottime() - self._heard > self._ttl_s / 2:", "if True:",
        "P15", (f"{_SILENT}::test_asking_a_stopped_engine_takes_no_longer_than_patience_and_loses_nothing",),
    ),
    Mutant(
        "who-waits-for-a-lost-engine-is-not-let-go", _REMOTE,
        "        for connection in busy:\n", "        for connection in ():\n",
        "P15", (f"{_SILENT}::test_an_engine_that_stays_silent_for_half_a_ttl_is_lost_and_nobody_waits_for_it",),
    ),
    Mutant(
        "the-engine-does-not-tell-that-it-lost-the-job", _REMOTE,
        '{"stop": handle.stop_requested(), "limits"', '{"stop": "", "limits"',
        "P15", (f"{_SILENT}::test_the_kernel_hears_at_once_that_the_job_was_taken_over", _BETWEEN),
    ),
    # --- P16: disks whose locks cannot be trusted
    Mutant(
        "nfs-counts-as-local", _DISKS, '    0x6969: "nfs",\n', "", "P16", (_MOUNTS,)
    ),
    Mutant(
        "locks-are-not-tried", _DISKS,
        'problem = probe(home) if single_host or not known.shared else ""', 'problem = ""', "P16", (_MOUNTS,),
    ),
    Mutant(
        "locks-are-tried-only-once", _DISKS,
        'if held == "busy" and freed == "taken":', 'if held == "busy":', "P16", (_MOUNTS,),
    ),
    Mutant(
        "the-word-of-one-command-holds-for-all", _DISKS,
        "    if known.shared and not single_host:", "    if known.shared and not single_host and key not in _proven:",
        "P16", (_MOUNTS,),
    ),
    Mutant(
        "a-probe-of-another-boot-counts", _DISKS,
        '(found.get("device"), found.get("boot_id")) != key', 'found.get("device") != key[0]', "P16", (_MOUNTS,),
    ),
    Mutant(
        "the-store-does-not-ask-its-disk", _FILES,
        "        if self._fs is REAL:\n            notice", "        if False:\n            notice", "P16", (_MOUNTS,),
    ),
    Mutant(
        "a-folder-of-somebody-else-will-do", _DISKS,
        "elif found.st_uid != os.geteuid():", "elif False:", "P16", (_MOUNTS,),
    ),
    Mutant(
        "a-link-will-do-for-the-local-folder", _DISKS,
        "found = path.lstat()", "found = path.stat()", "P16", (_MOUNTS,),
    ),
    # --- a job and what it needs, in one step
    Mutant(
        "blobs-come-after-the-job", _FILES,
        "        kept.put_all(blobs)\n", "",
        "P1", (_WHOLE,),
    ),
]  # fmt: skip
