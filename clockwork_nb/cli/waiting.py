"""What a person sees while they wait: a note that work is under way, and a line for each step as it ends."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from clockwork_nb.clock import SystemClock, rfc3339

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.ports import EventView
    from clockwork_nb.render.progress import ProgressPrinter
    from clockwork_nb.session.sections import Section

__all__ = ["StepLines", "waiting_words", "working"]

_SILENT_S = 0.4
_STEP_SILENT_S = 0.5
_LOOK_S = 0.25


def waiting_words(owner: Mapping[str, Any]) -> str:
    """Return the note for who waits for the owner of a workspace's state (see `clockwork_nb.forge.lock.WorkspaceLock`)."""
    from clockwork_nb.forge.lock import owner_text

    return f"waiting for {owner_text(owner) if owner else 'another process'}"


@contextmanager
def working(out: Output, doing: str) -> Iterator[Callable[[], None]]:
    """Say on a terminal's stderr what is going on once it takes long, and take the note away at the end.

    Yields what takes it away earlier, before anything else is printed.
    """
    if not out.live:
        yield lambda: None
        return
    over = threading.Event()
    started = time.monotonic()

    def show() -> None:
        wait_s = _SILENT_S
        shown = False
        while not over.wait(wait_s):
            sys.stderr.write(f"\r{doing} … {time.monotonic() - started:.0f} s")
            sys.stderr.flush()
            wait_s, shown = 1.0, True
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    thread = threading.Thread(target=show, name="working", daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join()

    try:
        yield end
    finally:
        end()


class StepLines:
    """Prints a section's lines as its events come, and which steps are running once nothing was said for a while."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._printer: ProgressPrinter | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._news_at = 0.0
        self._thread = threading.Thread(target=self._look, name="step-lines", daemon=True)

    def begin(self, section: Section, events: Sequence[EventView]) -> Callable[[EventView], None]:
        """Return what is told *section*'s events, after the job's *events* so far."""
        if self._out.json:
            return lambda event: None  # nothing would be printed
        from clockwork_nb.jobs.progress import RunProgress
        from clockwork_nb.render.progress import ProgressPrinter

        source = RunProgress(section.job_id)
        source.expect(section.planned.document, section.plan_digest)
        self._printer = ProgressPrinter(self._out.text, source, color=self._out.color)
        self._printer.catch_up(events)
        self._thread.start()
        return self._feed

    def _feed(self, event: EventView) -> None:
        with self._lock:
            self._news_at = time.monotonic()
            if self._printer is not None:
                self._printer.feed(event)

    def _look(self) -> None:
        clock = SystemClock()
        while not self._over.wait(_LOOK_S):
            with self._lock:
                # Once after each event: until the next one there is nothing new to say.
                if self._news_at and time.monotonic() - self._news_at >= _STEP_SILENT_S and self._printer is not None:
                    self._news_at = 0.0
                    self._printer.tick(rfc3339(clock.now()))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print nothing more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
