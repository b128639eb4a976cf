"""Ctrl-C and SIGTERM: between steps they unwind the verb, while steps run the first one stops them cleanly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "Terminated", "catch_terminate", "stopping"]


class Terminated(BaseException):
    """SIGTERM arrived; the verb unwinds as it does for Ctrl-C."""


class Stop(threading.Event):
    """Set when a signal asked to stop; ``terminated`` says that it was SIGTERM."""

    terminated = False


def catch_terminate() -> None:
    """Let SIGTERM raise `Terminated`, so that leases are given back and steps are killed."""

    def on_term(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, on_term)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Yield what the first Ctrl-C or SIGTERM sets; the second one acts at once."""
    stop = Stop()
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.terminated = number == signal.SIGTERM
        stop.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
