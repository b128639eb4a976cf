"""Who may own a job: whether its last owner is gone, how that is found out, and what replacing a living one takes.

On one machine the kernel's lock says it at once and for sure. Of an owner on another machine one can only see that its
heartbeat stands still, measured by the observer's own clock; the times of two machines are never compared. Whatever is
decided here, the epoch in the append lock keeps a wrong guess from doing harm.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from clockwork_nb.errors import InvalidInputError, LeaseConflictError
from clockwork_nb.store.lease import Holder, LeaseFile, is_stopped, lives

if TYPE_CHECKING:
    from clockwork_nb.clock import Clock

__all__ = ["SILENT_TTLS", "BeatWatch", "TakeOver", "Verdict", "Waiting", "conflict", "judge", "wake"]

SILENT_TTLS: Final = 2
"""An owner on another machine is given up when its heartbeat stood still for so many times the lease's ttl."""

Verdict = Literal["gone", "alive", "unsure"]


class TakeOver(Struct, frozen=True):
    """A person's order to replace an owner that may be alive; both fields go into the log.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: one of them is empty.
    """

    by: str
    reason: str

    def __post_init__(self) -> None:
        """Check that somebody says why."""
        if not self.by.strip() or not self.reason.strip():
            raise InvalidInputError(
                "a take-over needs somebody who answers for it, and a reason",
                hint='clockwork job resume JOB --take-over --reason "…"; both are recorded.',
            )


class Waiting(Struct, frozen=True):
    """What an observer sees while it waits for a job.

    ``silent_s`` is how long the heartbeat has stood still, on the observer's clock; at ``limit_s`` the job may be taken.
    ``limit_s`` is 0 where only the owner's end is waited for, which is the case on one machine.
    """

    holder: Holder
    beat: int
    silent_s: float
    limit_s: float


def judge(lease: LeaseFile, here: Holder, *, lock_is_ours: bool) -> Verdict:
    """Return what is known about the holder of *lease*, seen from the process *here*.

    Args:
        lock_is_ours: *here* has the owner's lock of the job.
    """
    if not lock_is_ours:
        return "alive"  # or a process that stands between its last write and its end
    if lease.state != "held":
        return "gone"
    if lease.holder.boot_id and lease.holder.boot_id == here.boot_id:
        if lease.locked:
            return "gone"  # one kernel keeps the lock, and it let go of it
        # It took the job over from a living process and did not get the lock since.
        if lease.holder.host_id != here.host_id:
            return "unsure"
        return "alive" if lives(lease.holder, here) else "gone"
    rebooted = lease.holder.host_id == here.host_id and lease.holder.boot_id and here.boot_id
    return "gone" if rebooted else "unsure"


class BeatWatch:
    """Measures how long a heartbeat has stood still, on one observer's ``CLOCK_BOOTTIME``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._mark: tuple[int, str, int] | None = None
        self._since = self._looked = clock.boottime()

    def see(self, lease: LeaseFile) -> float:
        """Take a look and return for how many seconds *lease* has been as it is.

        An observer that slept itself, and with it maybe all machines, begins anew: it has not watched in between.
        """
        now = self._clock.boottime()
        mark = (lease.epoch, lease.holder.runner_id, lease.beat)
        if mark != self._mark or now - self._looked > lease.ttl_ms / 2000:
            self._mark, self._since = mark, now
        self._looked = now
        return now - self._since

    def is_silent(self, lease: LeaseFile) -> bool:
        """Take a look and return whether the owner may be given up."""
        return self.see(lease) >= limit_s(lease)


def limit_s(lease: LeaseFile) -> float:
    """Return the seconds of silence after which the holder of *lease* may be given up."""
    return SILENT_TTLS * lease.ttl_ms / 1000


def conflict(job_id: str, lease: LeaseFile, here: Holder, verdict: Verdict) -> LeaseConflictError:
    """Return the error for somebody who wanted the job of a living owner: who it is, its last sign, what can be done."""
    holder = lease.holder
    stopped = is_stopped(holder, here)
    says = f"job {job_id} is owned by {holder} since {lease.acquired_at[:19]}Z (heartbeat {lease.beat})"
    take_over = f'Replace it:   clockwork job resume {job_id} --take-over --reason "…"'
    if stopped:
        says += "; the process is stopped"
        hint = f"Let it go on: kill -CONT {holder.pid}\n{take_over}"
    elif verdict == "unsure":
        hint = (
            f"Wait until it ends, or shows no heartbeat for {limit_s(lease):g} s: "
            f"clockwork job resume {job_id} --wait\n{take_over}"
        )
    else:
        hint = f"Wait for it:  clockwork job resume {job_id} --wait\nStop it:      clockwork job cancel {job_id}\n{take_over}"
    return LeaseConflictError(
        says,
        hint=hint,
        details={
            "job_id": job_id,
            "pid": holder.pid,
            "host": holder.host,
            "runner_id": holder.runner_id,
            "epoch": lease.epoch,
            "beat": lease.beat,
            "stopped": stopped,
            "other_host": verdict == "unsure",
        },
    )


def wake(holder: Holder, here: Holder) -> bool:
    """Let a process of this machine go on that may be stopped (SIGSTOP), so that it can stop what it runs.

    Returns whether it was signalled; SIGCONT means nothing to a process that runs. Only the very process is signalled
    that the lease names: a reused process number has another start time.
    """
    if holder.pid == here.pid or not lives(holder, here) or not hasattr(os, "pidfd_open"):
        return False
    try:
        process = os.pidfd_open(holder.pid)
    except OSError:
        return False
    try:
        if not lives(holder, here):
            return False
        signal.pidfd_send_signal(process, signal.SIGCONT)
    except OSError:
        return False
    finally:
        os.close(process)
    return True
