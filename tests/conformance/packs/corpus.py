"""Malicious archives, generated. Each case is one lie in an otherwise good pack, and names the codes it may end with.

Classes (letters as in the threat model): N names, D duplicates, H header mismatch, L layout, E end records, Z zip64,
B bombs, T types, C compression and encryption, X extra fields, M manifest, F files, S evidence, G signatures, O other
containers. A class is a generator function; more cases are more ``yield`` lines.
"""

from __future__ import annotations

import base64
import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from clockwork_nb.canonical import canonical_json, digest, parse_json, sha256_hex
from clockwork_nb.jobpack.layout import GENESIS, MANIFEST, NATIVE_EVENTS, SIGNER, STATEMENT
from clockwork_nb.signing import SigningKey, pae, seal_envelope
from tests.conformance.packs import rawzip, samples, tamper
from tests.conformance.packs.rawzip import File
from tests.conformance.packs.samples import KEY, Job, Step
from tests.conformance.packs.tamper import Files, forge, remanifest, resign, without, zipped

MALFORMED, UNSAFE, DUPLICATE = "E_PACK_MALFORMED", "E_PACK_UNSAFE_PATH", "E_PACK_DUPLICATE"
LIMIT, UNDECLARED, MISSING = "E_PACK_LIMIT", "E_PACK_UNDECLARED", "E_PACK_MISSING"
MANIFEST_BAD, HASH, CHAIN = "E_MANIFEST_INVALID", "E_VERIFY_HASH_MISMATCH", "E_CHAIN_BROKEN"
EVIDENCE, SIG_BAD, SUBJECT = "E_EVIDENCE_INCONSISTENT", "E_SIG_INVALID", "E_SIG_SUBJECT"
UNTRUSTED, REQUIRED = "E_SIG_UNTRUSTED", "E_SIG_REQUIRED"


@dataclass(frozen=True)
class Case:
    """One archive. *codes* are allowed when a signature is required; *integrity* when it is not (same by default)."""

    id: str
    data: bytes
    codes: tuple[str, ...]
    integrity: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@cache
def _good() -> bytes:
    return tamper.pack(samples.small_job()).data


def good() -> Files:
    return tamper.unpack(_good())


def good_files() -> list[File]:
    return rawzip.files_of(good())


def _index(name: str) -> int:
    return sorted(good()).index(name)


def names() -> Iterator[Case]:
    evil = {
        "parent": b"../evil", "parent-inside": b"clockwork/../../evil", "absolute": b"/etc/evil", "drive": b"C:/evil",
        "drive-relative": b"C:evil", "unc": b"//host/share/evil", "backslash": b"..\\evil", "nul": b"evil\0.txt",
        "control": b"evil\x1b[31m", "dot-part": b"clockwork/./evil", "empty-part": b"clockwork//evil",
        "folder": b"clockwork/evil/", "trailing-dot": b"evil.", "trailing-space": b"evil ", "stream": b"evil:stream",
        "device": b"con", "device-extension": b"clockwork/NUL.txt", "device-number": b"lpt1", "tilde": b"~/evil",
        "short-name": b"PROGRA~1", "long": b"a/" * 119 + b"evil", "long-part": b"a" * 101, "deep": b"a/" * 9 + b"b",
        "empty": b"", "not-utf8": b"ev\xffil", "nfd": "e\u0301vil".encode(), "bidi": "evil\u202etxt".encode(),
        "zero-width": "ev\u200bil".encode(), "fullwidth": "\uff0e\uff0e/evil".encode(), "hidden": b".evil",
        "glob": b"evil*", "dash": b"-rf",
    }  # fmt: skip
    for label, name in evil.items():
        yield Case(f"N-{label}", rawzip.write([*good_files(), File(name, b"x")]), (UNSAFE,))


