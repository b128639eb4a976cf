"""The shape of a jobpack: which names may be in it, what they are called, and how large it may be.

Pure names and numbers. What stands where is a function of the event log (`clockwork_nb.jobpack.contents`).
"""

from __future__ import annotations

import re
from typing import Final

from clockwork_nb.errors import PackUnsafePathError
from clockwork_nb.patterns import pattern

__all__ = [
    "ACCEPT",
    "APPROVALS",
    "ARTIFACTS",
    "CHECKPOINTS",
    "CRATE",
    "ENVIRONMENT",
    "EVENTS",
    "GENESIS",
    "JOB",
    "MANIFEST",
    "MAX_ARTIFACT_BYTES",
    "MAX_ENTRIES",
    "MAX_EVENT_BYTES",
    "MAX_EVENT_RECORDS",
    "MAX_MANIFEST_BYTES",
    "MAX_NAME_BYTES",
    "MAX_PACK_BYTES",
    "MAX_PART_BYTES",
    "NATIVE_EVENTS",
    "NOTEBOOKS",
    "NOT_INCLUDED",
    "PACK_FORMAT",
    "PUBLISHED_BY_US",
    "REPORT",
    "SIGNER",
    "SPEC_TEXTS",
    "STATEMENT",
    "artifact_name",
    "blob_name",
    "check_entry_name",
    "is_entry_name",
    "log_name",
    "notebook_name",
    "pack_name",
    "section_name",
]

NOTEBOOKS: Final = ("notebook/input.ipynb", "notebook/output.ipynb")
SPEC_TEXTS: Final = ("jobspec.json", "jobspec.yaml")
PUBLISHED_BY_US: Final = frozenset({*NOTEBOOKS, *SPEC_TEXTS})
"""Paths under which a job publishes what it was made from; each is an entry of the same name."""

PACK_FORMAT: Final = "clockwork.jobpack.v1"

MANIFEST: Final = "manifest.json"
JOB: Final = "job.json"
EVENTS: Final = "events.jsonl"
CHECKPOINTS: Final = "checkpoints.jsonl"
ARTIFACTS: Final = "artifacts_manifest.json"
APPROVALS: Final = "approvals.jsonl"
ACCEPT: Final = "accept/accept_result.json"

GENESIS: Final = "clockwork/genesis.json"
NATIVE_EVENTS: Final = "clockwork/events.jsonl"
ENVIRONMENT: Final = "clockwork/environment.json"
REPORT: Final = "clockwork/report.html"
CRATE: Final = "clockwork/ro-crate-metadata.json"
NOT_INCLUDED: Final = "clockwork/not_included.json"
SIGNER: Final = "clockwork/signer.pub"
STATEMENT: Final = "clockwork/statement.dsse.json"

MAX_ENTRIES: Final = 50_000
MAX_PACK_BYTES: Final = 512 * 1024 * 1024
MAX_ARTIFACT_BYTES: Final = 64 * 1024 * 1024
"""A published artifact up to this size is in the pack unless the exporter says otherwise; a larger one is only named."""
MAX_MANIFEST_BYTES: Final = 16 * 1024 * 1024
MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
MAX_EVENT_RECORDS: Final = 200_000
MAX_NAME_BYTES: Final = 240
MAX_PART_BYTES: Final = 100

_PART: Final = pattern(r"[A-Za-z0-9_][A-Za-z0-9._+@=,-]*\Z")
_DEVICES: Final = "con|prn|aux|nul|com[0-9]|lpt[0-9]"


def _fault(name: str) -> str:
    # Why a name is refused. The grammar means the same on every file system: ASCII parts without blanks, colons,
    # tildes or leading dots.
    if not name or len(name) > MAX_NAME_BYTES:
        return f"is empty or longer than {MAX_NAME_BYTES} bytes"
    parts = name.split("/")
    if len(parts) > 8:
        return "has more than 8 parts"
    if any(len(part) > MAX_PART_BYTES for part in parts):
        return f"has a part longer than {MAX_PART_BYTES} bytes"
    if all(_PART.match(part) and not part.endswith(".") for part in parts):
        return "has a part that is a device on some systems"
    return "is not made of plain parts (letters, digits, _ . + @ = , -)"


_PART_TEXT: Final = r"[A-Za-z0-9_][A-Za-z0-9._+@=,-]{0,99}(?<!\.)"
_WHOLE: Final = pattern(rf"(?:{_PART_TEXT}/){{0,7}}{_PART_TEXT}\Z")
_ANY_DEVICE: Final = pattern(rf"(?:\A|/)(?:{_DEVICES})(?:[./]|\Z)", re.IGNORECASE)


def is_entry_name(name: str) -> bool:
    """Return whether *name* may be the name of an entry: relative, ASCII, the same file on every system."""
    return len(name) <= MAX_NAME_BYTES and _WHOLE.match(name) is not None and _ANY_DEVICE.search(name) is None


def check_entry_name(name: str) -> str:
    """Return *name* when it may be the name of an entry.

    Raises:
        PackUnsafePathError: E_PACK_UNSAFE_PATH.
    """
    if not is_entry_name(name):
        raise PackUnsafePathError(f"the entry name {name[:120]!r} {_fault(name)}", details={"path": name[:240]})
    return name


def section_name(section: int, document: str) -> str:
    """Return the entry of one of a section's documents: ``plan, bundle, state_before, state_after``."""
    return f"clockwork/sections/{section}/{document}.json"


def artifact_name(section: int, path: str) -> str:
    """Return the entry of the artifact *path* of a section's bundle."""
    return f"clockwork/artifacts/{section}/{path}"


def log_name(section: int, index: int, attempt: int, stream: str) -> str:
    """Return the entry of what a step printed; *stream* is ``out`` or ``err``.

    >>> log_name(1, 7, 2, "err")
    'clockwork/logs/1-0007.2.err'
    """
    return f"clockwork/logs/{section}-{index:04d}.{attempt}.{stream}"


def notebook_name(path: str) -> str:
    """Return the entry of one of `PUBLISHED_BY_US`."""
    return f"clockwork/{path}"


def blob_name(sha256: str) -> str:
    """Return the entry of evidence that has no name of its own."""
    return f"clockwork/blobs/{sha256}"


def pack_name(job_id: str, *, count: int, final: bool) -> str:
    """Return the file name of a pack; one of a job that has not finished says after which event it was made."""
    return f"jobpack_{job_id}.zip" if final else f"jobpack_{job_id}.at{count}.zip"
