"""A clock that stands still until it is told to go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["ManualClock"]


class ManualClock:
    """A `clockwork_nb.clock.Clock`: time of day and boot time move together, by `advance` only.

    >>> clock = ManualClock()
    >>> clock.advance(1.5)
    >>> clock.boottime()
    1001.5
    """

    def __init__(self, start: datetime = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC), boottime: float = 1000.0) -> None:
        self._now = start
        self._boottime = boottime

    def now(self) -> datetime:
        """Return the time of day."""
        return self._now

    def boottime(self) -> float:
        """Return the seconds since a boot that never was."""
        return self._boottime

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._now += timedelta(seconds=seconds)
        self._boottime += seconds

    def set_wall(self, moment: datetime) -> None:
        """Set the time of day, as somebody does with ``date -s``; the boot time does not move."""
        self._now = moment