def duplicates() -> Iterator[Case]:
    files, manifest = good_files(), good()[MANIFEST]
    forged = manifest.replace(b"job_small", b"job_smile")
    for label, extra in {
        "exact": [File(b"job.json", good()["job.json"])],
        "exact-other-content": [File(b"job.json", b"{}")],
        "three": [File(b"job.json", b"1"), File(b"job.json", b"2")],
        "case": [File(b"JOB.json", b"{}")],
        "case-folder": [File(b"Clockwork/events.jsonl", b"{}")],
        "file-and-folder": [File(b"job.json/evil", b"x")],
        "folder-and-file": [File(b"clockwork", b"x")],
        "manifest-forged-last": [File(MANIFEST.encode(), forged)],
    }.items():
        yield Case(f"D-{label}", rawzip.write([*files, *extra]), (DUPLICATE,))
    yield Case("D-manifest-forged-first", rawzip.write([File(MANIFEST.encode(), forged), *files]), (DUPLICATE,))


_LIES = {
    "needed": 45, "flags": 8, "method": 8, "time": 1, "date": 0x22, "crc": 0x01020304, "packed": 3, "size": 3,
    "name_length": 3, "extra_length": 4,
}  # fmt: skip


def headers() -> Iterator[Case]:
    for where in ("local", "central"):
        for name, value in _LIES.items():
            files = good_files()
            getattr(files[2], where)[name] = value
            yield Case(f"H-{where}-{name}", rawzip.write(files), (MALFORMED, UNSAFE, LIMIT))
    files = good_files()
    files[2].local_name = b"evil.json".ljust(len(files[2].name), b"x")
    yield Case("H-local-other-name", rawzip.write(files), (MALFORMED,))
    files = good_files()
    files[2].both(crc=0x01020304)
    yield Case("H-both-crc", rawzip.write(files), (HASH,))


def layout() -> Iterator[Case]:
    files, last = good_files(), len(good_files()) - 1
    orphan = [*files[:3], File(b"evil", b"x"), *files[3:]]
    yield Case("L-orphan", rawzip.write(orphan, drop_central=[3]), (MALFORMED,))
    yield Case("L-orphan-last", rawzip.write([*files, File(b"zzz", b"x")], drop_central=[len(files)]), (MALFORMED,))
    yield Case("L-gap-before-directory", rawzip.write(files, gap=b"\0" * 8), (MALFORMED,))
    yield Case("L-shebang", rawzip.write(files, prefix=b"#!/bin/sh\n"), (MALFORMED,))
    yield Case("L-program", rawzip.write(files, prefix=b"MZ" + b"\0" * 62), (MALFORMED,))
    yield Case("L-prefix-hidden", b"junk" + _good(), (MALFORMED,))
    gap = good_files()
    gap[1].after = b"hidden"
    yield Case("L-gap-between", rawzip.write(gap), (MALFORMED,))
    yield Case("L-reversed-directory", rawzip.write(files, order=range(last, -1, -1)), (MALFORMED,))
    yield Case("L-reversed-everything", rawzip.write(files[::-1]), (MALFORMED,))
    for label, offset in {"overlap": 0, "past-directory": 2**24, "huge": 0xFFFFFFFE, "inside": 20}.items():
        lying = good_files()
        lying[4].central["offset"] = offset
        yield Case(f"L-offset-{label}", rawzip.write(lying), (MALFORMED,))
    nested = good_files()
    nested[3].data = rawzip.write([File(b"evil", b"x")])
    yield Case("L-quoted-overlap", rawzip.write(nested), (HASH,))


def end_records() -> Iterator[Case]:
    files, count = good_files(), len(good_files())
    data = _good()
    yield Case("E-trailing-byte", data + b"x", (MALFORMED,))
    yield Case("E-trailing-zeros", data + b"\0" * 512, (MALFORMED,))
    yield Case("E-comment", rawzip.write(files, comment=b"signed by nobody"), (MALFORMED,))
    yield Case(
        "E-archive-in-comment", rawzip.write(files, comment=rawzip.write([File(b"a", b"x")])), (MALFORMED, MANIFEST_BAD)
    )
    yield Case("E-second-empty", data + rawzip.write([]), (MALFORMED,))
    yield Case("E-second-other", data + rawzip.write([File(b"evil", b"x")]), (MALFORMED,))
    yield Case("E-long-comment", rawzip.write(files, comment=b"\0" * 65535), (MALFORMED,))
    yield Case("E-missing", data[:-22], (MALFORMED,))
    yield Case("E-split", data[:-10], (MALFORMED,))
    yield Case("E-before-end", rawzip.write(files, before_end=b"junk"), (MALFORMED,))
    size = int.from_bytes(data[-10:-6], "little")
    junk_inside = rawzip.write(files, before_end=b"junk", end={"directory_size": size + 4})
    yield Case("E-junk-in-directory", junk_inside, (MALFORMED,))
    for label, lie in {
        "count-low": {"count": count - 1, "here": count - 1}, "count-high": {"count": count + 1, "here": count + 1},
        "count-differs": {"here": count - 1}, "count-zero": {"count": 0, "here": 0}, "size-zero": {"directory_size": 0},
        "size-high": {"directory_size": 2**31}, "offset-zero": {"directory_offset": 0},
        "offset-high": {"directory_offset": 0xFFFFFFFE}, "disk": {"disk": 1}, "start-disk": {"start_disk": 1},
        "comment-length": {"comment_length": 5},
    }.items():  # fmt: skip
        yield Case(f"E-{label}", rawzip.write(files, end=lie), (MALFORMED,))


