"""What Wrkr's own ``verify`` does with a pack, written from its rules and not from our code: an independent judge.

The schemas are those of Wrkr's contract (draft 2020-12, closed at the top), by hand.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from datetime import datetime
from typing import Any

import jsonschema
import rfc8785

TEXT = {"type": "string", "minLength": 1}
ANY_TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
HEX = {"type": "string", "pattern": "^[a-f0-9]{64}$"}
TEXTS = {"type": "array", "items": TEXT}
ANY_TEXTS = {"type": "array", "items": ANY_TEXT}
STATUSES = "queued running paused blocked_decision blocked_budget blocked_error completed canceled".split()


def closed(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
        "additionalProperties": False,
    }


def schema(schema_id: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    envelope = {
        "schema_id": {"const": schema_id},
        "schema_version": {"type": "string", "pattern": r"^v1(\.[0-9]+)?$"},
        "created_at": {"type": "string", "format": "date-time"},
        "producer_version": TEXT,
    }
    return closed({**envelope, **required}, optional)


SCHEMAS = {
    "wrkr.jobpack_manifest": schema(
        "wrkr.jobpack_manifest",
        {
            "job_id": TEXT,
            "manifest_sha256": HEX,
            "files": {"type": "array", "items": closed({"path": TEXT, "sha256": HEX})},
        },
    ),
    "wrkr.job": schema("wrkr.job", {"job_id": TEXT, "name": TEXT, "status": TEXT, "budgets": {"type": "object"}}),
    "wrkr.event": schema(
        "wrkr.event",
        {
            "event_id": TEXT,
            "job_id": TEXT,
            "type": TEXT,
            "executed": {"type": "boolean"},
            "payload": {"type": "object"},
        },
    ),
    "wrkr.checkpoint": schema(
        "wrkr.checkpoint",
        {
            "checkpoint_id": TEXT,
            "job_id": TEXT,
            "type": {"enum": ["plan", "progress", "decision-needed", "blocked", "completed"]},
            "summary": {"type": "string", "minLength": 1, "maxLength": 2000},
            "status": {"enum": STATUSES},
            "budget_state": closed(
                dict.fromkeys(("wall_time_seconds", "retry_count", "step_count", "tool_call_count"), COUNT)
            ),
            "artifacts_delta": closed(dict.fromkeys(("added", "changed", "removed"), ANY_TEXTS)),
            "reason_codes": TEXTS,
        },
        {"required_action": closed({}, {"kind": ANY_TEXT, "instructions": ANY_TEXT})},
    ),
    "wrkr.approval_record": schema(
        "wrkr.approval_record", {"job_id": TEXT, "checkpoint_id": TEXT, "reason": TEXT, "approved_by": TEXT}
    ),
    "wrkr.artifacts_manifest": schema(
        "wrkr.artifacts_manifest",
        {
            "job_id": TEXT,
            "capture_mode": {"enum": ["reference-only", "raw"]},
            "artifacts": {
                "type": "array",
                "items": closed({"path": TEXT, "sha256": HEX}, {"redacted": {"type": "boolean"}}),
            },
        },
    ),
    "wrkr.accept_result": schema(
        "wrkr.accept_result",
        {
            "job_id": TEXT,
            "checks_run": COUNT,
            "checks_passed": COUNT,
            "failures": {
                "type": "array",
                "items": closed({"check": ANY_TEXT, "message": ANY_TEXT}, {"artifact": ANY_TEXT}),
            },
            "reason_codes": TEXTS,
        },
    ),
}
VALIDATORS = {name: jsonschema.Draft202012Validator(body) for name, body in SCHEMAS.items()}
DOCUMENTS = {
    "job.json": "wrkr.job",
    "artifacts_manifest.json": "wrkr.artifacts_manifest",
    "accept/accept_result.json": "wrkr.accept_result",
}
LINES = {
    "events.jsonl": "wrkr.event",
    "checkpoints.jsonl": "wrkr.checkpoint",
    "approvals.jsonl": "wrkr.approval_record",
}

_GO_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class Refused(Exception):
    """Wrkr would leave with this exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def go_date(text: str) -> str:
    """Return a date after Go has read it and written it again."""
    match = _GO_DATE.fullmatch(text)
    if match is None:
        raise Refused(1, "manifest cannot be decoded")
    try:
        datetime.fromisoformat(match[1])
    except ValueError:
        raise Refused(1, "manifest cannot be decoded") from None
    fraction = (match[2] or "").rstrip("0").rstrip(".")
    return match[1] + fraction + ("Z" if match[3] in {"Z", "+00:00", "-00:00"} else match[3])


def wrkr_verify(data: bytes) -> tuple[int, int]:
    """Return the exit status of ``wrkr verify``, and how many files it says it has verified."""
    try:
        return 0, _verify(data)
    except Refused as refused:
        return refused.status, 0


def _verify(data: bytes) -> int:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {info.filename: archive.read(info) for info in archive.infolist()}  # a later duplicate wins
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError):
        raise Refused(1, "the zip cannot be read") from None
    if "manifest.json" not in entries:
        raise Refused(1, "there is no manifest")
    try:
        manifest = json.loads(entries["manifest.json"])
    except ValueError:
        raise Refused(1, "manifest cannot be decoded") from None
    _valid("wrkr.jobpack_manifest", manifest)
    again = {**manifest, "created_at": go_date(manifest["created_at"]), "manifest_sha256": "0" * 64}
    if hashlib.sha256(rfc8785.dumps(again)).hexdigest() != manifest["manifest_sha256"]:
        raise Refused(2, "manifest_sha256 mismatch")
    listed = {item["path"]: item["sha256"] for item in manifest["files"]}
    for item in manifest["files"]:
        if item["path"] not in entries:
            raise Refused(2, "manifest references missing file")
        if hashlib.sha256(entries[item["path"]]).hexdigest() != item["sha256"]:
            raise Refused(2, "file hash mismatch")
    if entries.keys() - listed.keys() - {"manifest.json"}:
        raise Refused(2, "archive contains undeclared file")
    for name, schema_id in DOCUMENTS.items():
        if name in entries:
            _valid(schema_id, json.loads(entries[name]))
    for name, schema_id in LINES.items():
        for line in entries.get(name, b"").split(b"\n"):
            if line.strip():
                _valid(schema_id, json.loads(line))
    return len(manifest["files"])


def _valid(schema_id: str, document: Any) -> None:
    if not VALIDATORS[schema_id].is_valid(document):
        raise Refused(6, f"not a {schema_id}")
