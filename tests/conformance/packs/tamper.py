"""What an attacker does to a pack: take it apart, change something, put it together again, perhaps sign it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.jobpack.build import Pack, assemble_jobpack, build_jobpack, signer_line
from clockwork_nb.jobpack.history import read_history
from clockwork_nb.jobpack.layout import GENESIS, MANIFEST, NATIVE_EVENTS, SIGNER, STATEMENT
from clockwork_nb.jobpack.report import VerificationReport
from clockwork_nb.jobpack.statement import build_statement
from clockwork_nb.jobpack.verify import verify_jobpack
from clockwork_nb.signing import Signer, SigningKey, TrustedKey, TrustStore, seal_envelope
from tests.conformance.packs import rawzip
from tests.conformance.packs.samples import KEY, Job

Files = dict[str, bytes]
TRUST = TrustStore((TrustedKey("ops", KEY.public),))


def pack(job: Job, key: Signer | None = KEY, **options: Any) -> Pack:
    """Return the honest pack of *job*."""
    return build_jobpack(job.genesis, job.log, job.blobs.__getitem__, key=key, **options)


def forge(job: Job, key: SigningKey | None = KEY) -> bytes:
    """Return the pack that somebody makes who skips every check of the log."""
    native = {GENESIS: job.genesis, NATIVE_EVENTS: job.log}
    return assemble_jobpack(job.header, job.events, native, job.blobs.__getitem__, key=key).data


def unpack(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Mapping[str, bytes]) -> bytes:
    return rawzip.write(rawzip.files_of(files))


def manifest_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the manifest of *document* with the right hash of its own."""
    zero = {**document, "manifest_sha256": "0" * 64}
    return canonical_json({**zero, "manifest_sha256": sha256_hex(canonical_json(zero))})


def remanifest(files: Mapping[str, bytes], **fields: Any) -> Files:
    """Return *files* with a manifest that fits them; *fields* replace fields of it."""
    document = parse_json(files[MANIFEST])
    document["files"] = [
        {"path": name, "sha256": sha256_hex(files[name])} for name in sorted(files) if name != MANIFEST
    ]
    return {**files, MANIFEST: manifest_bytes({**document, **fields})}


def resign(files: Mapping[str, bytes], job: Job, key: SigningKey = KEY) -> Files:
    """Return *files* signed again, with a statement about exactly them, and a fitting manifest."""
    out = dict(files)
    out[SIGNER] = signer_line(key.public)
    subjects = {name: sha256_hex(data) for name, data in out.items() if name not in {MANIFEST, STATEMENT}}
    history = read_history(job.header, job.events)
    out[STATEMENT] = seal_envelope(build_statement(history, subjects, key.public.keyid), key)
    return remanifest(out)


def edit(files: Mapping[str, bytes], name: str, change: Callable[[bytes], bytes]) -> Files:
    return {**files, name: change(files[name])}


def without(files: Mapping[str, bytes], *names: str) -> Files:
    return {name: data for name, data in files.items() if name not in names}


def verify(data: bytes, **options: Any) -> VerificationReport:
    return verify_jobpack(data, **{"trust": TRUST, **options})


def code(report: VerificationReport) -> str:
    return report.failure.code if report.failure is not None else ""
