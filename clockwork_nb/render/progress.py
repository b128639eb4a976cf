"""A run as people read it: lines as steps end, and the frozen result that stays in a notebook.

Both draw what `clockwork_nb.jobs.progress.RunProgress` says; neither keeps a truth of its own. The reducer comes in as a
value (`ProgressSource`), because drawing is below the domain in the house's layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from clockwork_nb.ports import EventView
from clockwork_nb.render.html import Child, Markup, element, fragment
from clockwork_nb.render.outcome import (
    VERBS,
    approval_words,
    outcome_of,
    outcome_text,
    outcome_title,
    outcome_words,
    output_words,
    seconds,
)
from clockwork_nb.render.text import (
    Paint,
    as_column,
    clip,
    clip_middle,
    columns_of,
    duration,
    pad,
    plural,
    short_digest,
    visible,
)
from clockwork_nb.render.theme import wrap

__all__ = ["ProgressPrinter", "ProgressSource", "outcome_text", "progress_html"]

SIGNS: Final = {"waiting": "·", "running": "▸", "ok": "✓", "failed": "✗", "skipped": "–", "interrupted": "!"}
_COLORS: Final = {
    "running": "info",
    "ok": "ok",
    "failed": "bad",
    "skipped": "muted",
    "interrupted": "bad",
    "waiting": "muted",
}
_ENDED: Final = frozenset({"ok", "failed", "skipped", "interrupted"})
_FINAL: Final = frozenset({"completed", "failed", "canceled"})
_SHOWN: Final = 60
_SILENT_MS: Final = 500


class ProgressSource(Protocol):
    """What a view needs of the reducer."""

    def feed(self, event: EventView) -> None:
        """Take one event."""
        ...

    def delta(self, since: int = -1) -> dict[str, Any]:
        """Return what changed since a version."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Return everything."""
        ...


def _note(step: Mapping[str, Any]) -> str:
    parts = [f"exit {step['exit_code']}"] if step["status"] == "failed" and step["exit_code"] is not None else []
    note = visible(step["note"])
    if note and note not in parts:
        parts.append(note)
    return ", ".join(parts)


