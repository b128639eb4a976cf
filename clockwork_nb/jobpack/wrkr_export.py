"""Makes a jobpack of a Wrkr job folder: the contract files Wrkr would write, the originals untouched, and a signature.

The signature says what somebody imported. Nothing can say that the folder was not edited before: Wrkr's log has no
chain. Everything but the originals and the folder's name is recomputed by whoever verifies, so no other field is free.
The bytes are a function of the files, the folder's name and the signing key; a change of any of them is a new projection
version beside ``wrkr-import/1``, or packs made before it would not verify any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clockwork_nb.canonical import canonical_json, sha256_hex
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack.build import Pack, signer_line
from clockwork_nb.jobpack.layout import (
    ACCEPT,
    APPROVALS,
    ARTIFACTS,
    CHECKPOINTS,
    EVENTS,
    JOB,
    MANIFEST,
    PACK_FORMAT,
    SIGNER,
    STATEMENT,
    pack_name,
)
from clockwork_nb.jobpack.manifest import build_manifest, read_manifest
from clockwork_nb.jobpack.plain import plain_json
from clockwork_nb.jobpack.statement import PREDICATE_TYPE, STATEMENT_TYPE
from clockwork_nb.jobpack.writer import write_archive
from clockwork_nb.jobpack.wrkr_job import FILES, WrkrJob
from clockwork_nb.jobpack.wrkr_log import LOG
from clockwork_nb.signing import Signer, seal_envelope

__all__ = [
    "BUILD_TYPE",
    "FINDINGS",
    "IMPORTED",
    "IMPORT_SCHEMA",
    "PRODUCER",
    "PROJECTION",
    "contract_files",
    "export_import",
    "findings_document",
    "import_statement",
]

IMPORTED: Final = "clockwork/imported/"
FINDINGS: Final = f"{IMPORTED}findings.json"
IMPORT_SCHEMA: Final = "clockwork.import.v1"
BUILD_TYPE: Final = "urn:clockwork:buildtype:wrkr-import:v1"
PROJECTION: Final = "wrkr-import/1"
PRODUCER: Final = "dev"
"""What Wrkr calls itself in the packs it writes."""


def contract_files(job: WrkrJob) -> dict[str, bytes]:
    """Return every contract file but the manifest, by entry name, as Wrkr's own export writes them.

    Their dates are the last event's where Wrkr puts the time of the export, so that the same folder gives the same
    bytes. The job's status is the log's, also where Wrkr's snapshot hides events.
    """
    state = job.state
    files = {
        EVENTS: b"".join(
            _line(
                job,
                "wrkr.event",
                created_at=event.created_at,
                event_id=f"evt_{event.seq}",
                executed=event.payload.get("executed") is not False,
                payload=event.payload,
                type=event.type,
            )
            for event in job.log.events
        ),
        CHECKPOINTS: b"".join(canonical_json(record.document) + b"\n" for record in state.checkpoints),
        JOB: _line(job, "wrkr.job", name=job.job_id, status=state.status, budgets=state.counters)[:-1],
        ARTIFACTS: _line(
            job,
            "wrkr.artifacts_manifest",
            capture_mode="reference-only",
            artifacts=[{"path": path, "sha256": sha256_hex(f"reference:{path}".encode())} for path in _artifacts(job)],
        )[:-1],
    }
    if state.approvals:
        files[APPROVALS] = b"".join(canonical_json(record.document) + b"\n" for record in state.approvals)
    if job.acceptance is not None:
        files[ACCEPT] = canonical_json(job.acceptance)
    return files


def _line(job: WrkrJob, schema_id: str, **fields: Any) -> bytes:
    envelope = {
        "created_at": job.last_at,
        "job_id": job.job_id,
        "producer_version": PRODUCER,
        "schema_id": schema_id,
        "schema_version": "v1",
    }
    return canonical_json({**envelope, **fields}) + b"\n"


def _artifacts(job: WrkrJob) -> list[str]:
    # Names only; a path that was removed later stays, and one without a name has no place in the contract.
    deltas = [record.document["artifacts_delta"] for record in job.state.checkpoints]
    return sorted({path for delta in deltas for path in (*delta["added"], *delta["changed"]) if path})


def findings_document(job: WrkrJob) -> bytes:
    """Return the canonical bytes of ``clockwork/imported/findings.json``: what was read, and what is wrong with it."""
    return canonical_json(
        {
            "schema": IMPORT_SCHEMA,
            "projection": PROJECTION,
            "source": "wrkr",
            "folder": job.folder,
            "log": {"events": len(job.log.events), "bytes": job.log.size, "readable_bytes": job.log.readable},
            "state": job.to_document(),
            "findings": [finding.to_record() for finding in job.findings],
        }
    )


def import_statement(job: WrkrJob, subjects: Mapping[str, str], keyid: str) -> bytes:
    """Return the canonical statement about *subjects* (entry name → SHA-256), signed as *keyid*: it is an import.

    No version of the importer and no time of the import is in it: both would make the second export differ.
    """
    originals = [name for name in sorted(subjects) if name.startswith(IMPORTED) and name != FINDINGS]
    metadata = {"invocationId": f"wrkr-import:{job.job_id}"}
    if job.state.started_at:
        metadata["startedOn"] = job.state.started_at
    if job.final:
        metadata["finishedOn"] = job.last_at
    return plain_json(
        {
            "_type": STATEMENT_TYPE,
            "predicateType": PREDICATE_TYPE,
            "subject": [{"digest": {"sha256": subjects[name]}, "name": name} for name in sorted(subjects)],
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {"job_id": job.job_id, "source": "wrkr", "chained": False},
                    "internalParameters": {
                        "manifest": {"created_at": job.last_at, "job_id": job.job_id, "producer_version": PRODUCER},
                        "pack_format": PACK_FORMAT,
                        "projection": PROJECTION,
                    },
                    "resolvedDependencies": [
                        {"digest": {"sha256": subjects[name]}, "name": name} for name in originals
                    ],
                },
                "runDetails": {
                    "builder": {"id": f"urn:clockwork:key:sha256:{keyid}"},
                    "metadata": metadata,
                    "byproducts": [
                        {
                            "annotations": {
                                "count": str(len(job.log.events)),
                                "final": job.final,
                                "findings": str(len(job.findings)),
                                "status": job.state.status,
                            },
                            "digest": {"sha256": subjects[FINDINGS]},
                            "name": FINDINGS,
                        }
                    ],
                },
            },
        }
    )


def export_import(job: WrkrJob, originals: Mapping[str, bytes], *, key: Signer | None) -> Pack:
    """Return the pack of the folder whose files *job* was read from; with *key* it is signed.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: the log holds no event that can be read.
        PackLimitError: E_PACK_LIMIT: more than a pack may hold.
    """
    if not job.log.events:
        raise InvalidInputError(
            f"there is nothing to export: {LOG} holds no event that can be read",
            hint="The findings say where it breaks: clockwork job import FOLDER",
        )
    files = contract_files(job)
    files |= {IMPORTED + name: originals[name] for name in FILES if name in originals}
    files[FINDINGS] = findings_document(job)
    if key is not None:
        files[SIGNER] = signer_line(key.public)
        subjects = {name: sha256_hex(data) for name, data in files.items()}
        files[STATEMENT] = seal_envelope(import_statement(job, subjects, key.public.keyid), key)
    files[MANIFEST] = build_manifest(
        job_id=job.job_id,
        created_at=job.last_at,
        producer_version=PRODUCER,
        files={name: sha256_hex(data) for name, data in files.items()},
    )
    count = len(job.log.events)
    return Pack(
        data=write_archive(files),
        manifest_sha256=read_manifest(files[MANIFEST]).sha256,
        name=pack_name(job.job_id, count=count, final=job.final),
        final=job.final,
        job_id=job.job_id,
        count=count,
        head="",
    )