def zip64() -> Iterator[Case]:
    extra = struct.pack("<HHQQ", 1, 16, 10, 10)
    needless = good_files()
    needless[2].local_extra = needless[2].central_extra = extra
    yield Case("Z-needless-extra", rawzip.write(needless), (MALFORMED,))
    central_only = good_files()
    central_only[2].central_extra = extra
    central_only[2].central |= {"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF}
    yield Case("Z-sizes-in-extra", rawzip.write(central_only), (MALFORMED, LIMIT))
    files, data = good_files(), rawzip.write(good_files())
    directory = len(data) - 22
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 10, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, directory, 1)
    yield Case("Z-end-without-sentinel", rawzip.write(files, before_end=record + locator), (MALFORMED,))
    yield Case("Z-locator-only", rawzip.write(files, before_end=locator), (MALFORMED,))
    sentinel = {"count": 0xFFFF, "here": 0xFFFF, "directory_size": 0xFFFFFFFF, "directory_offset": 0xFFFFFFFF}
    yield Case("Z-sentinels", rawzip.write(files, before_end=record + locator, end=sentinel), (MALFORMED,))
    yield Case("Z-count-sentinel", rawzip.write(files, end={"count": 0xFFFF, "here": 0xFFFF}), (LIMIT, MALFORMED))


def bombs() -> Iterator[Case]:
    body = zlib.compress(b"\0" * 2_000_000, 9)[2:-4]
    for label, size in {"ratio": 2_000_000, "claims-a-gigabyte": 2**30, "claims-little": 10}.items():
        entry = File(b"clockwork/bomb", b"", body=body).both(method=8, size=size, packed=len(body))
        yield Case(f"B-{label}", rawzip.write([*good_files(), entry]), (MALFORMED, LIMIT))
    stored = File(b"clockwork/bomb", b"x").both(size=0xFFFFFFFE, packed=0xFFFFFFFE)
    yield Case("B-forged-stored-size", rawzip.write([*good_files(), stored]), (LIMIT, MALFORMED))
    packed = File(b"clockwork/bomb", b"x").both(packed=0xFFFFFFFE)
    yield Case("B-forged-packed-size", rawzip.write([*good_files(), packed]), (MALFORMED,))
    many = [File(f"clockwork/blobs/{n}".encode(), b"") for n in range(50_001)]
    yield Case("B-many-entries", rawzip.write(many), (LIMIT,))
    half = [File(f"clockwork/b{n}".encode(), b"x").both(size=2**28, packed=2**28) for n in range(3)]
    yield Case("B-sum-over-limit", rawzip.write(half), (LIMIT,))


def types() -> Iterator[Case]:
    for label, mode in {
        "symlink": 0o120777, "fifo": 0o010644, "device": 0o020644, "socket": 0o140644, "folder": 0o040755,
        "setuid": 0o104644, "executable": 0o100755, "everybody-writes": 0o100666,
    }.items():  # fmt: skip
        files = good_files()
        files[2].central["attributes"] = mode << 16
        yield Case(f"T-{label}", rawzip.write(files), (MALFORMED,))
    for label, lie in {
        "dos": {"made_by": 20},
        "dos-folder-bit": {"attributes": 0x10},
        "text-bit": {"internal": 1},
    }.items():
        files = good_files()
        files[2].central |= lie
        yield Case(f"T-{label}", rawzip.write(files), (MALFORMED,))


