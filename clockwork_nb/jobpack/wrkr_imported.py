"""Verifies the pack of an imported Wrkr job folder: everything is recomputed from the originals that it carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import (
    EvidenceInconsistentError,
    InvalidInputError,
    ManifestInvalidError,
    PackMissingError,
    PackUndeclaredError,
)
from clockwork_nb.jobpack.archive import Archive
from clockwork_nb.jobpack.layout import GENESIS, MANIFEST, SIGNER, STATEMENT
from clockwork_nb.jobpack.manifest import Manifest
from clockwork_nb.jobpack.wrkr_export import (
    FINDINGS,
    IMPORTED,
    PRODUCER,
    contract_files,
    findings_document,
    import_statement,
)
from clockwork_nb.jobpack.wrkr_job import FILES, WrkrJob, read_job
from clockwork_nb.jobpack.wrkr_log import LOG, Finding
from clockwork_nb.jobpack.wrkr_values import parse_document

__all__ = ["IMPORT_PROFILE", "ImportFacts", "is_import", "verify_import"]

IMPORT_PROFILE: Final = "wrkr-import"
_SHOWN: Final = 5


class ImportFacts(Struct, frozen=True):
    """What a pack says whose files are what its originals give.

    ``missing`` is what such a pack cannot show, ``notes`` what is wrong with the folder it was made of.
    """

    job: WrkrJob
    files: int
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def events(self) -> int:
        """How many events the log holds."""
        return len(self.job.log.events)

    def statement(self, subjects: Mapping[str, str], keyid: str) -> bytes:
        """Return the statement that belongs to the pack when *keyid* has signed it."""
        return import_statement(self.job, subjects, keyid)

    def to_facts(self) -> dict[str, Any]:
        """Return the facts as fields of a `VerificationReport`."""
        job = self.job
        return {
            "job_id": job.job_id,
            "name": job.job_id,
            "status": job.state.status,
            "final": job.final,
            "count": self.events,
            "counts": {
                "files": self.files,
                "events": self.events,
                "cells": 0,
                "steps": len(job.state.steps),
                "failed": 0,
                "sections": 0,
                "approvals": len(job.state.approvals),
            },
        }


def is_import(archive: Archive) -> bool:
    """Return whether the pack says that it is an import; then it is held to the rules of one."""
    return FINDINGS in archive.entries and GENESIS not in archive.entries


def verify_import(archive: Archive, manifest: Manifest, digests: Mapping[str, str], signer: str) -> ImportFacts:
    """Return the facts of an import whose files have the *digests* (entry → SHA-256) that *manifest* lists.

    *signer* is who signed it, empty when nobody did.

    Raises:
        PackMissingError, PackUndeclaredError: E_PACK_MISSING, E_PACK_UNDECLARED.
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: a file is not what the originals give.
        ManifestInvalidError: E_MANIFEST_INVALID.
    """
    job = _read_originals(archive)
    _compare(job, manifest, digests)
    return ImportFacts(job, len(digests), _gaps(job, signer), _notes(job))


def _read_originals(archive: Archive) -> WrkrJob:
    """Return the job of the originals in the pack.

    Raises:
        PackMissingError: E_PACK_MISSING: the log is not there.
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: the originals are no job folder.
    """
    names = {IMPORTED + name: name for name in FILES}
    if IMPORTED + LOG not in archive.entries:
        raise PackMissingError(f"{IMPORTED}{LOG} is missing", details={"path": IMPORTED + LOG})
    originals = {name: archive.read(entry) for entry, name in names.items() if entry in archive.entries}
    try:
        job = read_job(_folder(archive.read(FINDINGS)), originals)
    except InvalidInputError as error:
        raise EvidenceInconsistentError(error.message, details={"path": IMPORTED + LOG}) from None
    if not job.log.events:
        raise EvidenceInconsistentError("the log holds no event", details={"path": IMPORTED + LOG})
    return job


def _folder(findings: bytes) -> str:
    """Return the one fact that the originals do not tell: the folder's name.

    Raises:
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT.
    """
    try:
        document = parse_document(findings, FINDINGS)
    except InvalidInputError as error:
        raise EvidenceInconsistentError(error.message, details={"path": FINDINGS}) from None
    folder = document.get("folder") if type(document) is dict else None
    if type(folder) is not str or len(folder) > 255:
        raise EvidenceInconsistentError(f"{FINDINGS} names no folder", details={"path": FINDINGS})
    return folder


def _compare(job: WrkrJob, manifest: Manifest, digests: Mapping[str, str]) -> None:
    expected = {name: sha256_hex(data) for name, data in contract_files(job).items()}
    expected[FINDINGS] = sha256_hex(findings_document(job))
    # Who signed, and that it is about these files, is settled before; an unsigned pack with a signer was refused.
    free = {MANIFEST, SIGNER, STATEMENT, *(IMPORTED + name for name in FILES)}
    for name in sorted(digests.keys() - expected.keys() - free):
        raise PackUndeclaredError(f"an import has no place for {name}", details={"path": name})
    for name in sorted(expected):
        if name not in digests:
            raise PackMissingError(f"{name} is missing; the originals give it", details={"path": name})
        if digests[name] != expected[name]:
            raise EvidenceInconsistentError(
                f"{name} is not what the originals give",
                details={"path": name, "expected": expected[name], "found": digests[name]},
            )
    stated = (manifest.job_id, manifest.created_at, manifest.producer_version, manifest.schema_version)
    if stated != (job.job_id, job.last_at, PRODUCER, "v1"):
        raise ManifestInvalidError(f"{MANIFEST} is not what the originals give", details={"path": MANIFEST})


def _gaps(job: WrkrJob, signer: str) -> tuple[str, ...]:
    """Return what the pack of an import cannot show. *signer* is who imported, empty when that is not known."""
    gaps = [
        f"a chained log: this shows what {signer or 'somebody'} imported, not that nobody edited it before",
        "approvals bound to what was approved: Wrkr records a name and a reason, no digest",
        "plans, scripts and what steps printed",
    ]
    if any(any(record.document["artifacts_delta"].values()) for record in job.state.checkpoints):
        gaps.append("artifact contents: Wrkr's digests are of the names")
    return tuple(gaps)


def _notes(job: WrkrJob) -> tuple[str, ...]:
    """Return what was found wrong with the folder, worst first, as few lines as one screen bears."""
    order = {"damage": 0, "contradiction": 1, "note": 2}
    findings = sorted(job.findings, key=lambda finding: order[finding.severity])
    out = [f"{finding.code}{_place(finding)}: {finding.message}" for finding in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        out.append(f"and {len(findings) - _SHOWN} more, in {FINDINGS}")
    return tuple(out)


def _place(finding: Finding) -> str:
    if finding.seq is not None:
        return f" at event {finding.seq}"
    return f" at byte {finding.offset}" if finding.offset is not None else ""
