"""A pack that Wrkr wrote: intact at best, and the report says what such a pack cannot show."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.jobpack.manifest import build_manifest
from tests.conformance.packs import rawzip, samples
from tests.conformance.packs.tamper import Files, code, manifest_bytes, pack, unpack, verify

ENVELOPE = {
    "created_at": "2026-11-21T23:34:03.888041261Z",
    "job_id": "job_demo_1",
    "producer_version": "dev",
    "schema_version": "v1",
}


def line(schema: str, **fields: object) -> bytes:
    return canonical_json({**ENVELOPE, "schema_id": schema, **fields}) + b"\n"


def event(number: int, kind: str, **payload: object) -> bytes:
    return line("wrkr.event", event_id=f"evt_{number}", executed=True, payload=payload, type=kind)


def wrkr_files() -> Files:
    facts = {
        "type": "decision-needed", "summary": "review", "status": "running", "reason_codes": [],
        "budget_state": {"retry_count": 0, "step_count": 1, "tool_call_count": 0, "wall_time_seconds": 0},
        "artifacts_delta": {"added": ["reports/demo.md"], "changed": [], "removed": []},
        "required_action": {"instructions": "review", "kind": "approve"},
    }  # fmt: skip
    counters = {"retry_count": 0, "step_count": 1, "tool_call_count": 0}
    approval = line("wrkr.approval_record", checkpoint_id="cp_3", reason="ok", approved_by="alice")
    return {
        "events.jsonl": event(1, "job_initialized", status="queued")
        + event(2, "status_changed", **{"from": "queued", "to": "running"})
        + event(3, "checkpoint_emitted", **facts)
        + event(4, "adapter_step", step_id="plan")
        + event(5, "counters_updated", **counters)
        + event(6, "approval_recorded", **parse_json(approval))
        + event(7, "status_changed", **{"from": "running", "to": "completed"}),
        "checkpoints.jsonl": line("wrkr.checkpoint", checkpoint_id="cp_3", **facts),
        "approvals.jsonl": approval,
        "job.json": line("wrkr.job", name="job_demo_1", status="completed", budgets=counters)[:-1],
        "artifacts_manifest.json": line(
            "wrkr.artifacts_manifest",
            capture_mode="reference-only",
            artifacts=[{"path": "reports/demo.md", "sha256": sha256_hex(b"reference:reports/demo.md")}],
        )[:-1],
    }


def with_manifest(files: Files) -> Files:
    return {
        **files,
        "manifest.json": build_manifest(
            job_id="job_demo_1",
            created_at=ENVELOPE["created_at"],
            producer_version="dev",
            files={name: sha256_hex(data) for name, data in files.items()},
        ),
    }


def test_a_good_wrkr_pack_is_intact_and_no_more() -> None:
    data = rawzip.write_wrkr(with_manifest(wrkr_files()))
    report = verify(data, require="integrity", file_name="jobpack_job_demo_1.zip")
    assert (report.headline, report.level, report.profile, report.failure) == ("INTACT", "integrity", "wrkr", None)
    assert (report.job_id, report.status, report.count) == ("job_demo_1", "completed", 7)
    assert any("signature" in text for text in report.missing)
    assert any("hash-chained" in text for text in report.missing)
    assert code(verify(data)) == "E_SIG_REQUIRED"


def test_names_pins_and_hashes_count_for_wrkr_packs_too() -> None:
    data = rawzip.write_wrkr(with_manifest(wrkr_files()))
    assert code(verify(data, require="integrity", file_name="jobpack_job_x.zip")) == "E_EVIDENCE_INCONSISTENT"
    assert code(verify(data, require="integrity", expect_job="job_x")) == "E_EVIDENCE_INCONSISTENT"
    assert code(verify(data, require="integrity", expect_manifest="0" * 64)) == "E_VERIFY_HASH_MISMATCH"


def dropped(name: str) -> Callable[[Files], Files]:
    return lambda files: {key: value for key, value in files.items() if key != name}


def replaced(name: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        assert old in files[name]
        return {**files, name: files[name].replace(old, new)}

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (dropped("events.jsonl"), "E_PACK_MISSING"),
        (dropped("job.json"), "E_PACK_MISSING"),
        (lambda files: {**files, "ext/evil.json": b"{}"}, "E_PACK_UNDECLARED"),
        (replaced("job.json", b"completed", b"banana"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("job.json", b"job_demo_1", b"job_demo_2"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("job.json", b'{"budgets"', b'{"name":"x","budgets"'), "E_EVIDENCE_INCONSISTENT"),
        (replaced("events.jsonl", b"evt_4", b"evt_5"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("events.jsonl", b'"executed":true', b'"evil":1,"executed":true'), "E_EVIDENCE_INCONSISTENT"),
        (replaced("events.jsonl", b"checkpoint_emitted", b"checkpoint_omitted"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("checkpoints.jsonl", b"cp_3", b"cp_4"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("approvals.jsonl", b"cp_3", b"cp_9"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("checkpoints.jsonl", b'"decision-needed"', b'"whatever"'), "E_EVIDENCE_INCONSISTENT"),
        (replaced("checkpoints.jsonl", b'"summary":"review"', b'"summary":"looked at"'), "E_EVIDENCE_INCONSISTENT"),
        (replaced("checkpoints.jsonl", b"reports/demo.md", b"reports/else.md"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("approvals.jsonl", b"alice", b"mallory"), "E_EVIDENCE_INCONSISTENT"),
        (dropped("approvals.jsonl"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("job.json", b'"step_count":1', b'"step_count":9'), "E_EVIDENCE_INCONSISTENT"),
        (replaced("job.json", b"2026-11-21T", b"2026-21-11T"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("artifacts_manifest.json", b"reports/demo.md", b"reports/else.md"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("artifacts_manifest.json", b"reference-only", b"raw"), "E_EVIDENCE_INCONSISTENT"),
        (replaced("artifacts_manifest.json", b'"sha256":"d3', b'"sha256":"3d'), "E_EVIDENCE_INCONSISTENT"),
        (lambda files: {**files, "events.jsonl": files["events.jsonl"][:-1]}, "E_EVIDENCE_INCONSISTENT"),
        (replaced("events.jsonl", b'"event_id":', b'"event_id": '), "E_EVIDENCE_INCONSISTENT"),
        (lambda files: {**files, "job.json": files["job.json"] + b"\n"}, "E_EVIDENCE_INCONSISTENT"),
    ],
)
def test_what_wrkr_itself_lets_pass_is_refused(change: Callable[[Files], Files], expected: str) -> None:
    data = rawzip.write_wrkr(with_manifest(change(wrkr_files())))
    assert code(verify(data, require="integrity")) == expected


def test_a_manifest_that_lists_nothing_is_refused() -> None:
    files = with_manifest({})
    assert code(verify(rawzip.write_wrkr(files), require="integrity")) == "E_PACK_MISSING"


def test_every_byte_of_a_wrkr_archive_counts() -> None:
    data = rawzip.write_wrkr(with_manifest(wrkr_files()))
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        assert verify(bytes(changed), require="integrity").exit_code == 2, place


def test_our_pack_stripped_to_the_contract_files_is_no_wrkr_pack() -> None:
    files = unpack(pack(samples.small_job()).data)
    bare = {name: data for name, data in files.items() if not name.startswith("clockwork/") and name != "manifest.json"}
    document = {
        **ENVELOPE, "job_id": "job_small", "schema_id": "wrkr.jobpack_manifest",
        "files": [{"path": name, "sha256": sha256_hex(bare[name])} for name in sorted(bare)],
    }  # fmt: skip
    data = rawzip.write_wrkr({**bare, "manifest.json": manifest_bytes(document)})
    assert code(verify(data)) == "E_SIG_REQUIRED"
    report = verify(data, require="integrity")
    assert (report.headline, report.profile) == ("INTACT", "wrkr")
    assert report.missing
