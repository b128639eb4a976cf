"""A published file above the limit is named by its digest; nothing else can be left out."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.jobpack.layout import ARTIFACTS, CRATE, MAX_ARTIFACT_BYTES, NOT_INCLUDED
from tests.conformance.packs import samples
from tests.conformance.packs.samples import Job
from tests.conformance.packs.tamper import Files, code, pack, resign, unpack, verify, without, zipped

LARGE, SMALL = b"x" * 5000, b"y" * 50
BLOB = f"clockwork/blobs/{sha256_hex(LARGE)}"


def job() -> Job:
    made = samples.open_job(job_id="job_large", name="large")
    samples.apply_section(made, 1, samples.STEPS[:1], serial=0)
    made.add("artifact.published", path="data/large.bin", op="added", blob=made.blob(LARGE))
    made.add("artifact.published", path="data/small.bin", op="added", blob=made.blob(SMALL))
    samples.close_job(made)
    return made


@pytest.mark.parametrize(("most", "left_out"), [(5000, False), (4999, True), (50, True)])
def test_the_limit_itself_is_included(most: int, left_out: bool) -> None:
    made = pack(job(), most=most)
    files = unpack(made.data)
    assert (BLOB in files, NOT_INCLUDED in files) == (not left_out, left_out)
    assert [item.size for item in made.left_out] == ([5000] if left_out else [])
    report = verify(made.data)
    assert report.headline == "VERIFIED signed"
    assert [(item.name, item.sha256, item.size) for item in report.left_out] == (
        [(BLOB, sha256_hex(LARGE), 5000)] if left_out else []
    )
    assert parse_json(files[ARTIFACTS])["capture_mode"] == ("reference-only" if left_out else "raw")


def test_by_default_nothing_of_an_ordinary_size_is_left_out() -> None:
    assert MAX_ARTIFACT_BYTES == 64 << 20
    assert pack(job()).data == pack(job(), most=MAX_ARTIFACT_BYTES).data
    assert NOT_INCLUDED not in unpack(pack(job()).data)


def test_the_content_is_not_even_read() -> None:
    made = job()
    del made.blobs[sha256_hex(LARGE)]
    sizes = {sha256_hex(LARGE): 5000}
    done = pack(made, most=100, get_size=lambda sha256: sizes.get(sha256, 0))
    assert [item.size for item in done.left_out] == [5000]


def test_evidence_is_never_left_out_however_large() -> None:
    made = pack(job(), most=0)
    assert {item.name for item in made.left_out} == {BLOB, f"clockwork/blobs/{sha256_hex(SMALL)}"}
    again = samples.open_job(job_id="job_both")
    samples.apply_section(again, 1, samples.STEPS[:1], serial=0)
    script = samples.STEPS[0].script
    again.add("artifact.published", path="script.sh", op="added", blob=again.blob(script))
    samples.close_job(again)
    assert pack(again, most=0).left_out == ()


def listed(files: Files) -> dict[str, Any]:
    document: dict[str, Any] = parse_json(files[NOT_INCLUDED])
    return document


def changed(**fields: Any) -> bytes:
    files = unpack(pack(job(), most=4999).data)
    document = {**listed(files), **fields}
    return zipped(resign({**files, NOT_INCLUDED: canonical_json(document)}, job()))


ONE = {"path": BLOB, "sha256": sha256_hex(LARGE), "size": 5000}
PLAN = "clockwork/sections/1/plan.json"


@pytest.mark.parametrize(
    "data",
    [
        changed(files=[]),
        changed(files=[ONE, ONE]),
        changed(files=[{**ONE, "size": 4999}]),
        changed(files=[{**ONE, "size": "5000"}]),
        changed(files=[{**ONE, "size": True}]),
        changed(files=[{**ONE, "sha256": "0" * 64}]),
        changed(files=[{**ONE, "evil": 1}]),
        changed(files=[{**ONE, "path": PLAN}]),
        changed(files=[{"path": BLOB}]),
        changed(files={}),
        changed(limit=-1),
        changed(limit="4999"),
        changed(limit=5000),
        changed(schema="clockwork.not_included.v2"),
        changed(evil=1),
        zipped(resign({**unpack(pack(job(), most=4999).data), NOT_INCLUDED: b"[]"}, job())),
        zipped(resign({**unpack(pack(job(), most=4999).data), NOT_INCLUDED: b"hello"}, job())),
        zipped(resign({**unpack(pack(job(), most=4999).data), NOT_INCLUDED: b"[" * 50_000}, job())),
    ],
    ids=range(18),
)
def test_a_list_that_is_not_exactly_right_is_refused(data: bytes) -> None:
    assert code(verify(data)) == "E_EVIDENCE_INCONSISTENT"


def test_a_plan_or_a_log_cannot_be_declared_too_large() -> None:
    files = unpack(pack(job()).data)
    for name in (PLAN, "clockwork/sections/1/bundle.json", "clockwork/logs/1-0000.1.out"):
        document = {"schema": "clockwork.not_included.v1", "limit": 0, "files": [
            {"path": name, "sha256": sha256_hex(files[name]), "size": len(files[name])}
        ]}  # fmt: skip
        lying = {**without(files, name), NOT_INCLUDED: canonical_json(document)}
        assert code(verify(zipped(resign(lying, job())))) in {"E_EVIDENCE_INCONSISTENT", "E_PACK_MISSING"}


@pytest.mark.parametrize("kind", ["plan.json", "bundle.json", "state_after.json", ".out", ".sh"])
def test_an_exporter_that_leaves_evidence_out_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else of the pack fits: crate, contract files and signature are made for what is there."""
    name = next(name for name in unpack(pack(job()).data) if name.startswith("clockwork/") and name.endswith(kind))
    monkeypatch.setattr("clockwork_nb.jobpack.build.may_be_left_out", lambda *_: frozenset({name}))
    made = pack(job(), most=0)
    assert [item.name for item in made.left_out] == [name]
    assert code(verify(made.data)) in ({"E_PACK_MISSING"} if kind == "bundle.json" else {"E_EVIDENCE_INCONSISTENT"})


def test_what_is_listed_cannot_be_there_too_and_what_is_not_there_must_be_listed() -> None:
    both = {**unpack(pack(job(), most=4999).data), BLOB: LARGE}
    assert code(verify(zipped(resign(both, job())))) == "E_PACK_UNDECLARED"
    neither = without(unpack(pack(job()).data), BLOB)
    assert code(verify(zipped(resign(neither, job())))) == "E_PACK_MISSING"


def test_the_crate_names_the_list_and_not_the_file() -> None:
    graph = parse_json(unpack(pack(job(), most=4999).data)[CRATE])["@graph"]
    parts = {part["@id"] for item in graph if item["@id"] == "./" for part in item["hasPart"]}
    assert "not_included.json" in parts
    assert BLOB.removeprefix("clockwork/") not in parts
