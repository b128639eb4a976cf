"""Watches over a running notebook: stops its kernel when somebody asks for it or when its time is used up."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from clockwork_nb.errors import ClockworkError
from clockwork_nb.forge.metering import Meter
from clockwork_nb.jobs.budget import exceeded_draft
from clockwork_nb.jobs.commands import charge_budget

if TYPE_CHECKING:
    from types import TracebackType

    from clockwork_nb.jobs.budget import Excess
    from clockwork_nb.ports import Draft
    from clockwork_nb.session.runs import JobRun

__all__ = ["RunGuard"]

_LOOK_S: Final = 0.25
_GRACE_S: Final = 10.0


class RunGuard:
    """The requests to stop one attempt at a notebook job, and its wall time. A context manager around the attempt.

    ``reason`` is ``""``, ``drain`` (the cell that runs may end), ``pause``, ``cancel``, or ``budget``; then ``excess`` says
    which. ``lost`` is left to whoever writes next.
    """

    def __init__(self, run: JobRun, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.reason = ""
        self.excess: Excess | None = None
        self._run = run
        self._monotonic = monotonic
        self._meter = Meter(run.state().counters, run.writer.limits, monotonic=monotonic)
        self._kernel = 0
        self._asked_at = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="run-guard", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch no longer."""
        self._over.set()
        self._thread.join()

    def kernel_started(self, pid: int) -> None:
        """Take in the process that cells run in."""
        self._kernel = pid

    def charge(self) -> list[Draft]:
        """Return the event that charges the wall time since the last charge; none when there was none."""
        rest = self._meter.rest()
        return [charge_budget(rest)] if rest.active_ms else []

    def closing(self) -> list[Draft]:
        """Return the events that say what the attempt used up and whether that was too much."""
        drafts = self.charge()
        return [*drafts, exceeded_draft(self.excess)] if self.excess is not None else drafts

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            try:
                self._look()
            except (ClockworkError, OSError):  # the log cannot be read or written any more; the next write says why
                return

    def _look(self) -> None:
        asked = self._run.writer.stop_requested()
        if asked in {"drain", "pause", "cancel"}:
            self.reason = asked
        excess = self._meter.overrun()
        if excess is not None and excess.dimension == "wall_time_seconds" and self.reason in {"", "drain"}:
            self.reason, self.excess = "budget", excess
        if self.reason in {"pause", "cancel", "budget"} and self._kernel:
            self._interrupt()

    def _interrupt(self) -> None:
        now = self._monotonic()
        if not self._asked_at:
            self._asked_at = now
            self._signal(signal.SIGINT)
        elif now - self._asked_at > _GRACE_S:
            self._signal(signal.SIGKILL)  # it does not listen

    def _signal(self, number: signal.Signals) -> None:
        # As jupyter_client interrupts a kernel: it leads a process group of its own.
        with contextlib.suppress(OSError):
            group = os.getpgid(self._kernel)
            if group != os.getpgid(0):
                os.killpg(group, number)
            else:
                os.kill(self._kernel, number)
