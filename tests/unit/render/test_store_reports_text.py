"""Reports of the store as text: every finding with its place and what to do, nothing that a terminal obeys."""

from __future__ import annotations

from clockwork_nb.render.stores import check_text, pruned_text, repair_plan_text, repaired_text

FINDING = {
    "severity": "error",
    "where": "events.jsonl",
    "reason": "midfile",
    "message": "a record's hash does not fit its content",
    "action": "clockwork store repair job_a --to-last-valid --reason …",
    "offset": 812,
    "seq": 4,
}
JOB = {"job_id": "job_a", "ok": False, "status": "running", "events": 3, "tainted": True, "findings": [FINDING]}


def test_a_check_names_place_reason_and_what_to_do() -> None:
    whole = {"job_id": "job_b", "ok": True, "status": "completed", "events": 9, "tainted": False, "findings": []}
    text = check_text({"home": "/h", "jobs": [JOB, whole], "store": []})
    assert text.splitlines() == [
        "job_a   running   3 events   tainted",
        "  damaged  events.jsonl byte 812 record 4: a record's hash does not fit its content (midfile)",
        "           clockwork store repair job_a --to-last-valid --reason …",
        "",
        "2 jobs read, 1 damaged",
    ]
    assert check_text({"home": "/h", "jobs": [whole], "store": []}) == "1 job read, none damaged"


def test_names_and_messages_cannot_reach_the_terminal() -> None:
    evil = {**FINDING, "severity": "warning", "where": "\x1b[2Jfile", "message": "a\u202eb", "action": "rm \x07"}
    texts = [check_text({"home": "/\x1b[31m", "jobs": [{**JOB, "findings": [evil]}], "store": [evil]}, color=False)]
    loss = {"bytes": 5, "events": 1, "types": {"x": 1}, "last_at": "\x1b]0;t\x07", "completed_steps": ["\x9b1m"] * 9}
    plan = {
        "job_id": "job_a",
        "kind": "cut",
        "finding": "\x1b[1m",
        "offset": 1,
        "kept": 1,
        "loss": loss,
        "taints": True,
    }
    texts.append(repair_plan_text(plan))
    entry = {"kind": "jobpack", "path": "/\x1b[1m", "size_bytes": 1, "reason": "\x07", "kept": "\x1b[0m"}
    texts.append(pruned_text({"removed": [entry], "kept": [entry], "dry_run": True, "freed_bytes": 1}))
    for text in texts:
        assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert "steps were done: " in texts[1] and texts[1].count("\\x9b1m") == 8


def test_a_repair_says_what_it_kept_and_what_comes_next() -> None:
    done = {"job_id": "job_a", "kept": 14, "epoch": 2, "saved": "events.jsonl.broken-1"}
    assert repaired_text(done).splitlines() == [
        "job_a is repaired: 14 records kept, epoch 2",
        "the log as it was: events.jsonl.broken-1",
        "Next      clockwork job status job_a",
    ]