def compression() -> Iterator[Case]:
    for label, fields in {
        "encrypted": {"flags": 1}, "strong-encryption": {"flags": 0x41}, "aes": {"method": 99}, "deflate64": {"method": 9},
        "bzip2": {"method": 12}, "lzma": {"method": 14}, "zstd": {"method": 93}, "patched": {"flags": 0x20},
        "utf8-flag": {"flags": 0x800}, "descriptor": {"flags": 8}, "masked-headers": {"flags": 0x2000},
    }.items():  # fmt: skip
        files = good_files()
        files[2].both(**fields)
        yield Case(f"C-{label}", rawzip.write(files), (MALFORMED,))
    entry = good_files()
    deflated = zlib.compress(entry[2].data)[2:-4]
    entry[2].body = deflated
    entry[2].both(method=8, packed=len(deflated))
    yield Case("C-honest-deflate", rawzip.write(entry), (MALFORMED,))


def extras() -> Iterator[Case]:
    for label, extra in {
        "timestamp": struct.pack("<HHBL", 0x5455, 5, 1, 315532800), "unicode-path": struct.pack("<HHBL4s", 0x7075, 9, 1, 0, b"evil"),
        "ntfs": struct.pack("<HHL", 0x000A, 4, 0), "unix-link": struct.pack("<HHL", 0x756E, 4, 0),
        "bad-length": struct.pack("<HH", 0x5455, 400), "one-byte": b"x",
    }.items():  # fmt: skip
        files = good_files()
        files[2].local_extra = files[2].central_extra = extra
        yield Case(f"X-{label}", rawzip.write(files), (MALFORMED,))
    files = good_files()
    files[2].comment = b"hello"
    yield Case("X-comment", rawzip.write(files), (MALFORMED,))


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
        ("job-status-edited", {**files, "job.json": files["job.json"].replace(b"completed", b"canceled")}, (EVIDENCE,)),
    ):  # fmt: skip
        yield Case(f"F-signed-{label}", zipped(resign(changed_files, job)), codes)


def _changed(change: Callable[[Job], None], base: Callable[[], Job] = samples.small_job) -> Job:
    job = base()
    change(job)
    return job


def _reline(job: Job, order: list[int]) -> None:
    job.lines, job.events = [job.lines[i] for i in order], [job.events[i] for i in order]


def _rebuilt(*skip: str, **edits: Callable[[dict[str, Any]], dict[str, Any]]) -> Job:
    """Return the small job written again, chained anew: events of the types *skip* left out, payloads edited."""
    source = samples.small_job()
    job = Job(job_id=source.job_id, name=source.name)
    job.blobs = dict(source.blobs)
    named = {name.replace("__", "."): change for name, change in edits.items()}
    for event in source.events:
        if event.type not in skip:
            payload = dict(event.payload)
            if event.type == "job.sealed":  # a seal that fits, or every case would end there
                payload = {"count": job.seq, "head": job.events[-1].hash}
            change = named.get(event.type)
            job.add(event.type, **(change(payload) if change else payload))
    return job


def _more(job: Job, event_type: str, **payload: Any) -> Job:
    job.add(event_type, **payload)
    return job


