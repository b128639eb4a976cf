"""An approval that its giver signed: a DSSE envelope over everything the approval says, kept inside its event.

The envelope's content is not read: it must be byte for byte what the event says, so nobody can sign one thing and record
another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import InvalidInputError, SignatureInvalidError
from clockwork_nb.jobs.model import BY_KEY
from clockwork_nb.ports import Draft

if TYPE_CHECKING:
    from clockwork_nb.signing import PublicKey, Signer

__all__ = ["PAYLOAD_TYPE", "SIGNATURE_LIMIT", "key_holder", "sign", "signer_of"]

PAYLOAD_TYPE: Final = "application/vnd.clockwork.approval.v1+json"
SIGNATURE_LIMIT: Final = 16_384
"""Bytes of the envelope's text."""


def key_holder(user: str, key: PublicKey) -> str:
    """Return the ``by`` of *user* who signs with *key*: the user and the key's fingerprint."""
    return f"{user}{BY_KEY}{key.fingerprint.removeprefix('SHA256:')}"


def sign(draft: Draft, job_id: str, key: Signer) -> Draft:
    """Return the ``approval.granted`` *draft* with the signature of *key*.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: its ``by`` is not that of the key's holder, or its text is too long.
    """
    from clockwork_nb.signing import seal_envelope

    if not _names(draft.payload["by"], key.public):
        raise InvalidInputError("an approval is signed by whom it names")
    payload = {**draft.payload, "signer": key.public.line()}
    envelope = seal_envelope(_statement(payload, job_id), key, payload_type=PAYLOAD_TYPE)
    if len(envelope) > SIGNATURE_LIMIT:
        raise InvalidInputError("the approval is too long to be signed", hint="Give a shorter reason.")
    return Draft(draft.type, {**payload, "signature": envelope.decode("ascii")})


def signer_of(payload: Mapping[str, Any], job_id: str) -> PublicKey | None:
    """Return the key that signed the ``approval.granted`` *payload*, None when it was not signed.

    Whose key that is, nothing in the payload can tell.

    Raises:
        SignatureInvalidError: E_SIG_INVALID: the signature is about something else, or is not that of the key it names.
    """
    from clockwork_nb.signing import open_envelope, parse_public_key

    if "signature" not in payload:
        return None
    try:
        key = parse_public_key(payload["signer"])
        envelope = open_envelope(payload["signature"].encode(), payload_type=PAYLOAD_TYPE)
    except InvalidInputError as error:
        raise SignatureInvalidError(f"the signer of an approval is no key: {error.message}") from None
    if payload["signer"] != key.line() or not _names(payload["by"], key):
        raise SignatureInvalidError(f"an approval names {payload['by'][:120]!r} and is signed with {key.fingerprint}")
    if envelope.payload != _statement(payload, job_id):
        raise SignatureInvalidError("the signature of an approval is about something else than the approval says")
    if not envelope.signed_by(key):
        raise SignatureInvalidError(f"the signature of an approval was not made with {key.fingerprint}")
    return key


def _names(by: str, key: PublicKey) -> bool:
    return by.partition(BY_KEY)[2] == key.fingerprint.removeprefix("SHA256:")


def _statement(payload: Mapping[str, Any], job_id: str) -> bytes:
    said = {name: value for name, value in payload.items() if name != "signature"}
    return canonical_json({"schema": "clockwork.approval.v1", "job_id": job_id, **said})
