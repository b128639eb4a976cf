"""The live view of a run: the plan and its scripts, then steps and log, in one anywidget.

The page gets the list of steps once, then a few small messages a second: the cost in a browser is the number of
messages, not of rows, and a burst of them makes the server drop other output. The ``snapshot`` trait holds the whole
state for pages that open later; messages are not state.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from clockwork_nb.render.outcome import approval_words, outcome_title
from clockwork_nb.render.text import visible
from clockwork_nb.render.theme import CSS

__all__ = ["LOG_LINES", "RunView"]

LOG_LINES: Final = 200
"""How many of the last log lines the view keeps."""
SEND_EVERY_S: Final = 0.125
SNAPSHOT_EVERY_S: Final = 1.0
_LINE_CHARS: Final = 2_000

_STATIC: Final = Path(__file__).resolve().parent / "static"
_ESM: Final = (_STATIC / "run_view.js").read_text(encoding="utf-8")
_STYLE: Final = CSS + (_STATIC / "run_view.css").read_text(encoding="utf-8")


class RunView(anywidget.AnyWidget):
    """Plan, scripts, steps and log. Call every method from the event loop's thread.

    Args:
        intro: safe HTML: the plan and the list of scripts, marked with ``data-cw-plan`` and ``data-cw-bundle``.
        plan: the plan's digest.
        bundle: the bundle's digest.
        clock: seconds that never go back.
    """

    _esm = _ESM
    _css = _STYLE
    intro = traitlets.Unicode("").tag(sync=True)
    plan = traitlets.Unicode("").tag(sync=True)
    bundle = traitlets.Unicode("").tag(sync=True)
    steps = traitlets.List([]).tag(sync=True)
    """``[[address, action], …]``, sent once a section."""
    snapshot = traitlets.Dict({}).tag(sync=True)
    """``{head, rows, log}``: the whole state, written about once a second and at the end."""

    def __init__(
        self, *, intro: str = "", plan: str = "", bundle: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(intro=intro, plan=plan, bundle=bundle)
        self._clock = clock
        self._head: dict[str, Any] = {}
        self._rows: dict[int, list[Any]] = {}
        self._pending: dict[int, list[Any]] = {}
        self._log_lines: deque[str] = deque(maxlen=LOG_LINES)
        self._pending_log: deque[str] = deque(maxlen=LOG_LINES)
        self._dirty = False
        self._sent_at = self._saved_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._rendered: list[Callable[[], None]] = []
        self.on_msg(self._on_message)

    # --- from the page --------------------------------------------------------------------------------------------

    def on_rendered(self, callback: Callable[[], None]) -> None:
        """Call *callback* each time a page says that plan and scripts of these digests are on the screen. Any thread."""
        self._rendered.append(callback)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict) or content.get("type") != "rendered":
            return
        if content.get("plan") == self.plan and content.get("bundle") == self.bundle:
            for callback in self._rendered:
                callback()

    # --- to the page ----------------------------------------------------------------------------------------------

    def push(self, document: Mapping[str, Any]) -> None:
        """Show a ``RunProgress.snapshot()`` or ``.delta()``; sent with the next message, at most eight a second."""
        if "steps" in document:
            changed: Iterable[tuple[int, Mapping[str, Any]]] = enumerate(document["steps"])
        else:
            changed = ((row["index"], row["step"]) for row in document["changed"])
        names: dict[int, list[str]] = {}
        for index, step in changed:
            row = _row(index, step)
            names[index] = [visible(step["address"]), visible(step["action"])]
            if self._rows.get(index) != row:
                self._rows[index] = self._pending[index] = row
        self._name_steps(names, document["totals"]["steps"])
        self._head = _head(document)
        self._dirty = True
        self._schedule()

    def add_log(self, lines: Iterable[str]) -> None:
        """Show more lines of output; the last `LOG_LINES` are kept, each cut to 2,000 characters."""
        for line in lines:
            shown = visible(line.rstrip("\n")[:_LINE_CHARS], keep="\t")
            self._log_lines.append(shown)
            self._pending_log.append(shown)
        self._dirty = True
        self._schedule()

    def _name_steps(self, names: Mapping[int, list[str]], total: int) -> None:
        steps = [list(pair) for pair in self.steps[:total]]
        steps += [["", ""]] * (total - len(steps))
        changed = len(self.steps) != total
        for index, pair in names.items():
            if steps[index] != pair:
                steps[index] = pair
                changed = True
        if changed:
            for index in [i for i in self._rows if i >= total]:
                del self._rows[index]
                self._pending.pop(index, None)
            self.steps = steps

    def _schedule(self) -> None:
        wait = SEND_EVERY_S - (self._clock() - self._sent_at)
        if wait <= 0:
            self._deliver()
            return
        if self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # no loop to wait in: the next call, or flush, sends it
            self._timer = loop.call_later(wait, self._deliver)

    def _deliver(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._dirty or self.comm is None:
            return
        now = self._clock()
        rows = [self._pending[index] for index in sorted(self._pending)]
        self.send({"head": self._head, "rows": rows, "log": list(self._pending_log)})
        self._pending.clear()
        self._pending_log.clear()
        self._dirty = False
        self._sent_at = now
        if now - self._saved_at >= SNAPSHOT_EVERY_S:
            self._save()

    def _save(self) -> None:
        self._saved_at = self._clock()
        rows = [self._rows[index] for index in sorted(self._rows)]
        self.snapshot = {"head": self._head, "rows": rows, "log": list(self._log_lines)}

    def flush(self) -> None:
        """Send what is held back and write the whole state into ``snapshot``."""
        self._deliver()
        if self.comm is not None and self._head:
            self._save()

    def close(self) -> None:
        """Close the view and its comms; nothing is sent afterwards. Closing again does nothing."""
        if self.comm is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.layout.close()
        super().close()


def _row(index: int, step: Mapping[str, Any]) -> list[Any]:
    """Return what changes about a step: index, status, milliseconds, note, tail, start."""
    note = visible(step["note"])
    code = step["exit_code"]
    if step["status"] == "failed" and code is not None and f"exit {code}" not in note:
        note = f"exit {code}, {note}" if note else f"exit {code}"
    tail = visible(step["tail"], keep="\n\t")
    started = step["started_at"] if step["status"] == "running" else ""
    return [index, step["status"], step["duration_ms"], note, tail, started]


def _head(document: Mapping[str, Any]) -> dict[str, Any]:
    title, facts, pill, color = outcome_title(document)
    return {
        "status": document["status"],
        "title": title,
        "facts": facts,
        "pill": pill,
        "color": color,
        "approval": approval_words(document["approval"]),
        "totals": document["totals"],
        "elapsed_ms": document["elapsed_ms"],
        "left_ms": document["left_ms"],
        "at": document["last_at"],
        "ended": bool(document["finished_at"]),
    }
