"""What Wrkr's own verify answers to tampered packs, row by row as measured, and what ours answers to the same bytes.

Each row has Wrkr's exit status (the independent judge in ``wrkr_verify.py`` gives it too) and our code. What cannot be
noticed in a pack without chain and signature passes as INTACT, never as verified, and the report says what is missing.
"""

from __future__ import annotations

import resource
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.jobpack.manifest import build_manifest
from clockwork_nb.jobpack.wrkr_export import contract_files
from clockwork_nb.jobpack.wrkr_job import read_job
from tests.conformance.packs import rawzip
from tests.conformance.packs.tamper import Files, code, manifest_bytes, verify
from tests.conformance.wrkr.folders import SAMPLES, WrkrFolder, decision
from tests.conformance.wrkr.wrkr_verify import wrkr_verify

EXTRA = struct.pack("<HHBL", 0x5455, 5, 1, 315532800)


def contents(folder: WrkrFolder | None = None) -> Files:
    """Return the files of the pack that Wrkr exports of a job, without the manifest."""
    folder = folder or decision()
    return contract_files(read_job(folder.job_id, folder.files()))


def manifest(files: Files, /, **fields: Any) -> Files:
    """Return *files* with a manifest that fits them; an attacker can always make one."""
    document = parse_json(
        build_manifest(
            job_id="dec",
            created_at="2026-11-21T23:35:33.87Z",
            producer_version="dev",
            files={name: sha256_hex(data) for name, data in files.items()},
        )
    )
    return {**files, "manifest.json": manifest_bytes({**document, **fields})}


def go_zip(files: Files, **options: Any) -> bytes:
    return rawzip.write_wrkr(files, **options)


def honest() -> bytes:
    return go_zip(manifest(contents()))


def entry(name: bytes, data: bytes) -> rawzip.File:
    made = rawzip.File(name, data, local_extra=EXTRA, central_extra=EXTRA)
    made.local = {"flags": 8, "crc": 0, "packed": 0, "size": 0}
    made.central = {"flags": 8, "made_by": 20, "attributes": 0}
    made.after = struct.pack("<4s3L", b"PK\x07\x08", zlib.crc32(data), len(data), len(data))
    return made


def entries(files: Files) -> list[rawzip.File]:
    return [entry(name.encode(), files[name]) for name in sorted(files)]


def edit(name: str, old: bytes, new: bytes) -> bytes:
    files = contents()
    assert old in files[name], (name, old)
    return go_zip(manifest({**files, name: files[name].replace(old, new)}))


