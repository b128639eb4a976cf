"""Names: resource addresses, the slugs they get on disk, job ids."""

from __future__ import annotations

import hashlib
import os
import re
import time

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.patterns import pattern

__all__ = ["JOB_ID", "check_job_id", "new_job_id", "new_ulid", "slug", "step_id", "valid_address"]

JOB_ID = pattern(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_ADDRESS = pattern(r'[A-Za-z_][\w-]*\.[A-Za-z_][\w-]*(\[(?:\d+|"(?:[^"\\]|\\.)*")\])?\Z')
_PLAIN = pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})


def valid_address(text: str) -> bool:
    """Return whether *text* is ``type.name`` with an optional ``[index]`` or ``["key"]``."""
    return _ADDRESS.match(text) is not None


def slug(address: str) -> str:
    """Return a file name for *address*, the same for ever, ASCII, at most 100 characters, never shared.

    >>> slug("service.web"), slug('file.page["a/b"]')
    ('service.web', 'file.page-a-b-2c1d9cfb')
    """
    if _PLAIN.match(address) and not address.endswith(".") and ".." not in address:
        return address
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", address).strip("-.")[:80] or "x"
    return f"{plain}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"


def step_id(address: str, action: str) -> str:
    """Return the stable id of a step: ``<address>:<action>``."""
    return f"{address}:{action}"


def new_ulid(*, now_ms: int | None = None, randomness: bytes | None = None) -> str:
    """Return a fresh ULID in lower case, 26 characters, sortable by time."""
    stamp = int(time.time() * 1000) if now_ms is None else now_ms
    number = (stamp << 80) | int.from_bytes(randomness or os.urandom(10), "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def new_job_id(*, now_ms: int | None = None, randomness: bytes | None = None) -> str:
    """Return a fresh job id: ``job_`` and a ULID."""
    return "job_" + new_ulid(now_ms=now_ms, randomness=randomness)


def check_job_id(text: str) -> str:
    """Return *text* when it is a job id.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    if not JOB_ID.match(text) or text.endswith(".") or text.split(".", maxsplit=1)[0] in _DEVICES:
        raise InvalidInputError(
            f"{text!r} is not a job id", hint="A job id has 1 to 64 of a-z 0-9 . _ - and starts with a letter or digit."
        )
    return text
