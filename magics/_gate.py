"""The approval gate: an awaited coroutine, so that the cell stays busy, clicks get in and Stop works.

The approval is a record of the job. A button is one way to write it, a typed answer another; a record that somebody
else writes (``clockwork approve`` in a terminal, another kernel) counts just the same, so the record is always polled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from clockwork_nb.errors import InterruptedByUserError

if TYPE_CHECKING:
    from clockwork_nb.session.sections import Section

__all__ = ["POLL_S", "Answer", "Asker", "decide", "off_loop"]

POLL_S = 0.25
"""How often the record is looked at."""

T = TypeVar("T")
Answer = tuple[str, str, str]
"""Decision (``granted`` or ``denied``), via (``button`` or ``terminal``), reason."""


class Asker(Protocol):
    """A way to ask the person at this notebook."""

    def ask(self, answer: Callable[[Answer], None]) -> None:
        """Show the question; call *answer* from any thread, as often as people click. Must not block."""
        ...


async def off_loop(work: Callable[[], T], *, on_stop: Callable[[], Any] | None = None) -> T:
    """Run *work* in a thread and return what it returns; the event loop goes on meanwhile.

    Stop calls *on_stop* at once; the thread is always waited for, and then the stop counts.

    Raises:
        asyncio.CancelledError: the person stopped; what *work* returned or raised is dropped.
    """
    task = asyncio.get_running_loop().run_in_executor(None, work)
    stopped = False
    while not task.done():
        try:
            await asyncio.wait([task], timeout=POLL_S)
        except asyncio.CancelledError:
            stopped = True
            if on_stop is not None:
                on_stop()
    if stopped:
        task.exception()
        raise asyncio.CancelledError
    return task.result()


async def decide(section: Section, asker: Asker | None) -> Mapping[str, str]:
    """Wait until the section's decision is recorded, by whomever, and return the record.

    *asker* is None where nobody can be asked; then the run is suspended at once if nothing is recorded.

    Raises:
        ApprovalRequiredError: nobody can be asked; the job waits and the message says how to go on.
        ApprovalDeniedError: somebody said no.
        InterruptedByUserError: the person pressed Stop; nothing was run and the job is canceled.
    """
    found = section.decision()
    if found is None and asker is None:
        await off_loop(section.suspend)
    try:
        while found is None:
            assert asker is not None
            found = await _ask(section, asker)
    except (asyncio.CancelledError, KeyboardInterrupt):
        section.cancel("stopped while waiting for approval")
        raise InterruptedByUserError(
            "stopped while waiting for approval; nothing was run", hint="Run the cell again to plan and ask again."
        ) from None
    if found["decision"] == "denied":
        section.reject()
    return found


async def _ask(section: Section, asker: Asker) -> Mapping[str, str] | None:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answer] = loop.create_future()

    def settle(answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    # Callbacks come from the main thread or from a subshell's, depending on the kernel's version.
    asker.ask(lambda answer: _hand_over(loop, settle, answer))
    while not answered.done():
        found = section.decision()
        if found is not None:
            return found
        # A bare await would not notice Stop: nothing would wake the loop.
        await asyncio.wait([answered], timeout=POLL_S)
    decision, via, reason = answered.result()
    await off_loop(lambda: section.decide(decision, via=via, reason=reason))
    return section.decision()


def _hand_over(loop: asyncio.AbstractEventLoop, settle: Callable[[Answer], None], answer: Answer) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, answer)
