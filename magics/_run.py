"""An apply, destroy or verify from a notebook: plan and build, the gate, the steps, and the result that stays."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from clockwork_nb.errors import ApprovalDeniedError, ApprovalRequiredError, ClockworkError, InterruptedByUserError
from clockwork_nb.magics._display import Result
from clockwork_nb.magics._gate import Answer, decide, off_loop
from clockwork_nb.magics._views import show
from clockwork_nb.render.html import Markup, element
from clockwork_nb.render.theme import wrap

if TYPE_CHECKING:
    from clockwork_nb.ports import EventView
    from clockwork_nb.session.planning import Planned
    from clockwork_nb.session.sections import Section, SectionOutcome

__all__ = ["OnEvent", "PrinterFor", "View", "carry_out", "outcome_result", "resume"]

OnEvent: TypeAlias = "Callable[[EventView], None]"
PrinterFor: TypeAlias = "Callable[[Section, Sequence[EventView]], OnEvent]"

_S = TypeVar("_S", bound="Section | None")

TICK_S = 0.1
"""How often a view is redrawn while steps run: ten messages a second, whatever the steps do."""


class View(Protocol):
    """What the person sees from the gate to the end. Every method is called from the event loop's thread."""

    def ask(self, answer: Callable[[Answer], None]) -> None:
        """Show the question; may block while somebody types."""
        ...

    def started(self, section: Section, earlier: Sequence[EventView] = ()) -> None:
        """The decision is there; steps begin. *earlier* are the events of the job's earlier attempts."""
        ...

    def progress(self, events: list[EventView]) -> None:
        """Show what happened since the last call; called also when nothing did."""
        ...

    def finished(self, result: Result) -> None:
        """Replace everything by the result that stays in the notebook."""
        ...


async def carry_out(
    begin: Callable[[], Section],
    view_for: Callable[[Section], View],
    *,
    can_ask: bool,
    auto_approve: bool,
    parallelism: int,
    timeout_per_step: int | None = None,
) -> Result:
    """Carry out the section that *begin* makes, and what waits for it; return the result of the last.

    Raises:
        ClockworkError: the first thing that went wrong; the view has been frozen with what there is to see.
    """
    section: Section | None = await _begun(begin)
    result: Result | None = None
    while section is not None:
        result = await _one(
            section, view_for, can_ask=can_ask, auto_approve=auto_approve, parallelism=parallelism,
            timeout_per_step=timeout_per_step,
        )  # fmt: skip
        section = await _begun(section.following)
    assert result is not None
    return result


async def _one(
    section: Section,
    view_for: Callable[[Section], View],
    *,
    can_ask: bool,
    auto_approve: bool,
    parallelism: int,
    timeout_per_step: int | None,
) -> Result:
    """Carry out one section; what waited for it is a section of its own."""
    if section.restored is not None or section.is_empty:
        outcome = section.outcome()
        result = outcome_result(outcome)
        show(result)
        outcome.raise_if_failed()
        return result
    if section.needs_approval and auto_approve:
        await off_loop(lambda: section.decide("granted", via="auto", reason=""))
    view = view_for(section)
    if section.needs_approval:
        try:
            await decide(section, view if can_ask else None)
        except ClockworkError as error:
            view.finished(_ended_early(section, error))
            raise
    view.started(section)

    def run(on_event: OnEvent, stop: threading.Event) -> SectionOutcome:
        return section.run(on_event=on_event, stop=stop, parallelism=parallelism, timeout_per_step=timeout_per_step)

    try:
        outcome = await _watched(run, view)
    except ClockworkError as error:
        view.finished(_ended_early(section, error))
        raise
    return _shown(outcome, view, section)


async def resume(
    go_on: Callable[[PrinterFor, threading.Event], SectionOutcome], view_for: Callable[[Section], View]
) -> Result:
    """Go on with a job. *go_on* gets what it tells of the section it found, and the stop event.

    Raises:
        ClockworkError: why it cannot go on, or what went wrong.
    """
    view = _LateView(view_for)

    def run(on_event: OnEvent, stop: threading.Event) -> SectionOutcome:
        def found(section: Section, events: Sequence[EventView]) -> OnEvent:
            view.found = (section, tuple(events))
            return on_event

        return go_on(found, stop)

    try:
        outcome = await _watched(run, view)
    except ClockworkError as error:
        if view.found is not None:
            view.finished(_ended_early(view.found[0], error))
        raise
    return _shown(outcome, view, view.found[0] if view.found is not None else None)


