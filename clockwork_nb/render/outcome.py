"""How a run stands or ended, in words: who approved, what was done, what to type next.

The words are made once, here; text, the widget and the frozen HTML all use them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clockwork_nb.render.text import Paint, clip, duration, plural, short_digest, visible
from clockwork_nb.render.values import value_text

__all__ = [
    "VERBS",
    "approval_words",
    "outcome_of",
    "outcome_text",
    "outcome_title",
    "outcome_words",
    "output_words",
    "seconds",
]

VERBS: Final = {
    "apply": ("Applied", "Applying"),
    "destroy": ("Destroyed", "Destroying"),
    "verify": ("Checked", "Checking"),
    "run": ("Ran", "Running"),
}
"""What a section has done, and what it is doing."""


def approval_words(approval: Mapping[str, Any]) -> str:
    """Return who approved, in words; "no person approved" for ``auto`` and ``policy``; empty while nobody has decided."""
    if approval["state"] == "requested":
        return "waiting for approval"
    if approval["state"] == "none":
        return ""
    via = visible(approval["via"])
    if not approval["person"]:
        why = visible(approval["reason"])
        usual = not why or why.endswith("no person approved")
        return f"no person approved ({('--auto-approve' if via == 'auto' else via) if usual else clip(why, 80)})"
    reason = visible(approval["reason"])
    verb = "approved" if approval["state"] == "granted" else "rejected"
    return f"{verb} by {visible(approval['by'])}" + (f' "{clip(reason, 80)}"' if reason else "")


def outcome_of(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outcome document that a snapshot tells by itself (no outputs)."""
    totals, status = snapshot["totals"], snapshot["status"]
    if status == "running" and (totals["failed"] or totals["interrupted"]) and not totals["running"]:
        status = "failed"  # the section stays open, so that the job can go on with it
    return {
        "status": status,
        "verb": snapshot["verb"],
        "job": snapshot["job_id"],
        "plan": snapshot["plan"],
        "done": totals["ok"],
        "failed": totals["failed"],
        "interrupted": totals["interrupted"],
        "skipped": totals["skipped"],
        "unfinished": totals["running"],
        "unstarted": totals["waiting"],
        "duration_ms": snapshot["elapsed_ms"],
    }


def _counts_words(outcome: Mapping[str, Any]) -> str:
    names = (
        ("failed", "failed"), ("interrupted", "interrupted"), ("skipped", "skipped"), ("done", "done"),
        ("unfinished", "not finished"), ("unstarted", "not started"),
    )  # fmt: skip
    return ", ".join(f"{outcome[key]:,} {word}" for key, word in names if outcome.get(key))


def outcome_words(outcome: Mapping[str, Any]) -> str:
    """Return the first sentence about how a run ended; *outcome* as in `outcome_text`."""
    status = outcome["status"]
    if status == "nothing":
        count = outcome.get("unchanged", 0)
        took = outcome.get("observed_ms")
        observed = f" (observed in {took / 1000:.1f} s)" if took is not None else ""
        if not count:
            return f"Nothing to do{observed}."
        return f"Nothing to do. {plural(count, 'resource')} {'matches' if count == 1 else 'match'}{observed}."
    if status == "completed":
        done = VERBS[outcome.get("verb", "apply")][0]
        return f"{done} {plural(outcome['done'], 'step')} in {seconds(outcome['duration_ms'])}."
    if status == "denied":
        return "Rejected. Nothing was run."
    if status == "stale":
        return "What was approved is not what would run now. Nothing was run."
    counts = _counts_words(outcome)
    saved = "State is saved; finished steps will not run again."
    if status == "canceled":
        return f"Stopped{f': {counts}' if counts else ''}. {saved}"
    if status == "waiting":
        return f"Waiting for approval of plan {short_digest(outcome['plan'])}."
    if status == "failed" or outcome["failed"] or outcome.get("interrupted"):
        return f"{counts or 'Failed'}. {saved}"
    return f"Running: {counts}."


def outcome_text(
    outcome: Mapping[str, Any],
    *,
    color: bool = False,
    notes: Sequence[str] = (),
    next_lines: Sequence[str] | None = None,
    command: str = "clockwork",
) -> str:
    """Return the closing lines of a run, without a line end at the end: the outcome, outputs, what to type next.

    Args:
        outcome: ``status`` ("completed", "failed", "canceled", "nothing", …), ``job``, ``plan``, ``done``, ``failed``,
            ``skipped``, ``duration_ms``; may have ``verb``, ``interrupted``, ``unfinished``, ``unstarted``,
            ``outputs`` (``{name, value, sensitive?}``), ``recorded``, ``unchanged``, ``observed_ms``.
        color: use terminal colours.
        notes: sentences of their own, e.g. who holds a port.
        next_lines: commands to offer; None for the usual ones.
        command: how the tool is called, in the usual ones.
    """
    paint = Paint(color)
    status = outcome["status"]
    well = status in {"completed", "nothing"}
    words = (paint.good if well else paint.bad)(outcome_words(outcome))
    shown = output_words(outcome.get("outputs", ())) if status == "completed" else []
    lines = ["(from this run's journal)"] if outcome.get("recorded") else []
    lines.append(f"{words} {shown[0]}" if len(shown) == 1 else words)
    if len(shown) > 1:
        lines += [f"  {line}" for line in shown]
    lines += [visible(note) for note in notes]
    job = shlex.quote(visible(outcome["job"])) if outcome["job"] else ""
    if next_lines is None and job and status == "failed":
        next_lines = [f"fix it, then: {command} job resume {job}"]
    if job and status == "completed":
        lines.append(f"Evidence   {command} jobpack export {job}")
    lines += [("Next   " if i == 0 else " " * 7) + line for i, line in enumerate(next_lines or ())]
    return "\n".join(lines)


def seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 60_000 else duration(milliseconds)


def output_words(outputs: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"{visible(o['name'])} = {'(sensitive)' if o.get('sensitive') else value_text(o['value'], 100)}"
        for o in outputs
    ]


def outcome_title(state: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return title, further facts, pill and the pill's colour name for a snapshot or a delta."""
    status, counted = state["status"], outcome_of(state)
    done, doing = VERBS[state["verb"]]
    quiet = [visible(state["job_id"]), approval_words(state["approval"])]
    counts = _counts_words(counted).replace(", ", " · ")
    pill, color = _pill(state)
    if status == "completed":
        title = f"{done} {plural(counted['done'], 'step')}"
    elif status == "waiting":
        title = "Waiting for approval"
        quiet[1] = f"plan {short_digest(state['plan'])}"
    elif status == "denied":
        title = "Rejected"
        quiet.append("nothing was run")
    elif counted["failed"] or counted["interrupted"]:
        title, _, rest = counts.partition(" · ")
        quiet.insert(0, rest)
    elif status in {"failed", "canceled", "stale"}:
        title = {"failed": "Failed", "canceled": "Stopped", "stale": "Out of date"}[status]
        quiet.insert(0, counts)
    else:
        title = doing
    return title, " · ".join(filter(None, quiet)), pill, color


def _pill(snapshot: Mapping[str, Any]) -> tuple[str, str]:
    status = outcome_of(snapshot)["status"]
    if status != "waiting" and snapshot["job_status"].startswith("blocked"):
        return "blocked", "bad"
    known = {
        "completed": ("done", "ok"), "denied": ("rejected", "bad"), "waiting": ("waiting", "warn"),
        "failed": ("failed", "bad"), "canceled": ("stopped", "warn"), "stale": ("out of date", "warn"),
    }  # fmt: skip
    return known.get(status, ("running", "info"))
