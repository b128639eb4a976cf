"""Whatever is done to a pack it is refused without a crash; whatever a log says its pack is canonical and verifies."""

from __future__ import annotations

import base64
import json
from typing import Any

import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.jobpack.layout import NATIVE_EVENTS
from clockwork_nb.jobpack.plain import plain_json
from tests.conformance.packs import cases, evidence_cases, samples
from tests.conformance.packs.tamper import pack, resign, unpack, verify, zipped

GOOD = pack(samples.small_job()).data
SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Text as the log allows it: no U+0000, no half surrogates; with everything that breaks careless readers.
texts = st.text(
    st.one_of(st.characters(codec="utf-8", exclude_characters="\x00"), st.sampled_from('\u2028\u2029\x85"\\/\x1f😀é')),
    min_size=1,
    max_size=40,
)


@SETTINGS
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 60), st.binary(max_size=60)), min_size=1, max_size=4)
)
def test_a_pack_with_replaced_stretches_never_verifies_and_never_raises(edits: list[tuple[int, int, bytes]]) -> None:
    data = GOOD
    for place, length, new in edits:
        data = data[:place] + new + data[place + length :]
    report = verify(data, require="integrity")
    assert (report.exit_code == 0) == (data == GOOD)
    json.dumps(report.to_document())


@SETTINGS
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    assert verify(data, require="integrity").exit_code == 2
    assert verify(GOOD[:30] + data + GOOD[-22:], require="integrity").exit_code == 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=texts, objective=texts, cell=texts, reason=texts, path=texts, output=st.binary(max_size=200))
def test_any_text_in_the_log_gives_canonical_files_and_a_pack_that_verifies(
    name: str, objective: str, cell: str, reason: str, path: str, output: bytes
) -> None:
    job = samples.Job(job_id="job_fuzz", name=name)
    job.add("job.created", name=name, adapter="notebook", objective=objective, spec="")
    job.add("lease.taken", runner_id="r", host_id=cell[:16], ttl_ms=1, tool_version="0.1.0", takeover=False)
    job.add("env.captured", rules=[{"rule": name, "value": reason}, {"rule": path, "value": ""}], hash="0" * 64)
    job.add("job.status", from_="queued", to="running", reason=reason)
    job.add("cell.started", cell=cell, index=0)
    job.add("cell.failed", cell=cell, index=0, error=name, message=reason)
    job.add("artifact.published", path=path, op="added", blob=job.blob(output))
    job.add("checkpoint", kind="blocked", summary=reason, reason_codes=[name])
    job.add("budget.raised", dimension="tokens", limit="5", by=cell, reason=objective)
    made = pack(job)
    files = unpack(made.data)
    for entry, data in files.items():
        if entry.endswith((".json", ".jsonl")):
            for line in data.split(b"\n") if entry.endswith("l") else [data]:
                assert not line or rfc8785.dumps(parse_json(line)) == line, entry
    envelope = parse_json(files["clockwork/statement.dsse.json"])
    payload = base64.b64decode(envelope["payload"])
    assert rfc8785.dumps(parse_json(payload)) == payload
    assert verify(made.data).headline == "VERIFIED signed"


plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXYZ_019@-", max_size=8), inner, max_size=4),
    max_leaves=20,
)


documents = st.fixed_dictionaries(
    {},
    optional={
        "configuration": plain_values,
        "lineage": plain_values,
        "serial": plain_values,
        "actions": plain_values
        | st.fixed_dictionaries({"steps": st.lists(st.fixed_dictionaries({"id": plain_values}))}),
        "artifacts": plain_values | st.lists(st.fixed_dictionaries({"path": plain_values, "sha256": plain_values})),
        "steps": plain_values
        | st.lists(st.fixed_dictionaries({"id": plain_values, "run": plain_values, "data": plain_values}), max_size=3),
    },
)


@SETTINGS
@given(plan=documents | plain_values, bundle=documents)
def test_hostile_plans_and_bundles_signed_by_a_trusted_key_are_refused(plan: Any, bundle: Any) -> None:
    job = evidence_cases.bound_to(plan=canonical_json(plan), bundle=canonical_json(bundle))
    files = {**cases.good(), NATIVE_EVENTS: job.log}
    files["clockwork/sections/1/plan.json"] = canonical_json(plan)
    files["clockwork/sections/1/bundle.json"] = canonical_json(bundle)
    assert verify(zipped(resign(files, job))).exit_code == 2


@SETTINGS
@given(plain_values)
def test_the_fast_encoder_agrees_with_the_general_one(value: Any) -> None:
    assert plain_json(value) == canonical_json(value) == rfc8785.dumps(value)
