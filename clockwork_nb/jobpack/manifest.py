"""``manifest.json`` of the contract (``wrkr.jobpack_manifest``): every other entry with its digest, and its own hash.

That hash is the identity of the pack: the footer, one line for a ticket, pins it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import InvalidInputError, ManifestInvalidError
from clockwork_nb.jobpack.contract import MANIFEST_RECORD
from clockwork_nb.jobpack.layout import MANIFEST, MAX_MANIFEST_BYTES
from clockwork_nb.jobpack.plain import parse_plain, plain_json
from clockwork_nb.patterns import pattern

__all__ = ["Footer", "Manifest", "build_manifest", "footer", "parse_footer", "read_manifest"]

_ZERO: Final = "0" * 64


class Manifest(Struct, frozen=True):
    """A manifest whose form and own hash are right; ``files`` maps path → SHA-256 in the order of the paths."""

    job_id: str
    created_at: str
    producer_version: str
    schema_version: str
    sha256: str
    files: Mapping[str, str]


def build_manifest(*, job_id: str, created_at: str, producer_version: str, files: Mapping[str, str]) -> bytes:
    """Return the canonical bytes of the manifest over *files* (path → SHA-256, without the manifest itself)."""
    document: dict[str, Any] = {
        "created_at": created_at,
        "files": [{"path": path, "sha256": files[path]} for path in sorted(files)],
        "job_id": job_id,
        "manifest_sha256": _ZERO,
        "producer_version": producer_version,
        "schema_id": "wrkr.jobpack_manifest",
        "schema_version": "v1",
    }
    document["manifest_sha256"] = sha256_hex(plain_json(document))
    return plain_json(document)


def read_manifest(data: bytes) -> Manifest:
    """Return the manifest in *data*: canonical bytes, the contract's fields, sorted paths once each, its own hash.

    Raises:
        ManifestInvalidError: E_MANIFEST_INVALID.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise _invalid(f"has {len(data)} bytes, more than {MAX_MANIFEST_BYTES}")
    try:
        document = parse_plain(data, what=MANIFEST)
        MANIFEST_RECORD.check(document, MANIFEST)
    except InvalidInputError as error:
        raise _invalid(f"is not valid: {error.message}") from None
    paths = [item["path"] for item in document["files"]]
    if any(a >= b for a, b in pairwise(paths)):
        raise _invalid("does not list each file once, in order")
    if MANIFEST in paths:
        raise _invalid("lists itself")
    stored = document["manifest_sha256"]
    found = sha256_hex(plain_json({**document, "manifest_sha256": _ZERO}))
    if stored != found:
        raise ManifestInvalidError(
            f"{MANIFEST} does not have the hash it states",
            details={"path": MANIFEST, "expected": stored, "found": found},
        )
    return Manifest(
        document["job_id"],
        document["created_at"],
        document["producer_version"],
        document["schema_version"],
        stored,
        {item["path"]: item["sha256"] for item in document["files"]},
    )


def _invalid(fault: str) -> ManifestInvalidError:
    return ManifestInvalidError(f"{MANIFEST} {fault}", details={"path": MANIFEST})


class Footer(Struct, frozen=True):
    """What a footer line says; ``target`` is what to verify."""

    job_id: str
    manifest_sha256: str
    target: str


_FOOTER: Final = pattern(
    r'CLOCKWORK job_id=([a-z0-9][a-z0-9._-]{0,63}) manifest=sha256:([0-9a-f]{64}) verify="clockwork jobpack verify ([^"\n]+)"'
)


def footer(job_id: str, manifest_sha256: str, target: str) -> str:
    """Return the line for a ticket: which job, which pack, and the command that checks it."""
    line = f'CLOCKWORK job_id={job_id} manifest=sha256:{manifest_sha256} verify="clockwork jobpack verify {target}"'
    parse_footer(line)
    return line


def parse_footer(line: str) -> Footer:
    """Return what a footer line says.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: the whole line must be a footer and nothing else.
    """
    match = _FOOTER.fullmatch(line)
    if match is None:
        raise InvalidInputError(
            "this is not a jobpack footer",
            hint='It has the form: CLOCKWORK job_id=ID manifest=sha256:HEX verify="clockwork jobpack verify TARGET"',
        )
    return Footer(match[1], match[2], match[3])