def evidence() -> Iterator[Case]:
    """The log itself is wrong, and a trusted key signs it."""
    n = samples.small_job().seq
    started = next(e.seq for e in samples.small_job().events if e.type == "step.started")

    def case(label: str, job: Job, *codes: str) -> Case:
        return Case(f"S-{label}", forge(job), codes)

    yield case("gap", _changed(lambda j: _reline(j, [i for i in range(n) if i != 5])), CHAIN)
    yield case("twice", _changed(lambda j: _reline(j, [*range(6), 5, *range(6, n)])), CHAIN)
    yield case("reordered", _changed(lambda j: _reline(j, [0, 2, 1, *range(3, n)])), CHAIN)
    yield case("first-missing", _changed(lambda j: _reline(j, list(range(1, n)))), CHAIN)

    def misnumbered(job: Job) -> None:
        job.skip = 1
        job.add("log.recovered", offset=1, bytes=1, saved="x")

    yield case("number-left-out", _changed(misnumbered), CHAIN)

    def torn(job: Job) -> None:
        job.lines[-1] = job.lines[-1][:-1]

    yield case("torn-tail", _changed(torn), CHAIN)

    def reworded(job: Job) -> None:
        job.lines[started] = job.lines[started].replace(b"2026", b"2027")

    yield case("edited-record", _changed(reworded), CHAIN)

    def spaced(job: Job) -> None:
        job.lines[3] = job.lines[3].replace(b'","', b'", "', 1)

    yield case("other-spelling", _changed(spaced), CHAIN)

    def foreign(job: Job) -> None:
        other = Job(job_id="job_other")
        job.header, job.genesis = other.header, other.genesis

    yield case("foreign-genesis", _changed(foreign), CHAIN)

    def edited_genesis(job: Job) -> None:
        job.genesis = job.genesis.replace(b"small", b"smell")

    yield case("edited-genesis", _changed(edited_genesis), CHAIN)

    epoch_job = samples.open_job(job_id="job_small", name="small")
    epoch_job.epoch = 3
    epoch_job.add("lease.taken", runner_id="r", host_id="h", ttl_ms=1, tool_version="0.1.0", takeover=True)
    epoch_job.epoch = 2
    epoch_job.add("job.status", from_="running", to="paused")
    yield case("epoch-goes-back", epoch_job, CHAIN)
    eternal = _rebuilt(lease__taken=lambda p: {**p, "ttl_ms": 2**53 - 1})
    yield Case("S-lease-without-end", zipped(resign({**good(), NATIVE_EVENTS: eternal.log}, eternal)), (EVIDENCE,))
    yield case(
        "two-finished", _more(samples.small_job(), "job.finished", status="completed", reason_codes=[]), EVIDENCE
    )
    yield case("after-the-end", _more(samples.small_job(), "job.status", from_="completed", to="running"), EVIDENCE)
    yield case("status-is-not-the-fold", _rebuilt(job__finished=lambda p: {**p, "status": "canceled"}), EVIDENCE)
    yield case("impossible-move", _rebuilt(job__status=lambda p: {**p, "to": "queued"}), EVIDENCE)
    yield case("completed-without-start", _rebuilt("step.started"), EVIDENCE)
    yield case("seals-another-log", _rebuilt(job__sealed=lambda p: {**p, "count": 3}), EVIDENCE)
    yield case("no-approval-used", _rebuilt("approval.used"), EVIDENCE)
    yield case("no-approval-at-all", _rebuilt("approval.used", "approval.granted", "approval.requested"), EVIDENCE)
    yield case("not-granted", _rebuilt("approval.granted"), EVIDENCE)

    def other_plan(payload: dict[str, Any]) -> dict[str, Any]:
        return {**payload, "binds": {**payload["binds"], "plan": "0" * 64}}

    yield case(
        "approval-of-another-plan", _rebuilt(approval__requested=other_plan, approval__granted=other_plan), EVIDENCE
    )

    def expired(payload: dict[str, Any]) -> dict[str, Any]:
        return {**payload, "expires_at": "2026-11-22T00:00:01.500000Z"}

    yield case("approval-expired", _rebuilt(approval__granted=expired), EVIDENCE)
    yield case("used-in-another-section", _rebuilt(approval__used=lambda p: {**p, "section": 9}), EVIDENCE)
    yield case(
        "approved-for-another-checkpoint", _rebuilt(approval__granted=lambda p: {**p, "checkpoint_seq": 1}), EVIDENCE
    )
    yield case(
        "step-not-in-plan",
        _step_of(planned=samples.STEPS[:1], bundled=samples.STEPS[:2], ran=samples.STEPS[:2]),
        EVIDENCE,
    )
    yield case(
        "step-not-in-bundle",
        _step_of(planned=samples.STEPS[:2], bundled=samples.STEPS[:1], ran=samples.STEPS[:2]),
        EVIDENCE,
    )
    yield case(
        "plan-has-more-than-bundle",
        _step_of(planned=samples.STEPS[:2], bundled=samples.STEPS[:1], ran=samples.STEPS[:1]),
        EVIDENCE,
    )
    yield case("artifact-not-in-bundle", _rebuilt(step__started=lambda p: {**p, "artifact_sha256": "1" * 64}), EVIDENCE)
    yield case("artifact-of-another-step", _rebuilt(step__started=lambda p: {**p, "artifact": "evil.sh"}), EVIDENCE)
    yield case(
        "artifact-without-digest",
        _rebuilt(step__started=lambda p: {k: v for k, v in p.items() if k != "artifact_sha256"}),
        EVIDENCE,
    )
    invented = _rebuilt(step__started=lambda p: {k: v for k, v in p.items() if k != "artifact"})
    yield case("digest-without-artifact", invented, EVIDENCE)
    yield case("step-without-plan", _planless(), EVIDENCE)
    twins = samples.plan_document(samples.STEPS[:1] * 2, section=1, serial=0)
    numbered = {**twins, "actions": {"steps": [{"id": 1}, {"id": "a"}]}}
    yield case("plan-ids-are-no-text", bound_to(plan=canonical_json(numbered)), EVIDENCE)
    yield case("plan-has-twins", bound_to(plan=canonical_json(twins)), EVIDENCE)
    yield case("plan-of-another-configuration", _configured(), EVIDENCE)
    yield case("plan-is-no-plan", bound_to(plan=b"[]"), EVIDENCE)
    yield case("plan-is-deep", bound_to(plan=b"[" * 100_000), EVIDENCE)
    elsewhere = {"step_id": "evil:step"}
    unknown = _rebuilt(
        step__started=lambda p: {k: v for k, v in {**p, **elsewhere}.items() if not k.startswith("artifact")},
        step__output=lambda p: {**p, **elsewhere},
        step__completed=lambda p: {**p, **elsewhere},
    )
    yield case("step-nobody-planned", unknown, EVIDENCE)
    artifact, step = {"path": "a.sh", "sha256": "1" * 64}, {"id": "a:b", "run": {"cmd": ["sh", "a.sh"]}}
    for label, document in {
        "path-is-a-number": {"artifacts": [{**artifact, "path": 1}], "steps": []},
        "digest-is-no-digest": {"artifacts": [{**artifact, "sha256": "../evil"}], "steps": []},
        "path-twice": {"artifacts": [artifact, artifact], "steps": []},
        "id-is-a-list": {"artifacts": [], "steps": [{**step, "id": []}]},
        "id-twice": {"artifacts": [], "steps": [step, step]},
        "argv-of-numbers": {"artifacts": [], "steps": [{**step, "run": {"cmd": [1, 2]}}]},
    }.items():
        bad = canonical_json(document)
        job = bound_to(bundle=bad)
        files = {**good(), NATIVE_EVENTS: job.log, "clockwork/sections/1/bundle.json": bad}
        yield Case(f"S-bundle-{label}", zipped(resign(files, job)), (EVIDENCE,))
    no_bundle = b'{"artifacts":[{"path":1}],"steps":[]}'
    job = bound_to(bundle=no_bundle)
    files = {**good(), NATIVE_EVENTS: job.log, "clockwork/sections/1/bundle.json": no_bundle}
    yield Case("S-bundle-is-no-bundle", zipped(resign(files, job)), (EVIDENCE,))


