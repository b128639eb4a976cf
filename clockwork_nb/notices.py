"""What the house warns of without being asked: told to the log ``clockwork_nb``, which is there once there is something.

Importing ``logging`` is a tenth of a small command's time, and most commands have nothing to warn of.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["log", "told_to"]

_listeners: list[Callable[[str], None]] = []


def log(name: str) -> logging.Logger:
    """Return the logger of the module *name*. Nobody sees its records without a listener or a program's own handlers."""
    import logging

    # As every library should have one: without any handler, logging would print warnings by itself.
    logging.getLogger("clockwork_nb").addHandler(_handler())
    return logging.getLogger(name)


@cache
def _handler() -> logging.Handler:
    import logging

    class Listeners(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for tell in tuple(_listeners):
                tell(record.getMessage())

    return Listeners(logging.WARNING)


@contextlib.contextmanager
def told_to(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, *tell* gets the text of every warning."""
    _listeners.append(tell)
    try:
        yield
    finally:
        _listeners.remove(tell)