class ProgressPrinter:
    """Writes one line as each step ends. Fed with events; keeps nothing but what it has printed.

    Args:
        write: gets text that ends with a line end.
        source: a `clockwork_nb.jobs.progress.RunProgress`, best one that was told what to `expect`.
        color: use terminal colours.
    """

    def __init__(self, write: Callable[[str], None], source: ProgressSource, *, color: bool = False) -> None:
        self._write = write
        self._source = source
        self._paint = Paint(color)
        self._version = -1
        self._section = -1
        self._printed: dict[int, str] = {}
        self._widths = (0, 0)
        self._last_at = ""

    def feed(self, event: EventView) -> None:
        """Take one event and write the lines it makes due."""
        self._source.feed(event)
        self._show(self._source.delta(self._version))
        self._last_at = event.created_at

    def catch_up(self, events: Iterable[EventView]) -> None:
        """Take the events of an earlier run of the same job without writing its lines again; say how much was done."""
        for event in events:
            self._source.feed(event)
        state = self._source.snapshot()
        self._version = state["version"]
        done = state["totals"]["ok"]
        for index, step in enumerate(state["steps"]):
            if step["status"] == "ok":
                self._printed[index] = "ok"
        if done:
            total = state["totals"]["steps"]
            self._write(f"{done:,} of {plural(total, 'step')} were done before; they do not run again.\n")

    def tick(self, now: str) -> None:
        """Say which steps are still running, once each, when nothing was written for half a second before *now*
        (RFC 3339, as in events)."""
        if not self._last_at or _gap_ms(self._last_at, now) < _SILENT_MS:
            return
        state = self._source.snapshot()
        for index, step in enumerate(state["steps"]):
            if step["status"] == "running" and self._printed.get(index) != "running":
                self._step(index, step, state)

    def finish(
        self,
        outcome: Mapping[str, Any] | None = None,
        *,
        notes: Sequence[str] = (),
        next_lines: Sequence[str] | None = None,
        command: str = "clockwork",
    ) -> None:
        """Write an empty line and the closing lines (`outcome_text`); without *outcome*, what the events tell."""
        if outcome is None:
            outcome = outcome_of(self._source.snapshot())
        color = self._paint.color
        self._write(
            "\n" + outcome_text(outcome, color=color, notes=notes, next_lines=next_lines, command=command) + "\n"
        )

    def _show(self, delta: Mapping[str, Any]) -> None:
        self._version = delta["version"]
        due = [row for row in delta["changed"] if row["step"]["status"] in _ENDED]
        for row in delta["changed"]:
            if row["step"]["status"] not in _ENDED and self._printed.get(row["index"]) in _ENDED:
                del self._printed[row["index"]]  # it runs again, so it will end again
        begun = any(row["step"]["status"] not in {"waiting", "skipped"} for row in delta["changed"])
        if self._section != delta["section"] and (due or begun):
            self._begin(delta)
        for row in due:
            if self._printed.get(row["index"]) != row["step"]["status"]:
                self._step(row["index"], row["step"], delta)

    def _begin(self, head: Mapping[str, Any]) -> None:
        if self._section not in {-1, head["section"]}:
            self._printed.clear()
        self._section = head["section"]
        steps = self._source.snapshot()["steps"]
        self._widths = (
            min(max((columns_of(visible(s["address"])) for s in steps), default=0), 36) + 3,
            min(max((columns_of(visible(s["action"])) for s in steps), default=0), 28) + 5,
        )
        parts = [f"Job {visible(head['job_id'])}"] if head["job_id"] else []
        parts.append(f"plan {short_digest(head['plan'])}")
        parts.append(approval_words(head["approval"]))
        if head["confinement"]:
            parts.append(f"confinement: {visible(head['confinement'])}")
        self._write(" · ".join(filter(None, parts)) + "\n\n")

    def _step(self, index: int, step: Mapping[str, Any], head: Mapping[str, Any]) -> None:
        self._printed[index] = status = step["status"]
        if self._section != head["section"]:
            self._begin(head)
        total = head["totals"]["steps"]
        number = as_column(f"{index + 1}/{total}", 2 * len(str(total)) + 1)
        address = pad(clip_middle(visible(step["address"]), self._widths[0] - 3), self._widths[0])
        action = pad(clip(visible(step["action"]), self._widths[1] - 2), self._widths[1])
        took = as_column("" if step["duration_ms"] is None else duration(step["duration_ms"]), 7)
        painter = {"ok": self._paint.good, "running": self._paint.info, "skipped": self._paint.dim}
        word = painter.get(status, self._paint.bad)(pad(status, 8))
        lines = [f"  {number}  {address}{action}{word}{took}   {_note(step)}".rstrip()]
        margin = " " * (len(number) + 4)
        lines += [f"{margin}{self._paint.dim('|')} {visible(line)}" for line in step["tail"].splitlines()]
        if step["log"]:
            lines.append(f"{margin}log {visible(step['log'])}")
        self._write("\n".join(lines) + "\n")


def _gap_ms(start: str, stop: str) -> float:
    return (datetime.fromisoformat(stop) - datetime.fromisoformat(start)).total_seconds() * 1000


# --- HTML -------------------------------------------------------------------------------------------------------


def progress_html(
    snapshot: Mapping[str, Any],
    outcome: Mapping[str, Any] | None = None,
    *,
    notes: Sequence[str] = (),
    next_lines: Sequence[str] | None = None,
) -> str:
    """Return the state of a run as a static HTML fragment that needs no widget and no script.

    Beyond 60 steps only those that did not end well are shown at once; all stand behind a disclosure.

    Args:
        snapshot: ``RunProgress.snapshot()``; may be empty when *outcome* says that nothing had to run.
        outcome: as in `outcome_text`; adds the outputs.
        notes: sentences of their own.
        next_lines: commands to offer; None for the usual one after a failure.
    """
    if not snapshot:
        words = outcome_words(outcome) if outcome else "Nothing to do."
        title, _, rest = words.partition(". ")
        header = element("header", element("b", title.rstrip(".")), " ", element("span", rest, class_="cw-muted"))
        return str(wrap(element("div", header, class_="cw-card"), label="run"))
    if outcome is not None and outcome["status"] in _FINAL:
        # The caller knows how it ended before the event that says so is written.
        snapshot = {**snapshot, "status": outcome["status"], "elapsed_ms": outcome["duration_ms"]}
    steps = snapshot["steps"]
    notable = [s for s in steps if s["status"] not in {"ok", "waiting"}] if len(steps) > _SHOWN else list(steps)
    body: list[Child] = [_header(snapshot, bool(outcome and outcome.get("recorded"))), _bar(snapshot)]
    if notable:
        body.append(_table(notable[:_SHOWN]))
    if len(notable) > _SHOWN:
        body.append(element("div", f"{len(notable) - _SHOWN:,} more like these below", class_="cw-note cw-muted"))
    body += [_failure(step) for step in notable[:_SHOWN] if step["tail"] or step["log"]]
    if len(steps) > _SHOWN:
        body.append(element("details", element("summary", f"all {plural(len(steps), 'step')}"), _table(steps)))
    body += [element("div", note, class_="cw-note") for note in notes]
    body.append(_footer(snapshot, outcome, next_lines))
    return str(wrap(element("div", body, class_="cw-card"), label="run"))


