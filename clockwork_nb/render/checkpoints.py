"""Checkpoints as people read them: a table, and one in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.render.text import clip, pad, plural, visible

__all__ = ["checkpoint_text", "checkpoints_text"]


def checkpoints_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the checkpoints (``wrkr.checkpoint`` records) one a line, without a line end at the end."""
    if not records:
        return "No checkpoints."
    wide = max(len(record["checkpoint_id"]) for record in records)
    return "\n".join(
        f"{pad(record['checkpoint_id'], wide)}  {record['created_at'][11:19]}  {pad(record['type'], 15)}  "
        f"{pad(record['status'], 16)}  {clip(visible(record['summary']), 96)}".rstrip()
        for record in records
    )


def checkpoint_text(record: Mapping[str, Any]) -> str:
    """Return one checkpoint in full, without a line end at the end."""
    budget, delta = record["budget_state"], record["artifacts_delta"]
    rows = [
        ("Type", record["type"]),
        ("At", record["created_at"]),
        ("Status", record["status"]),
        ("Summary", visible(record["summary"], keep="\n").replace("\n", "\n" + " " * 10)),
        ("Codes", ", ".join(visible(code) for code in record["reason_codes"])),
        ("Used", f"{plural(budget['step_count'], 'step')}, {budget['wall_time_seconds']} s"),
    ]
    for word, paths in (("Added", delta["added"]), ("Changed", delta["changed"]), ("Removed", delta["removed"])):
        rows.append((word, ", ".join(visible(path) for path in paths)))
    action = record.get("required_action")
    if action:
        rows.append(("Needs", visible(action.get("kind", ""))))
        rows.append(("", visible(action.get("instructions", ""))))
    lines = [f"{visible(record['checkpoint_id'])} of job {visible(record['job_id'])}"]
    return "\n".join([*lines, *(f"{pad(word, 10)}{text}" for word, text in rows if text)])
