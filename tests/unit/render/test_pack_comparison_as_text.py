"""The comparison of two packs as text."""

from __future__ import annotations

from typing import Any

from clockwork_nb.render.packs import diff_text


def side(**fields: Any) -> dict[str, Any]:
    known = {"file_name": "a.zip", "manifest_sha256": "ab" * 32, "job_id": "job_a", "count": 3, "verified": True}
    return {**known, **fields}


def test_what_differs_in_the_outcome_comes_in_the_order_of_the_packs() -> None:
    before = {"status": "blocked_decision", "final": False, "tainted": False, "producer_version": "clockwork_nb 0.1.0"}
    after = {
        "note": "x",
        "producer_version": "clockwork_nb 0.2.0",
        "final": True,
        "status": "completed",
        "tainted": False,
    }
    text = diff_text(
        {
            "a": side(),
            "b": side(file_name="b.zip", count=5),
            "relation": "extends",
            "common": 3,
            "identical": False,
            "differences": {"outcome": {"a": before, "b": after}},
        }
    )
    outcome = text.split("Outcome\n")[1].splitlines()
    assert [line[2:16].rstrip() for line in outcome] == ["status", "final", "made by", "note"]
    assert outcome[0].endswith("blocked_decision → completed")
    assert outcome[2].endswith(" clockwork_nb 0.1.0 → clockwork_nb 0.2.0")
    assert "B is the longer log of the same job; the first 3 events are the same" in text