def lines(name: str, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    files = contents()
    return go_zip(manifest({**files, name: b"".join(change(files[name].splitlines(keepends=True)))}))


def flipped(*, repaired: bool) -> bytes:
    files = manifest(contents())
    good = files["job.json"]
    bad = good.replace(b"completed", b"complated")
    data = go_zip({**files, "job.json": bad})
    return data if repaired else data.replace(struct.pack("<L", zlib.crc32(bad)), struct.pack("<L", zlib.crc32(good)))


def undeclared(name: str) -> bytes:
    files = manifest(contents())
    return rawzip.write([*entries(files), entry(name.encode(), b"")])


def declared(name: str) -> bytes:
    return go_zip(manifest({**contents(), name: b"evil"}))


def without(name: str, *, listed: bool) -> bytes:
    files = contents()
    less = {key: data for key, data in files.items() if key != name}
    return go_zip(less | {"manifest.json": manifest(files)["manifest.json"]} if listed else manifest(less))


def manifest_edit(change: Callable[[bytes], bytes | None]) -> bytes:
    files = manifest(contents())
    changed = change(files.pop("manifest.json"))
    return go_zip(files if changed is None else {**files, "manifest.json": changed})


def twice(name: str, first: bytes | None, last: bytes | None) -> bytes:
    """Return a pack with two entries called *name*; None stands for the honest content."""
    files = manifest(contents())
    good = files.pop(name)
    pair = [entry(name.encode(), good if data is None else data) for data in (first, last)]
    return rawzip.write(entries(files) + pair)


def listed_twice() -> bytes:
    files = contents()
    items = [{"path": name, "sha256": sha256_hex(files[name])} for name in sorted(files)]
    return go_zip(manifest(files, files=[items[0], *items]))


def deflated() -> bytes:
    files = manifest(contents())
    made = entries(files)
    for item in made:
        engine = zlib.compressobj(wbits=-15)
        item.body = engine.compress(item.data) + engine.flush()
        item.both(method=8)
        item.central |= {"packed": len(item.body)}
        item.after = struct.pack("<4s3L", b"PK\x07\x08", zlib.crc32(item.data), len(item.body), len(item.data))
    return rawzip.write(made)


def bomb(size: int, *, listed: bool) -> bytes:
    """Return a pack with one entry of *size* zeros in about a thousandth of that."""
    engine, block, crc = zlib.compressobj(9, wbits=-15), bytes(1 << 20), 0
    once = engine.compress(block) + engine.flush(zlib.Z_FULL_FLUSH)  # which begins anew, so it may be repeated
    for _ in range(size >> 20):
        crc = zlib.crc32(block, crc)
    body = once * (size >> 20) + engine.flush()
    made = entry(b"zeros.bin", b"")
    made.body = body
    made.both(method=8)
    made.central |= {"packed": len(body), "size": size, "crc": crc}
    made.after = struct.pack("<4s3L", b"PK\x07\x08", crc, len(body), size)
    files = manifest(contents())
    if listed:
        document = parse_json(files["manifest.json"])
        document["files"].append({"path": "zeros.bin", "sha256": "0" * 64})
        files["manifest.json"] = manifest_bytes(document)
    return rawzip.write([*entries(files), made])


def forged_manifest() -> bytes:
    return manifest({**contents(), "job.json": contents()["job.json"]}, producer_version="forged")["manifest.json"]


def rewritten() -> bytes:
    """Another history, told alike everywhere: what a pack without chain and signature cannot show."""
    folder = decision()
    files = {name: data.replace(b"alice", b"mallory") for name, data in folder.files().items()}
    return go_zip(manifest(contract_files(read_job("dec", files))))


def artifact_in_both_views() -> bytes:
    files = contents()
    lists = parse_json(files["artifacts_manifest.json"])
    lists["artifacts"][1] = {"path": "reports/q.md", "sha256": sha256_hex(b"reference:reports/q.md")}
    moved = files["checkpoints.jsonl"].replace(b'"reports/plan.md"', b'"reports/q.md"')
    return go_zip(manifest({**files, "checkpoints.jsonl": moved, "artifacts_manifest.json": canonical_json(lists)}))


def artifact_twice() -> bytes:
    files = contents()
    lists = parse_json(files["artifacts_manifest.json"])
    lists["artifacts"].append(lists["artifacts"][0])
    return go_zip(manifest({**files, "artifacts_manifest.json": canonical_json(lists)}))


def with_nulls() -> bytes:
    """Return an honest pack whose events have null where Go has an empty list."""
    folder = decision()
    log = (
        bytes(folder.log)
        .replace(b'"reason_codes":[]', b'"reason_codes":null')
        .replace(b'"removed":[]', b'"removed":null')
    )
    return go_zip(manifest(contract_files(read_job("dec", folder.files() | {"events.jsonl": log}))))


def count_tail(data: bytes) -> bytes:
    return data[: len(data) // 2]


ROWS: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "honest": (honest, 0, ""),
    "byte flipped": (lambda: flipped(repaired=False), 1, "E_VERIFY_HASH_MISMATCH"),
    "byte flipped, crc repaired": (lambda: flipped(repaired=True), 2, "E_VERIFY_HASH_MISMATCH"),
    "undeclared file": (lambda: undeclared("ext/x.json"), 2, "E_PACK_UNDECLARED"),
    "undeclared folder": (lambda: undeclared("ext/"), 2, "E_PACK_UNSAFE_PATH"),
    "undeclared traversal": (lambda: undeclared("../../x"), 2, "E_PACK_UNSAFE_PATH"),
    "listed file removed": (lambda: without("job.json", listed=True), 2, "E_PACK_MISSING"),
    "manifest removed": (lambda: manifest_edit(lambda _: None), 1, "E_MANIFEST_INVALID"),
    "manifest truncated": (lambda: manifest_edit(count_tail), 1, "E_MANIFEST_INVALID"),
    "manifest empty": (lambda: manifest_edit(lambda _: b""), 1, "E_MANIFEST_INVALID"),
    "pack truncated": (lambda: count_tail(honest()), 1, "E_PACK_MALFORMED"),
    "pack empty": (lambda: b"", 1, "E_PACK_MALFORMED"),
    "manifest hash edited": (
        lambda: manifest_edit(lambda data: data.replace(b'sha256":"', b'sha256":"0', 1)[:-1] + b"}"), 6, "E_MANIFEST_INVALID",
    ),
    "manifest hash of another": (
        lambda: manifest_edit(lambda data: data.replace(parse_json(data)["manifest_sha256"].encode(), b"0" * 64)),
        2, "E_MANIFEST_INVALID",
    ),
    "unknown key in the manifest": (lambda: go_zip(manifest(contents(), evil=1)), 6, "E_MANIFEST_INVALID"),
    "unknown key in job.json": (lambda: edit("job.json", b'{"budgets"', b'{"a":1,"budgets"'), 6, "E_EVIDENCE_INCONSISTENT"),
    "manifest v2": (lambda: go_zip(manifest(contents(), schema_version="v2")), 6, "E_MANIFEST_INVALID"),
    "job.json v2": (lambda: edit("job.json", b'"v1"', b'"v2"'), 6, "E_EVIDENCE_INCONSISTENT"),
    "duplicate, bad first": (lambda: twice("job.json", b"evil", None), 0, "E_PACK_DUPLICATE"),
    "duplicate, bad last": (lambda: twice("job.json", None, b"evil"), 2, "E_PACK_DUPLICATE"),
    "duplicate manifest, forged first": (lambda: twice("manifest.json", forged_manifest(), None), 0, "E_PACK_DUPLICATE"),
    "declared traversal": (lambda: declared("../../evil.txt"), 0, "E_PACK_UNSAFE_PATH"),
    "declared absolute": (lambda: declared("/etc/evil"), 0, "E_PACK_UNSAFE_PATH"),
    "declared backslash": (lambda: declared("..\\evil"), 0, "E_PACK_UNSAFE_PATH"),
    "declared extra": (lambda: declared("ext/evil.txt"), 0, "E_PACK_UNDECLARED"),
    "event rewritten": (lambda: edit("events.jsonl", b"request manager", b"no need of a"), 0, "E_EVIDENCE_INCONSISTENT"),
    "last status rewritten": (lambda: edit("events.jsonl", b'"to":"completed"', b'"to":"paused"'), 0, "E_EVIDENCE_INCONSISTENT"),
    "approver rewritten in the events": (lambda: edit("events.jsonl", b"alice", b"mallory"), 0, "E_EVIDENCE_INCONSISTENT"),
    "event dropped": (lambda: lines("events.jsonl", lambda all: all[:4] + all[5:]), 0, "E_EVIDENCE_INCONSISTENT"),
    "last event dropped": (lambda: lines("events.jsonl", lambda all: all[:-2]), 0, "E_EVIDENCE_INCONSISTENT"),
    "events reordered": (lambda: lines("events.jsonl", lambda all: all[::-1]), 0, "E_EVIDENCE_INCONSISTENT"),
    "event twice": (lambda: lines("events.jsonl", lambda all: [*all, all[-1]]), 0, "E_EVIDENCE_INCONSISTENT"),
    "checkpoints cut": (lambda: lines("checkpoints.jsonl", lambda all: all[:-1]), 0, "E_EVIDENCE_INCONSISTENT"),
    "checkpoints emptied": (lambda: lines("checkpoints.jsonl", lambda all: []), 0, "E_EVIDENCE_INCONSISTENT"),
    "checkpoint rewritten": (lambda: edit("checkpoints.jsonl", b"plan drafted", b"plan refused"), 0, "E_EVIDENCE_INCONSISTENT"),
    "required action rewritten": (lambda: edit("checkpoints.jsonl", b"review and approve", b"just approve this"), 0, "E_EVIDENCE_INCONSISTENT"),
    "reason codes rewritten": (lambda: edit("checkpoints.jsonl", b'"reason_codes":[]', b'"reason_codes":["E_OK"]'), 0, "E_EVIDENCE_INCONSISTENT"),
    "artifact moved in both views": (artifact_in_both_views, 0, "E_EVIDENCE_INCONSISTENT"),
    "artifact listed twice": (artifact_twice, 0, "E_EVIDENCE_INCONSISTENT"),
    "approval forged": (lambda: lines("approvals.jsonl", lambda all: all * 2), 0, "E_EVIDENCE_INCONSISTENT"),
    "approver rewritten": (lambda: edit("approvals.jsonl", b"alice", b"mallory"), 0, "E_EVIDENCE_INCONSISTENT"),
    "approvals removed": (lambda: without("approvals.jsonl", listed=False), 0, "E_EVIDENCE_INCONSISTENT"),
    "another job in job.json": (lambda: edit("job.json", b'"job_id":"dec"', b'"job_id":"abc"'), 0, "E_EVIDENCE_INCONSISTENT"),
    "status banana": (lambda: edit("job.json", b"completed", b"banana"), 0, "E_EVIDENCE_INCONSISTENT"),
    "nonsense date": (lambda: edit("job.json", b'created_at":"2026', b'created_at":"next'), 0, "E_EVIDENCE_INCONSISTENT"),
    "nonsense date of an event": (lambda: edit("events.jsonl", b'{"created_at":"2026', b'{"created_at":"x026'), 0, "E_EVIDENCE_INCONSISTENT"),
    "key twice in job.json": (lambda: edit("job.json", b'"name":"dec"', b'"name":"x","name":"dec"'), 0, "E_EVIDENCE_INCONSISTENT"),
    "counters edited": (lambda: edit("job.json", b'"step_count":3', b'"step_count":2'), 0, "E_EVIDENCE_INCONSISTENT"),
    "artifact added": (lambda: edit("artifacts_manifest.json", b'"reports/plan.md"', b'"reports/pwn.md"'), 0, "E_EVIDENCE_INCONSISTENT"),
    "empty list": (lambda: go_zip(manifest({})), 0, "E_PACK_MISSING"),
    "job.json absent": (lambda: without("job.json", listed=False), 0, "E_PACK_MISSING"),
    "events.jsonl absent": (lambda: without("events.jsonl", listed=False), 0, "E_PACK_MISSING"),
    "checkpoints.jsonl absent": (lambda: without("checkpoints.jsonl", listed=False), 0, "E_PACK_MISSING"),
    "artifacts absent": (lambda: without("artifacts_manifest.json", listed=False), 0, "E_PACK_MISSING"),
    "one path listed twice": (listed_twice, 0, "E_MANIFEST_INVALID"),
    "junk before": (lambda: go_zip(manifest(contents()), prefix=b"junk"), 0, "E_PACK_MALFORMED"),
    "junk after": (lambda: honest() + b"junk", 0, "E_PACK_MALFORMED"),
    "zip comment": (lambda: go_zip(manifest(contents()), comment=b"hello"), 0, "E_PACK_MALFORMED"),
    "deflated": (deflated, 0, "E_PACK_MALFORMED"),
    "pretty-printed manifest": (
        lambda: manifest_edit(lambda data: data.replace(b'":', b'": ')), 0, "E_MANIFEST_INVALID",
    ),
    "date with trailing zeros": (
        lambda: go_zip(manifest(contents(), created_at="2026-11-21T23:35:33.870Z")), 2, "E_EVIDENCE_INCONSISTENT",
    ),
    "required_action null": (
        lambda: edit("checkpoints.jsonl", b'"reason_codes":[]', b'"reason_codes":[],"required_action":null'), 6, "E_EVIDENCE_INCONSISTENT",
    ),
    "null for an empty list": (with_nulls, 0, ""),
    "everything rewritten alike": (rewritten, 0, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_matrix(name: str) -> None:
    make, wrkr, ours = ROWS[name]
    data = make()
    assert wrkr_verify(data)[0] == wrkr
    report = verify(data, require="integrity")
    assert code(report) == ours
    if not ours:
        assert (report.headline, report.level) == ("INTACT", "integrity")
        assert any("chained" in text for text in report.missing)
        assert any("signature" in text for text in report.missing)
    assert code(verify(data)) == (ours or "E_SIG_REQUIRED")


def test_what_wrkr_passes_wrongly_is_refused_in_every_row_but_the_one_no_pack_can_show() -> None:
    passed = {name for name, (_, wrkr, ours) in ROWS.items() if wrkr == 0 and not ours}
    assert passed == {"honest", "null for an empty list", "everything rewritten alike"}


@pytest.mark.parametrize("listed", [True, False])
def test_a_bomb_is_refused_without_being_unpacked(listed: bool) -> None:
    data = bomb(1 << 30, listed=listed)
    assert len(data) < 1 << 21
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    report = verify(data, require="integrity")
    assert code(report) in {"E_PACK_MALFORMED", "E_PACK_LIMIT"}
    assert time.process_time() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_more_entries_than_a_pack_may_hold_are_refused() -> None:
    data = go_zip({f"e/{number:05d}": b"" for number in range(60_000)})
    assert code(verify(data, require="integrity")) == "E_PACK_LIMIT"


@pytest.mark.parametrize("name", ["demo", "decision", "blocked", "approved", "wrap", "wrap-failed", "passed-over"])
def test_packs_that_wrkr_itself_writes_are_intact_and_say_what_they_lack(name: str) -> None:
    folder = SAMPLES[name]()
    files = contents(folder)
    job = parse_json(files["job.json"])
    built = build_manifest(
        job_id=folder.job_id,
        created_at=job["created_at"],
        producer_version="dev",
        files={key: sha256_hex(data) for key, data in files.items()},
    )
    data = go_zip({**files, "manifest.json": built})
    assert wrkr_verify(data)[0] == 0
    report = verify(data, require="integrity")
    assert (report.headline, report.level, report.failure) == ("INTACT", "integrity", None)
    assert report.missing


def test_the_writer_here_makes_the_archive_that_go_makes() -> None:
    data = honest()
    assert data[:4] == b"PK\x03\x04"
    assert data[6:8] == b"\x08\x00"  # sizes follow the data
    assert data[14:26] == bytes(12)
    assert struct.pack("<HHBL", 0x5455, 5, 1, 315532800) in data[:80]
    assert canonical_json(parse_json(contents()["job.json"])) == contents()["job.json"]
