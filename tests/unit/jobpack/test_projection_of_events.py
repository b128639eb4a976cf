"""How each native event reads in the contract files."""

from __future__ import annotations

from typing import Any

from clockwork_nb.canonical import parse_json
from clockwork_nb.jobpack.projection import project
from tests.conformance.packs import samples


def projected(job: samples.Job) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    _, files = project(job.header, job.events)
    lines = [parse_json(line) for line in files["events.jsonl"].split(b"\n")[:-1]]
    return lines, {name: parse_json(data) for name, data in files.items() if name.endswith(".json")}


def test_one_line_an_event_with_type_payload_and_chain() -> None:
    job = samples.sample_job()
    lines, _ = projected(job)
    assert [line["event_id"] for line in lines] == [f"evt_{n}" for n in range(1, job.seq + 1)]
    for line, event in zip(lines, job.events, strict=True):
        native = line["payload"]["clockwork"]
        assert native == {"epoch": event.epoch, "hash": event.hash, "type": event.type}
        kept = {key: value for key, value in event.payload.items() if key not in {"rules", "reason"}}
        assert line["payload"].items() >= kept.items()


def by_type(job: samples.Job, native: str) -> dict[str, Any]:
    lines, _ = projected(job)
    return next(line for line in lines if line["payload"]["clockwork"]["type"] == native)


def test_types_that_wrkr_knows_have_its_names_and_fields() -> None:
    job = samples.sample_job()
    assert by_type(job, "job.created")["payload"]["status"] == "queued"
    lease = by_type(job, "lease.taken")
    assert (lease["type"], lease["payload"]["lease_id"], lease["payload"]["worker_id"]) == (
        "lease_set",
        "lease-1",
        "run_1",
    )
    assert lease["payload"]["acquired_at"] == "2026-11-22T00:00:00.26Z"
    assert lease["payload"]["expires_at"] == "2026-11-22T00:00:30.26Z"
    env = by_type(job, "env.captured")["payload"]
    assert (env["rules"], env["values"]) == (["arch", "env:HOME"], {"arch": "x86_64", "env:HOME": "hmac:é"})
    step = by_type(job, "step.started")
    assert (step["type"], step["executed"], step["payload"]["step_index"]) == ("adapter_step", True, 0)
    assert step["payload"]["artifacts"] == ["scripts/directory.site/create_directory.sh"]
    assert step["payload"]["adapter"] == "notebook"


def test_only_skipped_steps_and_restored_cells_were_not_executed() -> None:
    lines, _ = projected(samples.sample_job())
    idle = [line["payload"]["clockwork"]["type"] for line in lines if not line["executed"]]
    assert idle == ["step.skipped", "cell.restored"]
    skipped = by_type(samples.sample_job(), "step.skipped")["payload"]
    assert (skipped["executed"], skipped["command"], skipped["artifacts"]) == (False, "", [])


def test_types_that_wrkr_does_not_know_keep_their_name_under_ours() -> None:
    lines, _ = projected(samples.sample_job())
    known = {
        "job_initialized", "status_changed", "lease_set", "lease_released", "env_fingerprint_set", "counters_updated",
        "checkpoint_emitted", "approval_recorded", "adapter_step",
    }  # fmt: skip
    for line in lines:
        assert line["type"] in known or line["type"] == "cw." + line["payload"]["clockwork"]["type"]


def test_a_checkpoint_counts_what_was_published_since_the_last_one() -> None:
    job = samples.open_job()
    job.add("artifact.published", path="b.txt", op="added", blob="1" * 64)
    job.add("artifact.published", path="a.txt", op="added", blob="2" * 64)
    job.add("budget.charged", retry_count=1, step_count=2, tool_call_count=3, active_ms=2999, tokens=0, cost="0")
    job.add("checkpoint", kind="progress", summary="one", reason_codes=["X"])
    job.add("artifact.published", path="a.txt", op="removed")
    job.add("checkpoint", kind="blocked", summary="two", reason_codes=[])
    _, files = project(job.header, job.events)
    first, second = (parse_json(line) for line in files["checkpoints.jsonl"].split(b"\n")[:-1])
    assert first["artifacts_delta"] == {"added": ["a.txt", "b.txt"], "changed": [], "removed": []}
    assert second["artifacts_delta"] == {"added": [], "changed": [], "removed": ["a.txt"]}
    assert first["budget_state"] == {"retry_count": 1, "step_count": 2, "tool_call_count": 3, "wall_time_seconds": 2}
    assert (first["checkpoint_id"], first["status"], first["type"]) == ("cp_8", "running", "progress")
    assert "required_action" not in first
    assert parse_json(files["artifacts_manifest.json"])["artifacts"] == [{"path": "b.txt", "sha256": "1" * 64}]


def test_only_a_decision_has_a_required_action_in_its_record() -> None:
    _, files = project(samples.sample_job().header, samples.sample_job().events)
    for line in files["checkpoints.jsonl"].split(b"\n")[:-1]:
        record = parse_json(line)
        assert ("required_action" in record) == (record["type"] == "decision-needed")


def test_an_approval_that_no_person_gave_says_so_where_wrkr_looks() -> None:
    _, files = project(samples.sample_job().header, samples.sample_job().events)
    button, auto = (parse_json(line) for line in files["approvals.jsonl"].split(b"\n")[:-1])
    assert (button["approved_by"], button["reason"]) == ("ops", "port move agreed")
    assert auto["reason"] == "no person approved (auto): port move agreed"


def test_a_denial_is_no_line_of_approvals() -> None:
    job = samples.open_job()
    job.add("section.opened", section=1, verb="apply", cell="", call=0, inputs="0" * 64)
    approval, checkpoint = samples.ask(job, 1, samples.bind(job, 1, samples.STEPS, serial=0))
    job.add("approval.denied", approval_id=approval, checkpoint_seq=checkpoint, by="ops", via="cli", reason="no")
    _, files = project(job.header, job.events)
    assert "approvals.jsonl" not in files


def test_published_paths_without_content_make_the_list_a_list_of_references() -> None:
    job = samples.open_job()
    job.add("artifact.published", path="a", op="added", blob="1" * 64)
    _, files = projected(job)
    assert files["artifacts_manifest.json"]["capture_mode"] == "raw"
    job.add("artifact.published", path="b", op="added")
    _, files = projected(job)
    assert files["artifacts_manifest.json"]["capture_mode"] == "reference-only"


def test_each_line_has_the_version_that_wrote_it() -> None:
    job = samples.open_job()
    job.epoch = 2
    job.add("lease.taken", runner_id="r2", host_id="h", ttl_ms=5, tool_version="0.2.0", takeover=True)
    lines, files = projected(job)
    assert {line["producer_version"] for line in lines[:-1]} == {"clockwork_nb 0.1.0"}
    assert lines[-1]["producer_version"] == files["job.json"]["producer_version"] == "clockwork_nb 0.2.0"
