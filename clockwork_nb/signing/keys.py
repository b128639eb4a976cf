"""Ed25519 keys (RFC 8032) in two spellings: PEM for the private half, the OpenSSH line for the public half.

`cryptography` is imported at the first use of a key, never before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from clockwork_nb.canonical import digest
from clockwork_nb.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["SSH_TYPE", "PublicKey", "Signer", "SigningKey", "parse_public_key", "read_public_key"]

SSH_TYPE: Final = b"ssh-ed25519"
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 §5.1: the group order L
_FIELD: Final = 2**255 - 19

# The y coordinates of the points whose order divides 8, with the two other spellings of 0 and 1. Under such a key one
# fixed signature passes for many or all messages (RFC 8032 §5.1.7 does not forbid them, libsodium's list does).
_LOW_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        _FIELD,
        _FIELD + 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)


class PublicKey(Struct, frozen=True):
    """The public half: 32 raw bytes. Only keys that can be trusted at all exist: low-order points are refused.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA for another length or a low-order point.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise InvalidInputError("an Ed25519 public key has 32 bytes")
        if int.from_bytes(self.raw, "little") % 2**255 in _LOW_ORDER_Y:
            raise InvalidInputError(
                "this public key is a low-order point: signatures under it can be forged by anybody",
                hint="Ask the sender for their real key; nobody gets such a key by chance.",
            )

    @property
    def blob(self) -> bytes:
        """The SSH wire form (RFC 8709 §4): type and key, each with its length."""
        return len(SSH_TYPE).to_bytes(4, "big") + SSH_TYPE + (32).to_bytes(4, "big") + self.raw

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` exactly as ``ssh-keygen -lf`` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def keyid(self) -> str:
        """The id in envelopes, 64 hex: SHA-256 of the key's in-toto/TUF form (TUF specification §4.2)."""
        return digest({"keytype": "ed25519", "keyval": {"public": self.raw.hex()}, "scheme": "ed25519"})

    def line(self, comment: str = "") -> str:
        """Return the OpenSSH line ``ssh-ed25519 AAAA… comment`` without a line end."""
        return f"ssh-ed25519 {base64.b64encode(self.blob).decode()} {comment}".rstrip()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether *signature* over *message* was made with this key; a non-canonical S (RFC 8032) never was."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= _ORDER:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def parse_public_key(line: str) -> PublicKey:
    """Return the key of an OpenSSH public key line; a comment may follow.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: another type of key, a broken line, or a low-order point.

    >>> parse_public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFFUWf3PFGqnRvl0j1vK2I9b4PZ0WlCDqaVN8m8oV4N5 ann").line()[:30]
    'ssh-ed25519 AAAAC3NzaC1lZDI1NT'
    """
    parts = line.split(None, 2)
    if len(parts) < 2:
        raise InvalidInputError(
            "this is not an OpenSSH public key line", hint="It has the form: ssh-ed25519 AAAA… name"
        )
    kind, text = parts[0], parts[1]
    if kind != SSH_TYPE.decode():
        raise InvalidInputError(
            f"a key of type {kind[:60]!r} cannot sign or be trusted here",
            hint="Only plain Ed25519 keys work: ssh-keygen -t ed25519",
        )
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError("the public key is not base64") from None
    key = PublicKey(blob[-32:])
    if blob != key.blob:
        raise InvalidInputError("the public key is not an ssh-ed25519 key")
    return key


def read_public_key(data: bytes) -> PublicKey:
    """Return the key in a ``.pub`` file.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, as `parse_public_key`.
    """
    try:
        lines = [line for line in data.decode("utf-8").split("\n") if line.strip()]
    except UnicodeDecodeError:
        raise InvalidInputError("this is not a public key file") from None
    if len(lines) != 1:
        raise InvalidInputError(f"a public key file has one line, this one has {len(lines)}")
    return parse_public_key(lines[0])


class Signer(Protocol):
    """What makes signatures: a key in memory, or one that an agent keeps."""

    @property
    def public(self) -> PublicKey:
        """The public half."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over *data*."""
        ...


class SigningKey:
    """A private Ed25519 key. Its text forms never show it."""

    __slots__ = ("_private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._private = private
        self.public = PublicKey(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def __repr__(self) -> str:
        return f"SigningKey({self.public.fingerprint})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a signing key cannot be pickled")

    @classmethod
    def generate(cls) -> SigningKey:
        """Return a new key from the system's randomness."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """Return the key of a 32-byte seed (RFC 8032 §5.1.5), for tests and for key material kept elsewhere."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(
        cls, data: bytes, *, what: str = "the key", passphrase: Callable[[], bytes] | None = None
    ) -> SigningKey:
        """Return the key in *data*: PKCS#8 PEM or an OpenSSH private key; *passphrase* is called when it is encrypted.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: not readable, encrypted and no (or the wrong) passphrase, or not
                Ed25519.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        openssh = data.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
        load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
        given: bytes | None = None
        if _is_encrypted(data):
            if passphrase is None:
                raise InvalidInputError(
                    f"{what} has a passphrase, and there is nobody to ask for it",
                    hint="Run this at a terminal, or load the key into ssh-agent and use --ssh-agent.",
                )
            given = passphrase()
        try:
            private = load(data, password=given)
        except UnsupportedAlgorithm:  # cryptography leaves the key derivation of OpenSSH files to the bcrypt package
            raise InvalidInputError(
                f"{what} cannot be decrypted here",
                hint="Install the ssh extra (pip install 'clockwork-nb[ssh]'), or use ssh-agent: --ssh-agent",
            ) from None
        except (ValueError, TypeError):
            if given is not None:
                raise InvalidInputError(f"the passphrase does not open {what}") from None
            raise InvalidInputError(
                f"{what} is not a readable private key", hint="It must be PKCS#8 PEM or an OpenSSH private key."
            ) from None
        if not isinstance(private, Ed25519PrivateKey):
            raise InvalidInputError(f"{what} is not an Ed25519 key", hint="Make one with: ssh-keygen -t ed25519")
        return cls(private)

    def to_pem(self) -> bytes:
        """Return the private key as PKCS#8 PEM. For the key file only."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature over *data*; the same for the same data (RFC 8032)."""
        return self._private.sign(data)


def _is_encrypted(data: bytes) -> bool:
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data[:200]:
        return True
    # PROTOCOL.key: "openssh-key-v1\0", then the name of the cipher as a string with its length.
    body = b"".join(data.split(b"\n")[1:]).partition(b"-----END")[0]
    try:
        blob = base64.b64decode(body)
    except (binascii.Error, ValueError):
        return False
    start = blob.removeprefix(b"openssh-key-v1\0")
    size = int.from_bytes(start[:4], "big")
    return start != blob and size <= 64 and start[4 : 4 + size] != b"none"
