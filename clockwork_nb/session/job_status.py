"""What ``job status`` says about a job: its state put in the words and figures that people read. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from clockwork_nb.jobs.budget import Counters
    from clockwork_nb.jobs.model import Decision, JobState, SectionState

__all__ = ["age", "budget_rows", "shown_reason", "status_document", "unused_grant"]

_BUDGETS: Final = {
    "wall_time_seconds": "wall",
    "step_count": "steps",
    "retry_count": "retries",
    "tool_call_count": "tool calls",
    "tokens": "tokens",
    "cost": "cost",
}
"""Dimension of a budget → its word, in the order they are shown."""


def status_document(
    state: JobState,
    *,
    running: bool,
    snapshot: int,
    planned_steps: Callable[[str], int],
    now: datetime,
    planned_cells: int = 0,
    spec_steps: int = 0,
) -> dict[str, Any]:
    """Return the JSON form of ``job status``: a `clockwork_nb.render.job.JobView` and what only machines read.

    Args:
        running: whether a live process holds the job.
        snapshot: how many events the snapshot covers that the state was read from.
        planned_steps: digest of a plan → how many steps it has, 0 when that is not known.
        planned_cells: how many cells the notebook has that are run, 0 when that is not known.
        spec_steps: how many steps the job's spec has in all, 0 when it has none.
    """
    steps = _steps(state, planned_steps)
    cells = list(state.cells.values())
    return {
        "id": state.job_id,
        "name": state.name,
        "adapter": state.adapter,
        "status": state.status,
        "reason": shown_reason(state.status, state.reason, running=running),
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "age": age(state.updated_at, now),
        "tainted": state.tainted,
        "running": running,
        "cells": [sum(1 for c in cells if c in {"completed", "restored"}), max(planned_cells, len(cells))],
        "steps": [steps[0], max(steps[1], spec_steps)],
        "doing": _doing(state) if running else [],
        "waiting": [_question(state, d, now) for d in state.open_decisions],
        "counters": state.counters.to_payload(),
        "limits": dict(state.limits),
        "budgets": budget_rows(state.counters, state.limits),
        "lease": "held by a live process" if running else "free",
        "events": state.seq,
        "snapshot": snapshot,
        "sections": [_section(s) for s in state.sections.values()],
        "message": "" if running else _message(state),
        "next": _next(state, running=running),
    }


def shown_reason(status: str, reason: str, *, running: bool) -> str:
    """Return why the job is where it is; a job that says it runs while nobody runs it was cut off."""
    return "its process is gone" if status in {"running", "queued"} and not running else reason


def age(stamp: str, now: datetime) -> str:
    """Return how long before *now* the time *stamp* (RFC 3339) was, in words; empty when there is none."""
    if not stamp:
        return ""
    seconds = int((now - datetime.fromisoformat(stamp)).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{max(0, seconds)} s ago"


def unused_grant(state: JobState) -> Decision | None:
    """Return the latest decision that was granted and not used yet, None when there is none."""
    found = [d for d in state.decisions.values() if d.status == "granted" and not d.uses]
    return found[-1] if found else None


def _doing(state: JobState) -> list[str]:
    """Return what runs now: the cell and the steps that have begun and not ended."""
    cells = [f"cell {name}" for name, status in state.cells.items() if status == "started"][-1:]
    return cells + [
        name for section in state.open_sections for name, step in section.steps.items() if step.status == "started"
    ]


def _counted(section: SectionState, status: str, recorded: int) -> int:
    # A closed section keeps only its totals, an open one only its steps.
    return recorded if section.outcome else sum(1 for step in section.steps.values() if step.status == status)


def _section(section: SectionState) -> dict[str, Any]:
    return {
        "number": section.number,
        "verb": section.verb,
        "cell": section.cell,
        "outcome": section.outcome or "open",
        "changes": section.changes,
        "done": _counted(section, "completed", section.done),
        "failed": _counted(section, "failed", section.failed),
    }


def _steps(state: JobState, planned_steps: Callable[[str], int]) -> list[int]:
    """Return how many steps are done, and of how many; of a section that is not closed its plan tells."""
    done = total = 0
    for section in state.sections.values():
        done += _counted(section, "completed", section.done)
        if section.outcome:
            total += section.done + section.failed + section.skipped
        else:
            total += max(len(section.steps), planned_steps(section.plan))
    return [done, total]


def _message(state: JobState) -> str:
    granted = unused_grant(state)
    if granted is not None and not state.final:
        plan = str(granted.binds["plan"])[:8]
        who = "no person" if granted.via in {"auto", "policy"} else granted.by
        return f'plan {plan} is approved by {who} "{granted.reason}", not resumed yet'
    blocked = state.checkpoints.get("blocked")
    return blocked.summary if blocked is not None and state.status == "blocked_error" else ""


def _question(state: JobState, decision: Decision, now: datetime) -> dict[str, Any]:
    asked = next((c for c in state.checkpoints.values() if c.seq == decision.checkpoint_seq), None)
    since = datetime.fromisoformat(asked.created_at) if asked else now
    return {
        "plan": str(decision.binds["plan"]),
        "bundle": str(decision.binds.get("bundle", "")),
        "section": decision.section,
        "summary": asked.summary if asked else "",
        "since": since.astimezone().strftime("%H:%M"),
        "for_ms": int((now - since).total_seconds() * 1000),
        "quorum": decision.quorum,
        "approved_by": [grant.by for grant in decision.grants],
    }


def _next(state: JobState, *, running: bool) -> list[str]:
    from clockwork_nb.jobs.budget import exceeded

    job = state.job_id
    if state.final:
        return [f"clockwork jobpack export {job}"]
    if state.open_decisions:
        from clockwork_nb.jobs.approval import naming

        named = naming(state, state.open_decisions[0].binds)
        return [
            f'clockwork approve {job} {named} --reason "…"  &&  clockwork job resume {job}',
            f'clockwork reject {job} --reason "…"',
        ]
    if running:
        return []
    stuck = [
        name
        for section in state.open_sections
        for name, step in section.steps.items()
        if step.status in {"interrupted", "started"} and not step.idempotent
    ]
    again = "".join(f" --rerun {shlex.quote(name)}" for name in stuck)
    over = [f" {excess.flag} LIMIT" for excess in exceeded(state.counters, state.limits)]
    if state.status == "blocked_budget":
        flags = "".join(over) or " --max-… LIMIT"
        return [f"clockwork budget raise {job}{flags} --reason TEXT  &&  clockwork job resume {job}{again}"]
    return [f"clockwork job resume {job}{again}"]


def budget_rows(counters: Counters, limits: Mapping[str, str], *, everything: bool = False) -> list[dict[str, Any]]:
    """Return the budgets in force or touched, or all of them, as people read them (`render.job.BudgetView`)."""
    out = []
    for dimension, name in _BUDGETS.items():
        used, limit = counters.used(dimension), Decimal(limits.get(dimension, "0"))
        if used or limit or everything:
            shown = _clock if dimension == "wall_time_seconds" else str
            out.append(
                {"name": name, "used": shown(used), "limit": shown(limit) if limit else "", "touched": bool(used)}
            )
    return out


def _clock(seconds: Decimal) -> str:
    """Return *seconds* like ``0:41`` or ``1:02:03``.

    >>> _clock(Decimal("41.2")), _clock(Decimal(3723))
    ('0:41', '1:02:03')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
