"""A new key in place of the old one: the old key signs a statement about the new one, so that trust can follow.

The statement is a DSSE envelope of its own payload type, signed by the old key. Inside, the new key has signed that it
is the one meant: nobody can hand their name to a key that is not theirs.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.clock import rfc3339
from clockwork_nb.errors import (
    InvalidInputError,
    SignatureInvalidError,
    SignatureRevokedError,
    SignatureUntrustedError,
)
from clockwork_nb.fs import create_atomic, write_atomic
from clockwork_nb.signing.envelope import open_envelope, pae, seal_envelope
from clockwork_nb.signing.keyfiles import DEFAULT_KEY, key_path, keys_folder, read_signing_key
from clockwork_nb.signing.keys import PublicKey, Signer, SigningKey, parse_public_key
from clockwork_nb.signing.trust import (
    TrustedKey,
    TrustStore,
    allowed_signers_line,
    append_line,
    former_keys_file,
    read_lines,
    trust_file,
)

__all__ = [
    "ROTATION_TYPE",
    "Rotated",
    "Rotation",
    "accept_rotation",
    "read_rotation",
    "rotate_key",
    "rotation_statement",
]

ROTATION_TYPE: Final = "application/vnd.clockwork.key-rotation+json"
_ACCEPTANCE_TYPE: Final = "application/vnd.clockwork.key-rotation-acceptance"
_SCHEMA: Final = "clockwork.key_rotation.v1"
_MOST: Final = 64 * 1024


class Rotation(Struct, frozen=True):
    """A checked statement: *old* says that *new* takes its place, and *new* agrees. ``at`` is RFC 3339, UTC."""

    old: PublicKey
    new: PublicKey
    at: str


class Rotated(Struct, frozen=True):
    """What a rotation made."""

    rotation: Rotation
    statement: Path


def rotation_statement(old: Signer, new: Signer, at: str) -> bytes:
    """Return the statement that *new* takes the place of *old* at the time *at* (RFC 3339, UTC)."""
    acceptance = new.sign(pae(_ACCEPTANCE_TYPE, old.public.blob))
    document = {
        "schema": _SCHEMA,
        "old": old.public.line(),
        "new": new.public.line(),
        "rotated_at": at,
        "accepted": base64.b64encode(acceptance).decode(),
    }
    return seal_envelope(canonical_json(document), old, payload_type=ROTATION_TYPE)


def read_rotation(data: bytes) -> Rotation:
    """Return what the statement in *data* says, both signatures checked. Whether *old* is trusted is another question.

    Raises:
        SignatureInvalidError: E_SIG_INVALID.
    """
    if len(data) > _MOST:
        raise SignatureInvalidError(f"a key rotation has at most {_MOST} bytes")
    envelope = open_envelope(data, payload_type=ROTATION_TYPE)
    try:
        match parse_json(envelope.payload, what="the key rotation"):
            case {"schema": str(schema), "old": str(old_line), "new": str(new_line), "rotated_at": str(at),
                  "accepted": str(accepted), **rest} if schema == _SCHEMA and not rest:  # fmt: skip
                old, new = parse_public_key(old_line), parse_public_key(new_line)
                moment = datetime.fromisoformat(at)
                acceptance = base64.b64decode(accepted, validate=True)
            case _:
                raise SignatureInvalidError("this is not a key rotation")
    except (InvalidInputError, ValueError, binascii.Error) as error:
        raise SignatureInvalidError(f"the key rotation cannot be read: {error}") from None
    if moment.utcoffset() is None:
        raise SignatureInvalidError("the key rotation has no time")
    if not envelope.signed_by(old):
        raise SignatureInvalidError("the key rotation is not signed by the old key")
    if not new.verifies(acceptance, pae(_ACCEPTANCE_TYPE, old.blob)):
        raise SignatureInvalidError("the new key has not agreed to the rotation")
    return Rotation(old, new, at)


def rotate_key(config_dir: Path, now: datetime) -> Rotated:
    """Replace the own key of *config_dir* by a new one and return what was made.

    The statement is written first and the key replaced last: whatever happens in between, the key that is there is
    trusted and can sign. Of the old key only the public half is left; it counts for what was signed until *now*.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no key to rotate.
        StoreIOError: E_STORE_IO.
    """
    path = key_path(config_dir)
    try:
        old = read_signing_key(path)
    except FileNotFoundError:
        raise InvalidInputError("there is no key to rotate", hint="clockwork keys init") from None
    new = SigningKey.generate()
    moment = now.replace(microsecond=0)
    at = rfc3339(moment)
    statement = _write_numbered(keys_folder(config_dir), rotation_statement(old, new, at))
    append_line(
        former_keys_file(config_dir), allowed_signers_line(TrustedKey(DEFAULT_KEY, old.public, valid_before=moment))
    )
    write_atomic(path, new.to_pem(), mode=0o600)
    write_atomic(path.with_suffix(".pub"), f"{new.public.line(DEFAULT_KEY)}\n".encode(), mode=0o644)
    return Rotated(Rotation(old.public, new.public, at), statement)


def _write_numbered(folder: Path, data: bytes) -> Path:
    number = 1
    while True:
        path = folder / f"rotation-{number}.dsse.json"
        try:
            create_atomic(path, data, mode=0o644)
        except FileExistsError:
            number += 1
        else:
            return path


def accept_rotation(config_dir: Path, data: bytes) -> dict[str, Any]:
    """Trust the new key of the statement in *data* where its old key is trusted; return names and fingerprints.

    The old key goes on counting for what was signed until the rotation: its line gets a ``valid-before``, when it is
    one this tool has written.

    Raises:
        SignatureInvalidError: E_SIG_INVALID: see `read_rotation`.
        SignatureUntrustedError: E_SIG_UNTRUSTED: the old key is not trusted here, or was not at the time.
        SignatureRevokedError: E_SIG_REVOKED: one of the two keys was revoked here.
    """
    rotation = read_rotation(data)
    store = TrustStore.load(config_dir)
    if {rotation.old.fingerprint, rotation.new.fingerprint} & store.revoked:
        raise SignatureRevokedError(
            "a key of this rotation was revoked here", hint="Ask the sender for their key in person, then: keys trust"
        )
    standing = store.standing_of(rotation.old, datetime.fromisoformat(rotation.at))
    if standing.status != "trusted":
        raise SignatureUntrustedError(
            f"the old key {rotation.old.fingerprint} is not trusted here, so its word about a new one counts for nothing",
            hint="clockwork keys trust PACK|KEYFILE --fingerprint SHA256:… --name NAME",
        )
    store.trust(rotation.new, standing.name, add=True)
    limited = _limit(trust_file(config_dir), TrustedKey(standing.name, rotation.old), rotation.at)
    return {
        "name": standing.name,
        "old": rotation.old.fingerprint,
        "fingerprint": rotation.new.fingerprint,
        "rotated_at": rotation.at,
        "old_limited": limited,
    }


def _limit(path: Path, trusted: TrustedKey, at: str) -> bool:
    lines = read_lines(path)
    plain = allowed_signers_line(trusted)
    if plain not in lines:
        return False
    until = TrustedKey(trusted.name, trusted.key, valid_before=datetime.fromisoformat(at))
    text = "\n".join(allowed_signers_line(until) if line == plain else line for line in lines)
    write_atomic(path, text.encode(), mode=0o600)
    return True