def _header(snapshot: Mapping[str, Any], recorded: bool) -> Markup:
    title, facts, pill, color = outcome_title(snapshot)
    totals = snapshot["totals"]
    right = []
    if title == VERBS[snapshot["verb"]][1]:
        right.append(f"{totals['ok']:,} of {totals['steps']:,}")
    if snapshot["elapsed_ms"]:
        right.append(seconds(snapshot["elapsed_ms"]))
    if recorded:
        right.append("from this run's journal")
    return element(
        "header",
        element("b", title),
        " ",
        element("span", facts, class_="cw-muted"),
        " ",
        element("span", " · ".join(right), class_="cw-muted cw-right"),
        " ",
        element("span", pill, class_=f"cw-pill cw-{color}"),
    )


def _bar(snapshot: Mapping[str, Any]) -> Markup | None:
    totals = snapshot["totals"]
    if not totals["steps"] or snapshot["status"] in {"waiting", "denied", "stale"}:
        return None
    ended = totals["ok"] + totals["failed"] + totals["skipped"] + totals["interrupted"]
    percent = 100 * ended // totals["steps"]
    color = "cw-bad" if totals["failed"] or totals["interrupted"] else "cw-ok" if percent == 100 else ""
    fill = element("i", style=f"width:{percent}%")
    return element("div", fill, class_=f"cw-bar {color}".rstrip())


def _table(steps: Sequence[Mapping[str, Any]]) -> Markup:
    names = ("state", "step", "time")
    head = element("thead", element("tr", [element("th", name) for name in names]))
    return element("table", head, element("tbody", [_row(step) for step in steps]), class_="cw-steps")


def _row(step: Mapping[str, Any]) -> Markup:
    status = step["status"]
    color = f"cw-{_COLORS[status]}"
    note = _note(step)
    words = [status] if status in {"failed", "skipped", "interrupted", "running"} else []
    words += [note] if note else []
    left = "text-align:left"
    took = "" if step["duration_ms"] is None else duration(step["duration_ms"])
    sign = element("td", element("span", SIGNS[status], title=status), class_=f"cw-st {color}", style=left)
    label = fragment(element("code", step["address"]), " ", step["action"])
    aside = element("span", " " + ", ".join(words), class_="cw-muted") if words else None
    quiet = "cw-muted" if status in {"waiting", "skipped"} else None
    cell = element("td", label, aside, class_=quiet, style=left)
    return element("tr", sign, cell, element("td", took, class_="cw-dur"), class_="cw-step")


def _failure(step: Mapping[str, Any]) -> Markup:
    tail = element("pre", step["tail"], class_="cw-err") if step["tail"] else None
    log = element("div", f"{visible(step['id'])}: log ", element("code", step["log"]), class_="cw-note cw-muted")
    return fragment(tail, log if step["log"] else None)


def _footer(
    snapshot: Mapping[str, Any], outcome: Mapping[str, Any] | None, next_lines: Sequence[str] | None
) -> Markup | None:
    parts: list[Child] = []
    job, status = visible(snapshot["job_id"]), snapshot["status"]
    failed = status == "failed" or (snapshot["totals"]["failed"] and status not in {"completed", "canceled"})
    if status == "completed":
        parts += [element("code", words) for words in output_words((outcome or {}).get("outputs", ()))]
    elif snapshot["totals"]["ok"] and (failed or status == "canceled"):
        parts.append("State is saved; finished steps will not run again.")
    if next_lines is None:
        next_lines = [f"%cw_resume {job}"] if failed and job else []
        parts += [element("span", "Fix it, then ", element("code", line)) for line in next_lines]
    else:
        parts += [element("span", "Next: ", element("code", line)) for line in next_lines]
    if not parts:
        return None
    spaced: list[Child] = []
    for part in parts:
        spaced += [part, " "]
    return element("footer", spaced, class_="cw-muted")
