"""Makes a jobpack: a function of the job folder's bytes and the signing key, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import EvidenceInconsistentError, PackLimitError
from clockwork_nb.jobpack.contents import (
    BundleView,
    LeftOut,
    environment_document,
    evidence_entries,
    left_out_document,
    may_be_left_out,
    read_bundle,
)
from clockwork_nb.jobpack.crate import build_crate
from clockwork_nb.jobpack.history import History, read_history
from clockwork_nb.jobpack.layout import (
    CRATE,
    ENVIRONMENT,
    GENESIS,
    MANIFEST,
    MAX_ARTIFACT_BYTES,
    NATIVE_EVENTS,
    NOT_INCLUDED,
    REPORT,
    SIGNER,
    STATEMENT,
    pack_name,
    section_name,
)
from clockwork_nb.jobpack.log import read_log
from clockwork_nb.jobpack.manifest import build_manifest, read_manifest
from clockwork_nb.jobpack.projection import project
from clockwork_nb.jobpack.report_html import build_report
from clockwork_nb.jobpack.statement import build_statement
from clockwork_nb.jobpack.writer import write_archive
from clockwork_nb.jobs.events import Event
from clockwork_nb.signing import MAX_ENVELOPE_BYTES, PublicKey, Signer, seal_envelope

__all__ = ["SIGNER_COMMENT", "Pack", "assemble_jobpack", "build_jobpack", "signer_line"]

SIGNER_COMMENT: Final = "clockwork"


class Pack(Struct, frozen=True):
    """A finished pack. ``name`` is its file name; ``final`` is False when the job goes on after it.

    ``left_out`` are the published artifacts that were too large for it.
    """

    data: bytes
    manifest_sha256: str
    name: str
    final: bool
    job_id: str
    count: int
    head: str
    left_out: tuple[LeftOut, ...] = ()


def signer_line(key: PublicKey) -> bytes:
    """Return the content of ``clockwork/signer.pub``."""
    return f"{key.line(SIGNER_COMMENT)}\n".encode()


def build_jobpack(
    genesis: bytes,
    events: bytes,
    get_blob: Callable[[str], bytes],
    *,
    key: Signer | None,
    get_size: Callable[[str], int] | None = None,
    most: int = MAX_ARTIFACT_BYTES,
) -> Pack:
    """Return the pack of the job whose header is *genesis* (``job.json``) and whose log is *events* (``events.jsonl``).

    *get_blob* returns the content named by a SHA-256, *get_size* its size in bytes. A published artifact of more than
    *most* bytes is listed by its digest and not included. With *key* the pack is signed. A broken log is not exported.

    Raises:
        ChainBrokenError: E_CHAIN_BROKEN: the log is not an unbroken chain.
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: events that cannot follow each other, or a blob that is not
            what the log says.
        PackLimitError: E_PACK_LIMIT: more than a pack may hold.
    """
    header, records = read_log(genesis, events)
    native = {GENESIS: genesis, NATIVE_EVENTS: events}
    return assemble_jobpack(header, records, native, get_blob, key=key, get_size=get_size, most=most)


def assemble_jobpack(
    header: Mapping[str, Any],
    records: Sequence[Event],
    native: Mapping[str, bytes],
    get_blob: Callable[[str], bytes],
    *,
    key: Signer | None,
    get_size: Callable[[str], int] | None = None,
    most: int = MAX_ARTIFACT_BYTES,
) -> Pack:
    """Return the pack of a log that was read and checked already; *native* are its two files by entry name.

    Raises:
        EvidenceInconsistentError, PackLimitError: as `build_jobpack`.
    """
    history = read_history(header, records)
    files = dict(native)
    evidence, left_out = _evidence(history, get_blob, get_size or (lambda sha256: len(get_blob(sha256))), most)
    files |= evidence
    projector, contract = project(header, records, [item.sha256 for item in left_out])
    files |= contract
    if left_out:
        files[NOT_INCLUDED] = left_out_document(most, left_out)
    environment = environment_document(history)
    if environment is not None:
        files[ENVIRONMENT] = environment
    files[REPORT] = build_report(history)
    files[CRATE] = build_crate(history, files)
    if key is not None:
        files[SIGNER] = signer_line(key.public)
        subjects = {name: sha256_hex(data) for name, data in files.items()}
        files[STATEMENT] = _signed(build_statement(history, subjects, key.public.keyid), key, len(subjects))
    files[MANIFEST] = build_manifest(
        job_id=history.job_id,
        created_at=projector.created_at,
        producer_version=projector.producer_version,
        files={name: sha256_hex(data) for name, data in files.items()},
    )
    return Pack(
        data=write_archive(files),
        manifest_sha256=read_manifest(files[MANIFEST]).sha256,
        name=pack_name(history.job_id, count=history.count, final=history.finished),
        final=history.finished,
        job_id=history.job_id,
        count=history.count,
        head=history.head,
        left_out=tuple(left_out),
    )


def _signed(statement: bytes, key: Signer, files: int) -> bytes:
    envelope = seal_envelope(statement, key)
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise PackLimitError(
            f"the signature over {files} files takes {len(envelope)} bytes, more than {MAX_ENVELOPE_BYTES}",
            hint="Publish fewer artifacts, or export without a signature.",
        )
    return envelope


def _evidence(
    history: History, get_blob: Callable[[str], bytes], get_size: Callable[[str], int], most: int
) -> tuple[dict[str, bytes], list[LeftOut]]:
    contents: dict[str, bytes] = {}

    def blob(sha256: str) -> bytes:
        if sha256 not in contents:
            data = get_blob(sha256)
            if sha256_hex(data) != sha256:
                raise EvidenceInconsistentError(
                    f"the blob {sha256} does not have that content",
                    details={"expected": sha256, "found": sha256_hex(data)},
                )
            contents[sha256] = data
        return contents[sha256]

    bundles: dict[str, BundleView] = {}
    for section in history.sections.values():
        for sha256 in section.bundles:
            bundles[sha256] = read_bundle(blob(sha256), section_name(section.number, "bundle"))
    optional = may_be_left_out(history, bundles)
    files: dict[str, bytes] = {}
    left_out: list[LeftOut] = []
    for name, sha256 in evidence_entries(history, bundles).items():
        size = get_size(sha256) if name in optional else 0
        if size > most:
            left_out.append(LeftOut(name, sha256, size))
        else:
            files[name] = blob(sha256)
    return files, left_out
