"""Time as a parameter."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock", "rfc3339", "rfc3339_short"]


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the time of day, aware, UTC."""
        ...

    def boottime(self) -> float:
        """Return seconds that never jump and go on during suspend (``CLOCK_BOOTTIME``)."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the time of day, aware, UTC."""
        return datetime.now(UTC)

    def boottime(self) -> float:
        """Return ``CLOCK_BOOTTIME`` in seconds, or the monotonic clock where there is none."""
        clock = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if clock is None else time.clock_gettime(clock)


def rfc3339(moment: datetime) -> str:
    """Return *moment* as ``2026-11-22T01:02:03.000004Z``: UTC, always six digits."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def rfc3339_short(stamp: str) -> str:
    """Return *stamp* (six digits) in the shortest form that Go prints: no trailing zeros.

    >>> rfc3339_short("2026-11-22T01:02:03.870000Z"), rfc3339_short("2026-11-22T01:02:03.000000Z")
    ('2026-11-22T01:02:03.87Z', '2026-11-22T01:02:03Z')
    """
    head, _, fraction = stamp.removesuffix("Z").partition(".")
    fraction = fraction.rstrip("0")
    return f"{head}.{fraction}Z" if fraction else f"{head}Z"
