"""The two ways a run is watched: lines of text, and the panel with buttons."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clockwork_nb.magics._display import Result
from clockwork_nb.magics._gate import Answer

if TYPE_CHECKING:
    from clockwork_nb.magics._context import FrontEnd
    from clockwork_nb.magics._run import View
    from clockwork_nb.ports import EventView
    from clockwork_nb.session.sections import Section

__all__ = ["PanelView", "TextView", "show", "view_for"]


def view_for(front_end: FrontEnd) -> Callable[[Section], View]:
    """Return what makes the view of a section where people answer by *front_end*."""
    return PanelView if front_end == "buttons" else TextView


def _reducer(section: Section) -> Any:
    from clockwork_nb.jobs.progress import RunProgress

    progress = RunProgress(section.job_id)
    progress.expect(section.planned.document, section.plan_digest)
    return progress


def _approved(progress: Any, section: Section) -> None:
    """Tell the reducer of a decision that was recorded before the first event it gets."""
    found = section.approval
    if found:
        progress.approval = {"state": "granted", **found, "person": found["via"] not in {"auto", "policy"}}


def show(result: Result) -> None:
    """Show *result* as an output of the running cell."""
    from IPython.display import display

    display(result)


class TextView:
    """Writes lines to stdout; asks with a typed answer where somebody can type.

    Headless runs, terminals, and kernels that do not hand clicks to a waiting cell.
    """

    def __init__(self, section: Section) -> None:
        from clockwork_nb.render.progress import ProgressPrinter

        self._section = section
        self._progress = _reducer(section)
        self._printer = ProgressPrinter(_write, self._progress)

    def ask(self, answer: Callable[[Answer], None]) -> None:
        """Show the plan, then ask for ``yes`` or ``no``; Enter alone waits for a record from elsewhere."""
        first, commands = self._section.waiting_lines()
        _write(f"{self._section.planned.text()}\n\n{first}\n{commands}\n")
        try:
            typed = _typed("Type yes to approve, no to refuse, or Enter to wait for the command above: ")
        except EOFError:
            return
        word, _, reason = typed.partition(" ")
        if word.lower() == "yes":
            answer(("granted", "terminal", reason.strip()))
        elif word.lower() == "no":
            answer(("denied", "terminal", reason.strip()))
        else:
            _write("Waiting. Stop (or Ctrl-C) ends it.\n")

    def started(self, section: Section, earlier: Sequence[EventView] = ()) -> None:
        """Note who approved; the first step's line brings the header."""
        self._printer.catch_up(earlier)
        _approved(self._progress, section)

    def progress(self, events: list[EventView]) -> None:
        """Write a line for each step that ended."""
        for event in events:
            self._printer.feed(event)

    def finished(self, result: Result) -> None:
        """Show the result."""
        show(result)


class PanelView:
    """One widget tree, shown before the gate; replaced by the result at the end, so that the file needs no widget."""

    def __init__(self, section: Section) -> None:
        from IPython.display import display

        from clockwork_nb.render.progress import ProgressPrinter
        from clockwork_nb.widgets import RunPanel

        assert section.built is not None
        self._progress = _reducer(section)
        self._lines: list[str] = []
        self._printer = ProgressPrinter(self._lines.append, self._progress)
        self._version = -1
        self._panel = RunPanel(
            section.planned.document,
            section.plan_digest,
            section.built.to_document(),
            serial=section.serial,
            ask=section.needs_approval,
        )
        self._pages = 0
        self._panel.view.on_rendered(self._drawn)
        self._handle = display(self._panel, display_id=True)

    def _drawn(self) -> None:
        self._pages += 1

    def ask(self, answer: Callable[[Answer], None]) -> None:
        """Open the buttons; Approve waits until a page says that it shows the plan and the scripts."""
        self._panel.on_decision(lambda decision, reason: answer((decision, "button", reason)))

    def started(self, section: Section, earlier: Sequence[EventView] = ()) -> None:
        """Show who approved, and the steps."""
        self._printer.catch_up(earlier)
        _approved(self._progress, section)
        self.progress([])

    def progress(self, events: list[EventView]) -> None:
        """Send what changed, as one message."""
        for event in events:
            self._printer.feed(event)
        delta = self._progress.delta(self._version)
        if delta["version"] != self._version:
            self._version = delta["version"]
            self._panel.update(delta)

    def finished(self, result: Result) -> None:
        """Freeze: the output becomes plain HTML and text, and the widgets go.

        A page that was loaded again meanwhile does not get that update any more; it keeps the panel.
        """
        if self._lines:
            result.text = "".join(self._lines) + "\n" + result.text.lstrip("\n")
        self._handle.update(result)
        if self._pages > 1:
            self._panel.add_log(["This page was loaded again: run %cw_status to keep the result in this notebook."])
            self._panel.freeze()
        else:
            self._panel.close()


def _typed(prompt: str) -> str:
    """Return the line that somebody types.

    While an async cell runs, ipykernel answers SIGINT by cancelling the cell's task, which a blocked prompt would never
    notice; so Stop is a KeyboardInterrupt here.
    """
    if threading.current_thread() is not threading.main_thread():
        return input(prompt).strip()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input(prompt).strip()
    finally:
        signal.signal(signal.SIGINT, before)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
