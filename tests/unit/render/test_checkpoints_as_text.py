"""Checkpoints for people: aligned, in full, and with nothing in them that could deceive a terminal."""

from __future__ import annotations

from typing import Any

from clockwork_nb.render.checkpoints import checkpoint_text, checkpoints_text


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "checkpoint_id": f"cp_{number}", "job_id": "job_a", "created_at": "2026-11-22T01:02:03.5Z", "type": "progress",
        "status": "running", "summary": "half way", "reason_codes": ["X"],
        "budget_state": {"step_count": 3, "wall_time_seconds": 7, "retry_count": 0, "tool_call_count": 3},
        "artifacts_delta": {"added": ["out/a"], "changed": [], "removed": []}, **more,
    }  # fmt: skip


def test_a_table_has_one_line_for_each() -> None:
    assert checkpoints_text([record(9), record(12, type="decision-needed", summary="x" * 200)]).splitlines() == [
        "cp_9   01:02:03  progress         running           half way",
        "cp_12  01:02:03  decision-needed  running           " + "x" * 95 + "…",
    ]
    assert checkpoints_text([]) == "No checkpoints."


def test_one_is_shown_in_full() -> None:
    action = {"kind": "approval", "instructions": "clockwork approve"}
    text = checkpoint_text(record(9, summary="two\nlines", required_action=action))
    assert text.splitlines() == [
        "cp_9 of job job_a",
        "Type      progress",
        "At        2026-11-22T01:02:03.5Z",
        "Status    running",
        "Summary   two",
        "          lines",
        "Codes     X",
        "Used      3 steps, 7 s",
        "Added     out/a",
        "Needs     approval",
        "          clockwork approve",
    ]


def test_hostile_text_is_made_visible() -> None:
    made = record(9, summary="\x1b[2J\u202e", reason_codes=["\x07"])
    for text in (checkpoints_text([made]), checkpoint_text(made)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\x07" not in text
