"""Follow a job's log while somebody else writes it. Reads only, without locks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clockwork_nb.jobs.events import Event
    from clockwork_nb.jobs.model import JobState
    from clockwork_nb.store.files import JobStore

__all__ = ["follow"]

_LOOK_S = 0.2
_OWNER_LOOK_S = 2.0


def follow(
    store: JobStore, job_id: str, *, sleep: Callable[[float], None] = time.sleep, once: bool = False
) -> Iterator[tuple[list[Event], JobState, bool]]:
    """Yield new events, the state after them, and whether somebody runs the job; first all events there are.

    Ends when the job is at its end or nobody runs it any more; with *once* after the first. What is being written just
    now comes with the next look.

    Raises:
        InvalidInputError: there is no such job. StoreCorruptError: the log is damaged.
    """
    from clockwork_nb.store.tail import LogTail

    view = store.read(job_id)
    tail = LogTail(store.folder(job_id) / "events.jsonl", view)
    state, news = view.state, view.events
    running, looked = store.summary(job_id).running, time.monotonic()
    while True:
        yield news, state, running
        if once or state.finished or not running:
            return
        sleep(_LOOK_S)
        news = tail.read()
        state = tail.state
        if news or time.monotonic() - looked > _OWNER_LOOK_S:
            running, looked = store.summary(job_id).running, time.monotonic()
            if not running:  # what it wrote last, after the look above
                news, state = [*news, *tail.read()], tail.state
