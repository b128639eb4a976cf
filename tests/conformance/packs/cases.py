"""What one hostile archive of the corpus is: its bytes, and the codes it may end with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.conformance.packs import rawzip, samples, tamper
from tests.conformance.packs.rawzip import File
from tests.conformance.packs.tamper import Files

MALFORMED, UNSAFE, DUPLICATE = "E_PACK_MALFORMED", "E_PACK_UNSAFE_PATH", "E_PACK_DUPLICATE"
LIMIT, UNDECLARED, MISSING = "E_PACK_LIMIT", "E_PACK_UNDECLARED", "E_PACK_MISSING"
MANIFEST_BAD, HASH, CHAIN = "E_MANIFEST_INVALID", "E_VERIFY_HASH_MISMATCH", "E_CHAIN_BROKEN"
EVIDENCE, SIG_BAD, SUBJECT = "E_EVIDENCE_INCONSISTENT", "E_SIG_INVALID", "E_SIG_SUBJECT"
EXPIRED, REVOKED = "E_SIG_EXPIRED", "E_SIG_REVOKED"
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
def good_bytes() -> bytes:
    return tamper.pack(samples.small_job()).data


def good() -> Files:
    return tamper.unpack(good_bytes())


def good_files() -> list[File]:
    return rawzip.files_of(good())