def _step_of(*, planned: tuple[Step, ...], bundled: tuple[Step, ...], ran: tuple[Step, ...]) -> Job:
    plan = canonical_json(samples.plan_document(planned, section=1, serial=0))
    bundle = canonical_json(samples.bundle_document(bundled))
    return bound_to(plan=plan, bundle=bundle, ran=ran, also=bundled)


def bound_to(
    *, plan: bytes = b"", bundle: bytes = b"", ran: tuple[Step, ...] = samples.STEPS[:1], also: tuple[Step, ...] = ()
) -> Job:
    """Return a finished job whose section binds these documents instead of its own, consistently approved."""
    job = samples.open_job(job_id="job_small", name="small")
    job.add("section.opened", section=1, verb="apply", cell="", call=0, inputs="0" * 64)
    mine = {
        "plan": job.blob(plan or canonical_json(samples.plan_document(ran, section=1, serial=0))),
        "bundle": job.blob(bundle or canonical_json(samples.bundle_document(ran))),
    }
    for step in (*ran, *also):
        job.blob(step.script)
    common = {"configuration": samples.configuration_digest(1), "lineage": "", "serial": 0}
    job.add("plan.bound", section=1, plan=mine["plan"], changes=1, **common)
    job.add("bundle.bound", section=1, bundle=mine["bundle"])
    job.add("policy.bound", section=1, policy="2" * 64)
    binds = {**common, **mine, "policy": "2" * 64, "environment": digest({"environment": 1})}
    approval, checkpoint = samples.ask(job, 1, binds)
    samples.grant(job, approval, checkpoint, binds, reason="go")
    samples.run_steps(job, 1, ran, approval)
    job.add("section.closed", section=1, outcome="completed", done=len(ran), failed=0, skipped=0)
    samples.close_job(job)
    return job


