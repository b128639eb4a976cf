"""A manifest that lies, and files that are not what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.jobpack.layout import MANIFEST, NATIVE_EVENTS
from tests.conformance.packs import samples, tamper
from tests.conformance.packs.cases import EVIDENCE, HASH, MANIFEST_BAD, MISSING, SUBJECT, UNDECLARED, Case, good
from tests.conformance.packs.tamper import Files, remanifest, resign, without, zipped


def manifests() -> Iterator[Case]:
    files = good()
    whole = files[MANIFEST]
    document = parse_json(whole)

    def case(label: str, data: bytes, codes: tuple[str, ...] = (MANIFEST_BAD,)) -> Case:
        return Case(f"M-{label}", zipped({**files, MANIFEST: data}), codes)

    def stated(label: str, codes: tuple[str, ...] = (MANIFEST_BAD,), **fields: Any) -> Case:
        return case(label, tamper.manifest_bytes({**document, **fields}), codes)

    yield Case("M-missing", zipped(without(files, MANIFEST)), (MANIFEST_BAD,))
    yield case("empty", b"")
    yield case("not-json", b"hello")
    yield case("bom", b"\xef\xbb\xbf" + whole)
    yield case("utf16", whole.decode().encode("utf-16"))
    yield case("duplicate-key", whole[:-1] + b',"job_id":"job_small"}')
    yield case("nan", whole.replace(b'"schema_version":"v1"', b'"schema_version":NaN'))
    yield case("spaced", whole.replace(b",", b", "))
    yield case("newline", whole + b"\n")
    yield case("escaped", whole.replace(b"job_small", b"job\\u005fsmall"))
    yield case("other-order", b'{"schema_version":"v1",' + whole[1:].replace(b',"schema_version":"v1"', b""))
    yield case("deep", b"[" * 10_000 + b"]" * 10_000)
    yield case("deep-object", b'{"files":' * 5_000 + b"1" + b"}" * 5_000)
    yield case("long-number", whole.replace(b'"v1"', b"1" * 5_000))
    yield case("large", whole[:-1] + b" " * 17_000_000 + b"}")
    yield case("hash-edited", whole.replace(document["manifest_sha256"].encode(), b"0" * 64))
    yield stated("unknown-key", evil=1)
    yield stated("other-schema", schema_id="wrkr.job")
    yield stated("major-2", schema_version="v2")
    yield stated("minor-7", schema_version="v1.7")
    yield stated("created-at", created_at="2026-11-22T00:00:00Z")
    yield stated("producer", producer_version="clockwork_nb 9.9.9")
    yield stated("other-job", job_id="job_other")
    yield stated("order", files=document["files"][::-1])
    yield stated("twice", files=[document["files"][0], *document["files"]])
    yield stated(
        "lists-itself",
        files=sorted([*document["files"], {"path": MANIFEST, "sha256": "0" * 64}], key=lambda f: f["path"]),
    )
    yield stated("upper-case-digest", files=[{**f, "sha256": f["sha256"].upper()} for f in document["files"]])
    yield stated("sha1-digest", files=[{**f, "sha256": f["sha256"][:40]} for f in document["files"]])
    yield stated("traversal", (MISSING,), files=[{"path": "../evil", "sha256": "0" * 64}, *document["files"]])
    yield stated("empty-list", (UNDECLARED,), files=[])
    yield stated("other-digest", (HASH,), files=[{**document["files"][0], "sha256": "0" * 64}, *document["files"][1:]])


def contents() -> Iterator[Case]:
    files = good()
    script = "clockwork/artifacts/1/scripts/directory.site/create_directory.sh"
    for label, place in {"first": 0, "middle": len(files[script]) // 2, "last": -1}.items():
        changed = bytearray(files[script])
        changed[place] ^= 1
        yield Case(f"F-flip-{label}", zipped({**files, script: bytes(changed)}), (HASH,))
    yield Case("F-cut", zipped({**files, script: files[script][:-1]}), (HASH,))
    yield Case("F-emptied", zipped({**files, script: b""}), (HASH,))
    yield Case("F-undeclared", zipped({**files, "evil.json": b"{}"}), (UNDECLARED,))
    yield Case("F-undeclared-inside", zipped({**files, "clockwork/evil": b"x"}), (UNDECLARED,))
    yield Case("F-missing", zipped(without(files, script)), (MISSING,))
    swapped = {**files, "job.json": files["artifacts_manifest.json"], "artifacts_manifest.json": files["job.json"]}
    yield Case("F-swapped", zipped(swapped), (HASH,))
    # From here on the attacker makes the manifest fit; the signature is the old one.
    yield Case("F-restamped-flip", zipped(remanifest({**files, script: b"#!/bin/sh\n"})), (SUBJECT,))
    yield Case("F-restamped-missing", zipped(remanifest(without(files, script))), (SUBJECT,))
    yield Case("F-restamped-extra", zipped(remanifest({**files, "clockwork/evil": b"x"})), (SUBJECT,))
    log = files[NATIVE_EVENTS]
    yield Case(
        "F-restamped-log",
        zipped(remanifest({**files, NATIVE_EVENTS: log.replace(b"agreed", b"ordered", 1)})),
        (SUBJECT,),
    )
    view = files["events.jsonl"].split(b"\n", 1)[1]
    yield Case("F-restamped-view", zipped(remanifest({**files, "events.jsonl": view})), (SUBJECT,))
    # And here a trusted key signs it again.
    job = samples.small_job()
    for label, changed_files, codes in (
        ("view-line-dropped", {**files, "events.jsonl": view}, (EVIDENCE,)),
        ("forged-approval-line", {**files, "approvals.jsonl": files["approvals.jsonl"] * 2}, (EVIDENCE,)),
        ("approvals-removed", without(files, "approvals.jsonl"), (MISSING,)),
        ("extra-evidence", {**files, "clockwork/evil.json": b"{}"}, (UNDECLARED,)),
        ("extra-at-the-top", {**files, "evil.json": b"{}"}, (UNDECLARED,)),
        ("extra-artifact", {**files, "clockwork/artifacts/1/evil.sh": b"x"}, (UNDECLARED,)),
        ("extra-blob", {**files, f"clockwork/blobs/{sha256_hex(b'x')}": b"x"}, (UNDECLARED,)),
        ("accept-result-invented", {**files, "accept/accept_result.json": b"{}"}, (UNDECLARED,)),
        ("artifact-replaced", {**files, script: b"#!/bin/sh\nrm -rf /\n"}, (EVIDENCE,)),
        ("artifact-removed", without(files, script), (MISSING,)),
        ("log-removed", without(files, "clockwork/logs/1-0000.1.out"), (MISSING,)),
        ("plan-removed", without(files, "clockwork/sections/1/plan.json"), (MISSING,)),
        ("bundle-removed", without(files, "clockwork/sections/1/bundle.json"), (MISSING,)),
        ("state-replaced", {**files, "clockwork/sections/1/state_after.json": b"{}"}, (EVIDENCE,)),
        ("environment-replaced", {**files, "clockwork/environment.json": b"{}"}, (EVIDENCE,)),
        ("report-replaced", {**files, "clockwork/report.html": b"<h1>all good</h1>"}, (EVIDENCE,)),
        ("crate-replaced", {**files, "clockwork/ro-crate-metadata.json": b"{}"}, (EVIDENCE,)),
        ("declared-too-large", {**without(files, script), "clockwork/not_included.json": _too_large(files, script)}, (EVIDENCE,)),
        ("nothing-is-too-large", {**files, "clockwork/not_included.json": b"{}"}, (EVIDENCE,)),
        ("job-status-edited", {**files, "job.json": files["job.json"].replace(b"completed", b"canceled")}, (EVIDENCE,)),
    ):  # fmt: skip
        yield Case(f"F-signed-{label}", zipped(resign(changed_files, job)), codes)


def _too_large(files: Files, name: str) -> bytes:
    listed = {"path": name, "sha256": sha256_hex(files[name]), "size": len(files[name])}
    return canonical_json({"schema": "clockwork.not_included.v1", "limit": 0, "files": [listed]})
