"""The DSSE envelope (Dead Simple Signing Envelope v1) in one accepted spelling."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError, SignatureInvalidError
from clockwork_nb.signing.keys import PublicKey, Signer

__all__ = ["MAX_ENVELOPE_BYTES", "PAYLOAD_TYPE", "Envelope", "open_envelope", "pae", "seal_envelope"]

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES: Final = 8 * 1024 * 1024


class Envelope(Struct, frozen=True):
    """A DSSE envelope in its one accepted spelling. Nothing in it is checked against a key yet."""

    payload: bytes
    keyid: str
    signature: bytes
    payload_type: str = PAYLOAD_TYPE

    def signed_by(self, key: PublicKey) -> bool:
        """Return whether *key* is the one named and the signature is its signature over the payload."""
        return self.keyid == key.keyid and key.verifies(self.signature, pae(self.payload_type, self.payload))


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: DSSE v1 pre-authentication encoding, lengths in bytes.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal_envelope(payload: bytes, key: Signer, *, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the envelope of *payload* signed with *key*: canonical JSON, standard base64, one signature."""
    signature = key.sign(pae(payload_type, payload))
    return canonical_json(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": key.public.keyid, "sig": base64.b64encode(signature).decode()}],
        }
    )


def open_envelope(data: bytes, *, payload_type: str = PAYLOAD_TYPE) -> Envelope:
    """Return the envelope in *data*, which must be spelt exactly as `seal_envelope` spells it.

    A second spelling would let anybody change the bytes of a signed pack without breaking its signature.

    Raises:
        SignatureInvalidError: E_SIG_INVALID.
    """
    if len(data) > MAX_ENVELOPE_BYTES:
        raise SignatureInvalidError(f"the envelope is larger than {MAX_ENVELOPE_BYTES} bytes")
    try:
        document = parse_json(data, what="the envelope")
        match document:
            case {
                "payload": str(payload),
                "payloadType": str(kind),
                "signatures": [{"keyid": str(keyid), "sig": str(signature)}],
            } if kind == payload_type:
                pass
            case _:
                raise SignatureInvalidError("the envelope is not one statement of its kind with exactly one signature")
        found = Envelope(_unbase64(payload), keyid, _unbase64(signature), kind)
        again = {"payload": payload, "payloadType": kind, "signatures": [{"keyid": keyid, "sig": signature}]}
        if canonical_json(again) != data:
            raise SignatureInvalidError("the envelope is not spelt in its canonical form")
    except InvalidInputError as error:
        raise SignatureInvalidError(error.message) from None
    return found


def _unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureInvalidError("the envelope holds something that is not standard base64") from None
    if base64.b64encode(data).decode() != text:
        raise SignatureInvalidError("the envelope's base64 is not in its canonical form")
    return data