def _planless() -> Job:
    job = samples.open_job(job_id="job_small", name="small")
    job.add("section.opened", section=1, verb="apply", cell="", call=0, inputs="0" * 64)
    job.blob(samples.STEPS[0].script)
    samples.run_step(job, 1, 0, samples.STEPS[0])
    job.add("section.closed", section=1, outcome="completed", done=1, failed=0, skipped=0)
    samples.close_job(job)
    return job


def _configured() -> Job:
    document = samples.plan_document(samples.STEPS[:1], section=1, serial=0)
    return bound_to(plan=canonical_json({**document, "configuration": "9" * 64}))


def signatures() -> Iterator[Case]:
    files, job = good(), samples.small_job()
    envelope = parse_json(files[STATEMENT])
    payload = base64.b64decode(envelope["payload"])

    def case(label: str, data: bytes, *codes: str) -> Case:
        return Case(f"G-{label}", zipped(remanifest({**files, STATEMENT: data})), codes or (SIG_BAD,))

    def sealed(statement: bytes, key: SigningKey = KEY) -> bytes:
        return seal_envelope(statement, key)

    def stated(label: str, *codes: str, **fields: Any) -> Case:
        return case(label, sealed(canonical_json({**parse_json(payload), **fields})), *codes)

    one = envelope["signatures"][0]
    raw = base64.b64decode(one["sig"])
    order = 2**252 + 27742317777372353535851937790883648493
    large = raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")

    def enveloped(**fields: Any) -> bytes:
        return canonical_json({**envelope, **fields})

    def signed_with(sig: bytes, **fields: Any) -> bytes:
        return enveloped(signatures=[{**one, "sig": base64.b64encode(sig).decode(), **fields}])

    yield Case("G-stripped", zipped(remanifest(without(files, STATEMENT))), (REQUIRED,), (SIG_BAD,))
    yield case("empty", b"")
    yield case("not-json", b"x")
    yield case("no-signature", enveloped(signatures=[]))
    yield case("two-signatures", enveloped(signatures=[one, one]))
    yield case("second-junk", enveloped(signatures=[one, {"keyid": "0" * 64, "sig": "AAAA"}]))
    yield case("nine-signatures", enveloped(signatures=[one] * 9))
    yield case("keyid-edited", enveloped(signatures=[{**one, "keyid": "0" * 64}]))
    yield case("keyid-upper-case", enveloped(signatures=[{**one, "keyid": one["keyid"].upper()}]))
    yield case("extra-key", enveloped(evil=1))
    yield case("extra-key-in-signature", enveloped(signatures=[{**one, "cert": ""}]))
    yield case("type-case", enveloped(payloadType="application/vnd.in-toto+JSON"))
    yield case("other-type", enveloped(payloadType="application/json"))
    yield case("url-safe", enveloped(payload=base64.urlsafe_b64encode(payload + b"\xff\xfe\xfd").decode()))
    yield case("unpadded", signed_with(raw).replace(b"==", b""))
    yield case("newline", files[STATEMENT] + b"\n")
    yield case("spaced", files[STATEMENT].replace(b",", b", "))
    yield case("malleable", signed_with(large))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = one["sig"][-3]  # of its six bits the lowest four say nothing
    spare = one["sig"][:-3] + alphabet[alphabet.index(last) ^ 1] + "=="
    yield case("spare-bits", enveloped(signatures=[{**one, "sig": spare}]))
    yield case("zero-signature", signed_with(bytes(64)))
    yield case("short-signature", signed_with(raw[:63]))
    yield case("large-envelope", sealed(b"x" * 6_400_000))
    yield case(
        "payload-changed", enveloped(payload=base64.b64encode(payload.replace(b"job_small", b"job_smell")).decode())
    )
    yield stated("other-statement-type", _type="https://in-toto.io/Statement/v0.1")
    yield stated("other-predicate", predicateType="https://slsa.dev/provenance/v0.2")
    yield stated("subject-missing", SUBJECT, subject=parse_json(payload)["subject"][1:])
    yield stated("subject-twice", SUBJECT, subject=[*parse_json(payload)["subject"], parse_json(payload)["subject"][0]])
    yield stated("subject-order", SUBJECT, subject=parse_json(payload)["subject"][::-1])
    yield stated("no-subjects", SUBJECT, subject=[])
    yield stated("predicate-edited", EVIDENCE, predicate={**parse_json(payload)["predicate"], "evil": 1})
    other = tamper.unpack(tamper.pack(_renamed()).data)
    yield case("of-another-pack", other[STATEMENT], SUBJECT)
    yield case("not-a-statement", sealed(b'"hello"'))
    yield case("deep-statement", sealed(b"[" * 100_000))
    low = b"ssh-ed25519 " + base64.b64encode(KEY.public.blob[:-32] + bytes(32)) + b" clockwork\n"
    for label, line in {
        "low-order-key": low, "rsa-key": b"ssh-rsa AAAA clockwork\n", "no-key": b"", "binary-key": b"\xff\xfe",
        "key-comment": f"{KEY.public.line('evil')}\n".encode(), "key-without-newline": KEY.public.line("clockwork").encode(),
        "other-key": f"{samples.OTHER_KEY.public.line('clockwork')}\n".encode(),
    }.items():  # fmt: skip
        yield Case(f"G-{label}", zipped(remanifest({**files, SIGNER: line})), (SIG_BAD,))
    yield Case("G-signer-removed", zipped(remanifest(without(files, SIGNER))), (SIG_BAD,))
    yield Case("G-unknown-signer", zipped(resign(files, job, samples.OTHER_KEY)), (UNTRUSTED,), ("",))
    unsigned = remanifest(without(files, SIGNER, STATEMENT))
    yield Case("G-unsigned", zipped(unsigned), (REQUIRED,), ("",))
    for label, name in {"genesis": GENESIS, "events": NATIVE_EVENTS, "job": "job.json"}.items():
        yield Case(f"G-unsigned-without-{label}", zipped(remanifest(without(unsigned, name))), (REQUIRED,), (MISSING,))
    pae_as_payload = sealed(pae(envelope["payloadType"], payload))
    yield case("signed-pae", pae_as_payload)


def _renamed() -> Job:
    job = samples.open_job(job_id="job_other", name="small")
    samples.close_job(job)
    return job


def others() -> Iterator[Case]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(MANIFEST)
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))
    for label, data in {
        "empty": b"", "one-byte": b"P", "text": b"hello\n" * 100, "tar": buffer.getvalue(),
        "gzip": gzip.compress(b"x" * 1000, mtime=0), "7z": b"7z\xbc\xaf\x27\x1c" + bytes(64), "zeros": bytes(1 << 20),
        "end-record-only": rawzip.write([])[:4] * 6,
    }.items():  # fmt: skip
        yield Case(f"O-{label}", data, (MALFORMED,))
    yield Case("O-empty-archive", rawzip.write([]), (MANIFEST_BAD,))
    yield Case("O-our-files-without-evidence", zipped({k: v for k, v in good().items() if "/" not in k}), (MALFORMED,))


CLASSES: dict[str, Callable[[], Iterator[Case]]] = {
    "N": names, "D": duplicates, "H": headers, "L": layout, "E": end_records, "Z": zip64, "B": bombs, "T": types,
    "C": compression, "X": extras, "M": manifests, "F": contents, "S": evidence, "G": signatures, "O": others,
}  # fmt: skip
