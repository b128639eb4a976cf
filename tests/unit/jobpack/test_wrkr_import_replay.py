"""A Wrkr job folder replayed by Wrkr's rules: its state, and every place where a rule was broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack import wrkr_job
from clockwork_nb.jobpack.wrkr_job import WrkrJob, read_job
from clockwork_nb.jobpack.wrkr_log import Finding
from tests.conformance.wrkr.folders import (
    REAL_CONFIG,
    REAL_SNAPSHOT,
    SAMPLES,
    WrkrFolder,
    cancel_race,
    canceled_too_late,
    decision,
    demo,
    go_json,
    passed_over,
    poisoned,
    restarted,
    torn,
    wrap,
)


def job_of(folder: WrkrFolder, **files: bytes) -> WrkrJob:
    return read_job(
        folder.job_id, folder.files() | {name.replace("_json", ".json"): data for name, data in files.items()}
    )


def codes(job: WrkrJob) -> list[str]:
    return [finding.code for finding in job.findings]


def one(job: WrkrJob, code: str) -> Finding:
    (found,) = [finding for finding in job.findings if finding.code == code]
    return found


@pytest.mark.parametrize(
    ("name", "status", "shown"),
    [
        ("demo", "completed", "completed"),
        ("decision", "completed", "completed"),
        ("blocked", "blocked_decision", "blocked_decision"),
        ("approved", "blocked_decision", "blocked_decision"),
        ("wrap", "completed", "completed"),
        ("wrap-failed", "blocked_error", "blocked_error"),
        ("cancel-race", "canceled", "blocked_decision"),
        ("canceled-too-late", "canceled", "canceled"),
        ("passed-over", "completed", "completed"),
        ("torn", "blocked_decision", "blocked_decision"),
        ("poisoned", "blocked_decision", ""),
        ("restarted", "canceled", "completed"),
    ],
)
def test_every_kind_of_folder_has_the_status_of_its_log(name: str, status: str, shown: str) -> None:
    job = job_of(SAMPLES[name]())
    assert (job.state.status, job.wrkr_status) == (status, shown)


@pytest.mark.parametrize("name", ["demo", "decision", "blocked", "approved", "wrap", "wrap-failed"])
def test_a_sound_folder_has_no_findings(name: str) -> None:
    assert job_of(SAMPLES[name]()).findings == ()


def test_the_state_of_a_job_with_a_decision() -> None:
    waiting = job_of(decision(until="blocked")).to_document()
    assert waiting["waiting"] == [
        {
            "checkpoint_id": "cp_11",
            "summary": "request manager approval",
            "required_action": {"kind": "approve", "instructions": "review and approve step review"},
            "created_at": waiting["waiting"][0]["created_at"],
        }
    ]
    assert (waiting["steps"], waiting["next_step_index"], waiting["adapter"]) == ([2, 3], 2, "reference")
    assert waiting["counters"] == {"retry_count": 0, "step_count": 2, "tool_call_count": 1}
    limits = {"wall_time_seconds": 3600, "retry_count": 2, "step_count": 20, "tool_call_count": 200}
    assert waiting["limits"] == limits
    assert (waiting["lease"], waiting["final"]) == (None, False)
    done = job_of(decision()).to_document()
    assert (done["steps"], done["waiting"], done["final"]) == ([3, 3], [], True)
    assert [(a["checkpoint_id"], a["approved_by"], a["reason"]) for a in done["approvals"]] == [
        ("cp_11", "alice", "ok")
    ]
    assert done["acceptance"] == {"checks_run": 5, "checks_passed": 2}
    assert done["environment"]["rules"] == ["arch", "go_version", "os"]


def test_a_held_lease_is_shown() -> None:
    folder = demo()
    folder.lease()
    assert job_of(folder).to_document()["lease"]["worker_id"] == "dispatch-28499"


def test_the_snapshot_that_wrkr_printed_fits_a_log_of_that_job() -> None:
    folder = demo()
    started = REAL_SNAPSHOT["state"]["started_at"].encode()
    log = folder.files()["events.jsonl"].replace(folder.state["started_at"].encode(), started)
    job = read_job("job_demo_1795304043", {"events.jsonl": log, "snapshot.json": go_json(REAL_SNAPSHOT, indent=True)})
    assert job.findings == ()


def test_the_configuration_that_wrkr_printed_is_read() -> None:
    config = job_of(demo(), runtime_config_json=go_json(REAL_CONFIG, indent=True)).config
    assert config is not None
    assert (config.adapter, config.next_step_index, config.steps) == ("reference", 2, 1)


def test_a_lost_update_is_told_field_by_field() -> None:
    finding = one(job_of(cancel_race()), "snapshot_differs")
    assert (finding.field, finding.file, finding.severity) == ("status", "snapshot.json", "contradiction")
    assert finding.message == "status is 'blocked_decision'; at event 15 the log says 'canceled'"


def test_a_snapshot_ahead_of_its_log_is_told() -> None:
    finding = one(job_of(restarted()), "snapshot_ahead")
    assert finding.seq == 7
    assert "ends at 2" in finding.message
    folder = demo()
    folder.log.clear()
    assert "snapshot_ahead" in codes(job_of(folder))


def test_a_snapshot_behind_its_log_is_only_noted() -> None:
    folder = decision(until="blocked")
    folder.save = False
    folder.move("running")
    job = job_of(folder)
    assert [(f.code, f.severity) for f in job.findings if f.file == "snapshot.json"] == [("snapshot_behind", "note")]
    assert (job.state.status, job.wrkr_status) == ("running", "running")


def test_a_step_after_the_end_and_a_step_nobody_confirmed() -> None:
    job = job_of(canceled_too_late())
    assert one(job, "step_after_end").seq == 7
    assert one(job, "step_unconfirmed").severity == "note"


def test_a_decision_that_was_passed_over_is_told_once() -> None:
    finding = one(job_of(passed_over()), "decision_skipped")
    assert "cp_11" in finding.message
    assert finding.seq == 16


def test_a_wait_for_a_decision_that_was_not_recorded_is_told() -> None:
    folder = WrkrFolder("silent")
    folder.init()
    folder.move("running")
    folder.move("blocked_decision")
    assert codes(job_of(folder)) == ["decision_missing"]


def test_torn_and_poisoned_logs_say_where_and_keep_what_stands_before() -> None:
    job = job_of(torn())
    assert codes(job) == ["torn_tail"]
    assert (len(job.log.events), job.final) == (13, False)
    job = job_of(poisoned())
    assert codes(job) == ["broken_line", "glued_record", "snapshot_ahead"]
    assert one(job, "glued_record").seq == 14
    assert job.log.readable == one(job, "broken_line").offset
    assert job.to_document()["wrkr_status"] == ""


def test_a_second_job_in_one_folder_is_told() -> None:
    folder = demo()
    folder.init()
    assert codes(job_of(folder)) == ["reinitialised"]


@pytest.mark.parametrize("before", ["queued", "running", "paused", "blocked_decision", "blocked_error", "completed"])
@pytest.mark.parametrize("after", ["queued", "running", "paused", "blocked_error", "completed", "canceled"])
def test_moves_that_wrkr_forbids_are_applied_and_told(before: str, after: str) -> None:
    allowed = {
        "queued": {"running", "canceled"},
        "running": {"paused", "blocked_decision", "blocked_budget", "blocked_error", "completed", "canceled"},
        "paused": {"running", "blocked_error", "canceled"},
        "blocked_decision": {"running", "blocked_error", "canceled"},
        "blocked_error": {"running", "canceled"},
        "completed": set(),
    }[before]
    folder = WrkrFolder("moves")
    folder.init()
    folder.state["status"] = before
    folder.append("job_initialized", {"status": before, "started_at": folder.state["started_at"]})
    folder.move(after)
    job = job_of(folder)
    assert job.state.status == after
    assert ("illegal_transition" in codes(job)) == (after not in allowed)


def test_a_move_from_another_status_is_told() -> None:
    folder = demo()
    folder.state["status"] = "running"
    folder.move("paused")
    assert codes(job_of(folder)) == ["from_differs", "illegal_transition"]


def test_unknown_events_are_kept_and_told_and_have_no_effect() -> None:
    folder = decision(until="blocked")
    folder.append("quota_granted", {"status": "completed"})
    job = job_of(folder)
    assert one(job, "unknown_type").seq == 14
    assert (job.state.status, job.wrkr_status, len(job.log.events)) == ("blocked_decision", "", 14)


BAD_PAYLOADS: list[tuple[str, dict[str, Any]]] = [
    ("status_changed", {"from": "completed", "to": "banana"}),
    ("status_changed", {"from": "completed", "to": 5}),
    ("status_changed", {}),
    ("counters_updated", {"step_count": -1}),
    ("counters_updated", {"step_count": "1"}),
    ("counters_updated", {"step_count": 1.5}),
    ("counters_updated", {"step_count": True}),
    ("lease_set", {"worker_id": "w", "lease_id": "l", "acquired_at": "yesterday"}),
    ("lease_released", {"lease_id": 7}),
    ("env_fingerprint_set", {"rules": [1], "values": {}, "hash": ""}),
    ("env_fingerprint_set", {"rules": ["os"], "values": [], "hash": ""}),
    ("idempotency_recorded", {"key": []}),
    ("job_initialized", {"status": "queued"}),
    ("adapter_step", {"step_index": -1}),
    ("adapter_step", {"step_index": 0, "executed": "yes"}),
    ("checkpoint_emitted", {"type": "plan", "summary": ""}),
    ("checkpoint_emitted", {"type": "wish", "summary": "x"}),
    ("approval_recorded", {"checkpoint_id": "cp_1", "reason": "ok"}),
]


@pytest.mark.parametrize(("kind", "payload"), BAD_PAYLOADS)
def test_a_payload_that_does_not_fit_has_no_effect_and_is_told(kind: str, payload: dict[str, Any]) -> None:
    folder = demo()
    before = job_of(folder).to_document()
    folder.save = False
    seq = folder.append(kind, payload)
    job = job_of(folder)
    assert one(job, "bad_payload").seq == seq
    after = job.to_document()
    assert {**after, "last_at": "", "wrkr_status": ""} == {**before, "last_at": "", "wrkr_status": ""}


def test_null_lists_are_empty_as_go_has_them() -> None:
    folder = demo()
    payload = {
        "type": "progress", "summary": "x", "status": "completed", "reason_codes": None, "required_action": None,
        "budget_state": {"wall_time_seconds": 0, "retry_count": 0, "step_count": 0, "tool_call_count": 0},
        "artifacts_delta": {"added": None, "changed": ["a"]},
    }  # fmt: skip
    folder.append("checkpoint_emitted", payload)
    document = job_of(folder).state.checkpoints[-1].document
    assert document["artifacts_delta"] == {"added": [], "changed": ["a"], "removed": []}
    assert document["reason_codes"] == []
    assert "required_action" not in document


def test_approvals_of_nothing_and_of_other_jobs() -> None:
    folder = decision(until="blocked")
    folder.approve("cp_3")
    folder.approve("cp_11", job_id="another")
    job = job_of(folder)
    assert one(job, "approval_of_nothing").seq == 14
    assert "another" in one(job, "bad_payload").message
    assert [record["checkpoint_id"] for record in job.to_document()["waiting"]] == ["cp_11"]


def test_a_fingerprint_that_is_not_of_its_values_and_values_in_clear() -> None:
    folder = WrkrFolder("env")
    folder.init({"os": "linux", "env:TOKEN": "hunter2", "env:UNSET": ""})
    job = job_of(folder)
    assert [(f.code, f.severity) for f in job.findings] == [("value_in_clear", "note")]
    assert "env:TOKEN" in job.findings[0].message
    assert "hunter2" not in json.dumps([finding.to_document() for finding in job.findings])
    folder.append("env_override_recorded", {"rules": ["os"], "values": {"os": "plan9"}, "actual_hash": "0" * 64})
    assert "fingerprint_hash" in codes(job_of(folder))


def test_a_cursor_ahead_of_its_log_is_told() -> None:
    folder = decision()
    folder.configure(["plan", "review", "write", "more"], 7)
    job = job_of(folder)
    assert one(job, "cursor_ahead").file == "runtime_config.json"
    assert job.to_document()["steps"] == [4, 4]


@pytest.mark.parametrize("name", ["snapshot.json", "runtime_config.json", "accept_result.json"])
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"last_seq":"7","next_step_index":"0"}', b"{" * 5000, b'{"a":1,"a":2}']
)
def test_a_file_that_cannot_be_read_is_told_and_the_log_still_counts(name: str, data: bytes) -> None:
    folder = decision()
    job = read_job("dec", folder.files() | {name: data})
    assert one(job, "file_unreadable").file == name
    assert job.state.status == "completed"
    assert len(job.log.events) == 22


def test_the_job_is_the_one_its_files_name() -> None:
    job = read_job("a copy of it", decision().files())
    assert (job.job_id, codes(job)) == ("dec", ["folder_renamed"])
    other = decision().files() | {"accept_result.json": decision("other").accept or b""}
    job = read_job("dec", other)
    assert (job.job_id, codes(job), job.acceptance) == ("dec", ["other_job"], None)
    only_log = {"events.jsonl": decision().files()["events.jsonl"]}
    assert read_job("renamed", only_log).job_id == "dec"  # its approval says so
    assert read_job("my.Job_1", {"events.jsonl": demo().files()["events.jsonl"]}).job_id == "my.Job_1"
    for name in ("", "a b", "..", "x" * 201, "a/b", "é"):
        with pytest.raises(InvalidInputError, match="which job"):
            read_job(name, {"events.jsonl": demo().files()["events.jsonl"]})


def test_a_missing_log_is_told() -> None:
    assert codes(read_job("j", {"snapshot.json": go_json(demo().snapshot)})) == [
        "file_missing", "folder_renamed", "snapshot_ahead",
    ]  # fmt: skip


def test_findings_are_capped_and_the_cap_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrkr_job, "_MOST_FINDINGS", 3)
    folder = demo()
    for _ in range(5):
        folder.append("nonsense")
    job = job_of(folder)
    assert codes(job) == ["unknown_type"] * 3 + ["more_findings"]
    assert "2 more" in job.findings[-1].message


def test_the_adapter_is_the_configurations_else_the_logs() -> None:
    folder = decision()
    assert folder.config is not None
    folder.config["adapter"] = "noop"
    assert job_of(folder).to_document()["adapter"] == "noop"
    folder.config = None
    assert job_of(folder).to_document()["adapter"] == "reference"
    assert job_of(wrap()).to_document()["adapter"] == ""


def test_wrkr_shows_what_the_snapshot_says_of_the_event_it_was_made_at() -> None:
    folder = decision(until="blocked")
    stale = dict(folder.state)
    folder.move("canceled")
    folder.save_snapshot(stale)
    assert job_of(folder).wrkr_status == "blocked_decision"
    folder.save = False
    folder.checkpoint("progress", "later")
    assert job_of(folder).wrkr_status == "blocked_decision"


def test_a_file_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    files = wrap().files()
    monkeypatch.setattr(wrkr_job, "MAX_FILE", len(files["snapshot.json"]))
    assert read_job("job_wrap_1", files).findings == ()
    monkeypatch.setattr(wrkr_job, "MAX_FILE", len(files["snapshot.json"]) - 1)
    with pytest.raises(InvalidInputError, match="bytes"):
        read_job("job_wrap_1", files)


@pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
def test_records_of_findings_hold_no_text_of_the_log(make: Callable[[], WrkrFolder]) -> None:
    for finding in job_of(make()).findings:
        assert set(finding.to_record()) <= {"code", "severity", "file", "seq", "line", "offset", "field"}
        assert finding.to_document() == {**finding.to_record(), "message": finding.message}