class _LateView:
    """Stands in for the view until the section is known, which is told from another thread."""

    def __init__(self, view_for: Callable[[Section], View]) -> None:
        self.found: tuple[Section, tuple[EventView, ...]] | None = None
        self._view_for = view_for
        self._view: View | None = None

    def _real(self) -> View | None:
        if self._view is None and self.found is not None:
            section, earlier = self.found
            self._view = self._view_for(section)
            self._view.started(section, earlier)
        return self._view

    def ask(self, answer: Callable[[Answer], None]) -> None:
        """A resumed job asks nothing: it is approved, or it waits on."""

    def started(self, section: Section, earlier: Sequence[EventView] = ()) -> None:
        """The view starts by itself when the section is known."""

    def progress(self, events: list[EventView]) -> None:
        view = self._real()
        if view is not None:
            view.progress(events)

    def finished(self, result: Result) -> None:
        view = self._real()
        if view is None:
            show(result)
        else:
            view.finished(result)


def _shown(outcome: SectionOutcome, view: View, section: Section | None) -> Result:
    result = outcome_result(outcome, section.planned if section is not None else None)
    view.finished(result)
    if isinstance(outcome.error, InterruptedByUserError):
        total = outcome.snapshot["totals"]["steps"]
        raise InterruptedByUserError(
            f"stopped after step {outcome.done} of {total}", hint=outcome.error.hint, details=outcome.error.details
        )
    outcome.raise_if_failed()
    return result


async def _begun(begin: Callable[[], _S]) -> _S:
    made: list[_S] = []
    try:
        return await off_loop(lambda: made.append(begin()) or made[0])  # type: ignore[func-returns-value]
    except (asyncio.CancelledError, KeyboardInterrupt):
        if made and made[0] is not None and made[0].restored is None and not made[0].is_empty:
            made[0].cancel("stopped before the decision")
        raise InterruptedByUserError("stopped while planning; nothing was run") from None


async def _watched(run: Callable[[OnEvent, threading.Event], SectionOutcome], view: View) -> SectionOutcome:
    """Do *run* in a thread and feed the view from here, the one place that touches widgets."""
    events: deque[EventView] = deque()
    stop = threading.Event()
    work = asyncio.get_running_loop().run_in_executor(None, run, events.append, stop)
    try:
        while not work.done():
            try:
                await asyncio.wait([work], timeout=TICK_S)
            except asyncio.CancelledError:
                stop.set()  # the runner kills the running steps and says where it stopped; that takes a moment
            view.progress(_drained(events))
    finally:
        stop.set()
    view.progress(_drained(events))
    return work.result()


def _drained(events: deque[EventView]) -> list[EventView]:
    out = []
    while events:
        out.append(events.popleft())
    return out


def outcome_result(outcome: SectionOutcome, planned: Planned | None = None) -> Result:
    """Return how a section ended, for the notebook; what was *planned* is folded in below."""
    html = outcome.html()
    if planned is not None:
        html += _folded(planned)
    return Result("outcome", outcome.text(), html, outcome.to_document(), outcome)


def _ended_early(section: Section, error: ClockworkError) -> Result:
    """Return what stays in the cell when nothing was run: the plan, and why."""
    word, color = "failed", "bad"
    if isinstance(error, ApprovalDeniedError):
        word, color = "refused", "bad"
    elif isinstance(error, ApprovalRequiredError):
        word, color = "waiting for approval", "warn"
    elif isinstance(error, InterruptedByUserError):
        word, color = "stopped", "warn"
    card = element(
        "div",
        element(
            "header",
            element("b", f"{section.verb.capitalize()} {word}"),
            element("code", section.plan_digest[:8], class_="cw-muted"),
            element("span", word, class_=f"cw-pill cw-{color} cw-right"),
        ),
        element("div", error.message, class_="cw-note"),
        class_="cw-card",
    )
    document: dict[str, Any] = {
        "status": word,
        "job": section.job_id,
        "plan": section.plan_digest,
        "error": error.to_dict(),
    }
    plan = section.planned
    html = wrap(card, label=f"{section.verb} {word}") + _folded(plan)
    return Result("outcome", f"{plan.text()}\n\n{word}: {error.message}", html, document)


def _folded(planned: Planned) -> Markup:
    summary = element("summary", f"plan {planned.digest[:8]}")
    return wrap(element("details", summary, Markup(planned.html())), label="the plan")
