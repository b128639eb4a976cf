"""What a run uses up, counted against the job's budgets while it goes on."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from clockwork_nb.jobs.budget import Counters, Excess, charge, exceeded

__all__ = ["METER_NAME", "Meter", "Usage", "read_usage"]

METER_NAME: Final = "meter.jsonl"
"""The file, in a step's private folder, that the step writes to what it used up; ``CW_METER`` names it."""

_METER_BYTES: Final = 1 << 20
_MOST: Final = 10**12


class Usage(Struct, frozen=True):
    """What a step says it used up: ``tokens``, ``cost`` (decimal text). ``problem`` is set when it said nonsense."""

    tokens: int = 0
    cost: str = "0"
    problem: str = ""


class Meter:
    """The budgets of one run of one section. Thread-safe.

    A step is counted when it begins, so that steps which run at once cannot together pass a limit, and charged to the
    job when it ends. Wall time is the time this run has been going on, beyond what the job had used before.

    Args:
        used: what the job has used up so far.
        limits: dimension → limit as it is now; a limit may be raised while the run goes on.
        wall: whether this run measures wall time. In a notebook run the engine does.
        monotonic: seconds, from a clock that is never set.
    """

    def __init__(
        self,
        used: Counters,
        limits: Callable[[], Mapping[str, str]],
        *,
        wall: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._used = used
        self._limits = limits
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._charged_at = monotonic()

    def begin(self, *, retry: bool) -> Excess | None:
        """Count a step that is about to start; or return the limit it would pass, and then it must not start."""
        with self._lock:
            wanted = charge(self._used, step_count=1, tool_call_count=1, retry_count=int(retry))
            found = exceeded(self._with_wall(wanted), self._limits())
            if found:
                return found[0]
            self._used = wanted
            return None

    def end(self, usage: Usage, *, retry: bool) -> Counters:
        """Return what a step that has begun is to be charged for, the wall time since the last charge included."""
        with self._lock:
            if usage.tokens or usage.cost != "0":
                self._used = charge(self._used, tokens=usage.tokens, cost=usage.cost)
            return Counters(
                retry_count=int(retry),
                step_count=1,
                tool_call_count=1,
                active_ms=self._take_wall(),
                tokens=usage.tokens,
                cost=usage.cost,
            )

    def rest(self) -> Counters:
        """Return the wall time that no step was charged for."""
        with self._lock:
            return Counters(active_ms=self._take_wall())

    def overrun(self) -> Excess | None:
        """Return the limit that is passed by now: of wall time while steps run, or of what ended steps used up."""
        limits = self._limits()
        if not limits:
            return None
        with self._lock:
            found = exceeded(self._with_wall(self._used), limits)
            return found[0] if found else None

    def _with_wall(self, counters: Counters) -> Counters:
        return replace(counters, active_ms=counters.active_ms + self._since())

    def _since(self) -> int:
        return int((self._monotonic() - self._charged_at) * 1000) if self._wall else 0

    def _take_wall(self) -> int:
        passed = self._since()
        self._charged_at += passed / 1000
        self._used = replace(self._used, active_ms=self._used.active_ms + passed)
        return passed


def read_usage(path: Path) -> Usage:
    """Return the sum of what the step wrote to its meter file; nothing when there is none.

    Each line is a JSON object with ``tokens`` (whole number), ``cost`` (number or decimal text), or both.
    """
    try:
        # Whatever the step put there: a pipe must not make anybody wait, a link must not be followed.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return Usage()
    except OSError as error:
        return Usage(problem=f"what it wrote to CW_METER cannot be read: {error.strerror}")
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return Usage(problem="CW_METER is not a file any more")
        data = os.read(handle, _METER_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > _METER_BYTES:
        return Usage(problem=f"what it wrote to CW_METER is longer than {_METER_BYTES} bytes")
    tokens, cost = 0, Decimal(0)
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line, parse_float=Decimal)
            tokens += _tokens(said)
            cost += _cost(said)
        except (ValueError, TypeError, AttributeError, InvalidOperation, RecursionError):
            return Usage(problem=f"line {number} of what it wrote to CW_METER is not a usage")
    if tokens > _MOST or cost > _MOST:
        return Usage(problem="what it wrote to CW_METER is out of range")
    return Usage(tokens, format(round(cost, 9), "f"))


def _tokens(said: Any) -> int:
    value = said.get("tokens", 0)
    if type(value) is not int or not 0 <= value <= _MOST or said.keys() - {"tokens", "cost"}:
        raise ValueError
    return value


def _cost(said: Any) -> Decimal:
    value = said.get("cost", 0)
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise TypeError
    number = Decimal(value)
    if not number.is_finite() or not 0 <= number <= _MOST:
        raise ValueError
    return number
