"""Whatever is in a Wrkr job folder: it is refused, or its pack verifies here and passes Wrkr's own verify."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack.wrkr_export import export_import
from clockwork_nb.jobpack.wrkr_job import FILES, read_job
from clockwork_nb.render.imported import import_text
from tests.conformance.packs.samples import KEY
from tests.conformance.packs.tamper import verify
from tests.conformance.wrkr.folders import SAMPLES, Files, go_json
from tests.conformance.wrkr.wrkr_verify import wrkr_verify

SOUND = [make() for make in SAMPLES.values()]
KINDS = (
    "job_initialized", "env_fingerprint_set", "env_override_recorded", "status_changed", "counters_updated",
    "idempotency_recorded", "lease_set", "lease_released", "checkpoint_emitted", "approval_recorded", "adapter_step", "odd",
)  # fmt: skip
KEYS = (
    "status", "from", "to", "rules", "values", "hash", "started_at", "step_count", "retry_count", "tool_call_count",
    "worker_id", "lease_id", "expires_at", "type", "summary", "budget_state", "artifacts_delta", "added", "changed",
    "required_action", "kind", "reason_codes", "job_id", "checkpoint_id", "reason", "approved_by", "step_id",
    "step_index", "executed", "schema_id", "schema_version", "created_at", "producer_version",
)  # fmt: skip
WORDS = (
    "queued", "running", "completed", "canceled", "blocked_decision", "plan", "decision-needed", "cp_5", "dec", "v1",
    "wrkr.approval_record", "2026-11-21T23:34:03.5Z", "", "a/b.md", "\u202e\x1b", "é\U0001f600", "x" * 2001,
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-2, 2**53) | st.sampled_from(WORDS) | st.floats(allow_nan=False)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
STAMPS = st.sampled_from(
    ["2026-11-21T23:34:03Z", "2026-11-21T23:34:03.120+02:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"]
)


def check(name: str, files: Files) -> None:
    """Assert the law of this module for one folder."""
    try:
        job = read_job(name, files)
        pack = export_import(job, files, key=KEY)
    except InvalidInputError:
        return
    assert export_import(read_job(name, files), files, key=KEY).data == pack.data
    assert wrkr_verify(pack.data)[0] == 0
    report = verify(pack.data, file_name=pack.name)
    assert report.failure is None
    assert (report.headline, report.status) == ("VERIFIED signed import", job.state.status)
    text = import_text(
        {
            **job.to_document(),
            "events": pack.count,
            "log": {"bytes": job.log.size, "readable_bytes": job.log.readable},
            "findings": [finding.to_document() for finding in job.findings],
            "remarks": [],
            "next": [],
        }
    )
    assert not set(text) & set("\x1b\u202e\x07")


@given(st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_folders_with_bytes_changed_anywhere(data: st.DataObject) -> None:
    folder = data.draw(st.sampled_from(SOUND))
    files = dict(folder.files())
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted(files)))
        content = files[name]
        at = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 40))
        files[name] = content[:at] + data.draw(st.binary(max_size=12)) + content[at + cut :]
    check(folder.job_id, files)


@given(st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_logs_with_lines_moved_dropped_and_doubled(data: st.DataObject) -> None:
    folder = data.draw(st.sampled_from(SOUND))
    lines = bytes(folder.log).splitlines(keepends=True)
    chosen = data.draw(st.lists(st.sampled_from(lines), max_size=30))
    files = {name: content for name, content in folder.files().items() if data.draw(st.booleans()) or name == FILES[1]}
    check(folder.job_id, files | {"events.jsonl": b"".join(chosen)})


@given(st.lists(st.tuples(st.integers(1, 20), STAMPS, st.sampled_from(KINDS), VALUES), max_size=12), st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_logs_of_arbitrary_records(records: list[tuple[int, str, str, Any]], data: st.DataObject) -> None:
    log = b"".join(
        go_json({"seq": seq, "created_at": at, "type": kind, "payload": payload}) + b"\n"
        for seq, at, kind, payload in records
    )
    files = {"events.jsonl": log}
    for name in FILES:
        if name != "events.jsonl" and data.draw(st.booleans()):
            document = data.draw(st.dictionaries(st.sampled_from((*KEYS, "state", "last_seq", "budgets")), VALUES))
            files[name] = canonical_json({k: v for k, v in document.items() if _exact(v)})
    check("job", files)


def _exact(value: Any) -> bool:
    try:
        canonical_json(value)
    except InvalidInputError:
        return False
    return True
