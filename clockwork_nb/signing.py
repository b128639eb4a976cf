"""Signatures: Ed25519 keys, who is trusted, and the DSSE envelope.

One kind of key (RFC 8032 Ed25519) in two spellings: PKCS#8 PEM for the private half, the OpenSSH line for the public
half. Who is trusted stands in a file in the syntax of OpenSSH's ``allowed_signers`` (ssh-keygen(1)). `cryptography` is
imported at the first use of a key, never before.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from clockwork_nb.canonical import canonical_json, digest, parse_json
from clockwork_nb.errors import (
    InvalidInputError,
    SignatureInvalidError,
    StoreIOError,
    UnsafeOperationError,
)
from clockwork_nb.fs import make_dirs, read_bytes, sync_dir, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "MAX_ENVELOPE_BYTES",
    "NAMESPACE",
    "PAYLOAD_TYPE",
    "Envelope",
    "PublicKey",
    "SigningKey",
    "Trust",
    "TrustStore",
    "TrustedKey",
    "keys_folder",
    "load_or_create_key",
    "open_envelope",
    "pae",
    "parse_public_key",
    "read_public_key",
    "seal_envelope",
    "trust_file",
    "trust_key",
]

NAMESPACE: Final = "clockwork-jobpack"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES: Final = 8 * 1024 * 1024

_SSH_TYPE: Final = b"ssh-ed25519"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}\Z")
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
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


@dataclass(frozen=True, slots=True)
class PublicKey:
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
        return len(_SSH_TYPE).to_bytes(4, "big") + _SSH_TYPE + (32).to_bytes(4, "big") + self.raw

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
    if kind != _SSH_TYPE.decode():
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
    def from_pem(cls, data: bytes, *, what: str = "the key") -> SigningKey:
        """Return the key in *data*: PKCS#8 PEM or an OpenSSH private key, without a passphrase.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: not readable, encrypted, or not Ed25519.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        load = (
            serialization.load_ssh_private_key
            if data.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
            else serialization.load_pem_private_key
        )
        try:
            private = load(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InvalidInputError(
                f"{what} is not a readable private key",
                hint="It must be PKCS#8 PEM or an OpenSSH key, and have no passphrase.",
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


# --- key files --------------------------------------------------------------------------------------------------


def keys_folder(config_dir: Path) -> Path:
    """Return where the private keys of *config_dir* are."""
    return config_dir / "keys"


def trust_file(config_dir: Path) -> Path:
    """Return where the trusted public keys of *config_dir* are listed."""
    return config_dir / "allowed_signers"


def load_or_create_key(config_dir: Path, name: str = "default") -> SigningKey:
    """Return the key *name* of *config_dir*; make it (``keys/<name>.key``, 0600, and ``.pub``) when there is none.

    Of two processes that make it at the same moment, both return the same key.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: the name, or what the file holds.
        UnsafeOperationError: E_UNSAFE_OPERATION: others may read the key file.
        StoreIOError: E_STORE_IO.
    """
    if not _KEY_NAME.match(name):
        raise InvalidInputError(f"{name!r} is not a name for a key", hint="Use 1 to 64 of A-Z a-z 0-9 . _ -")
    folder = keys_folder(config_dir)
    path = folder / f"{name}.key"
    try:
        return _read_key(path)
    except FileNotFoundError:
        pass
    make_dirs(folder, mode=0o700)
    key = SigningKey.generate()
    try:
        _create_exclusively(path, key.to_pem())
    except FileExistsError:  # another process was faster: its key is the key
        return _read_key(path)
    write_atomic(folder / f"{name}.pub", f"{key.public.line(name)}\n".encode(), mode=0o644)
    return key


def _create_exclusively(path: Path, data: bytes) -> None:
    # A complete, durable file gets the name, and only if nobody has it: readers never see half a key.
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    write_atomic(temporary, data, mode=0o600)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreIOError(f"the key file {path} cannot be made: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    sync_dir(path.parent)


def _read_key(path: Path) -> SigningKey:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UnsafeOperationError(
            f"the signing key {path} is not private", hint=f"It must be your own file with mode 0600: chmod 600 {path}"
        )
    return SigningKey.from_pem(read_bytes(path.resolve()), what=f"the signing key {path}")


def _own_keys(folder: Path) -> list[TrustedKey]:
    return [TrustedKey(path.stem, _read_key(path).public, own=True) for path in sorted(folder.glob("*.key"))]


# --- trust ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key and the name (OpenSSH: principal) it is known by here; ``own`` when its private half is this user's."""

    name: str
    key: PublicKey
    own: bool = False

    @property
    def fingerprint(self) -> str:
        """``SHA256:…``."""
        return self.key.fingerprint


class Trust(Protocol):
    """Who is trusted, as a value."""

    def name_of(self, key: PublicKey) -> str | None:
        """Return the name *key* is trusted under, None when it is not trusted."""
        ...


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Trusted keys, the user's own ones first: these count as trusted. ``path`` is the file that `trust` writes."""

    keys: tuple[TrustedKey, ...] = ()
    path: Path | None = None

    @classmethod
    def load(cls, config_dir: Path) -> TrustStore:
        """Return the trust of a configuration folder: its own keys and its trust file (see `from_file`)."""
        found = cls.from_file(trust_file(config_dir))
        return cls((*_own_keys(keys_folder(config_dir)), *found.keys), found.path)

    @classmethod
    def from_file(cls, path: Path) -> TrustStore:
        """Return what the trust file *path* says; a missing file trusts nobody.

        Lines for other namespaces, or without one, are somebody else's business and are skipped. A line for our
        namespace that cannot be followed to the letter is an error: half-understood trust is no trust.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA with the line number.
            UnsafeOperationError: E_UNSAFE_OPERATION: others may write the file.
        """
        trusted: tuple[TrustedKey, ...] = ()
        try:
            mode = path.stat().st_mode
            text = read_bytes(path.resolve()).decode("utf-8", "strict")
        except FileNotFoundError:
            pass
        except UnicodeDecodeError:
            raise InvalidInputError(f"the trust file {path} is not UTF-8") from None
        else:
            if mode & 0o022:
                raise UnsafeOperationError(f"others may write the trust file {path}", hint=f"chmod 600 {path}")
            trusted = tuple(_parse_trust(text, path.name))
        return cls(trusted, path)

    def name_of(self, key: PublicKey) -> str | None:
        """Return the name *key* is trusted under, None when it is not trusted."""
        return next((trusted.name for trusted in self.keys if trusted.key == key), None)

    def trust(self, key: PublicKey, name: str, *, add: bool = False) -> TrustStore:
        """Return this trust with *key* under *name*, and write the trust file when there is one.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: a name that does not fit the file, or one that has another key
                already and *add* is False.
        """
        if not _NAME.match(name):
            raise InvalidInputError(f"{name!r} is not a name for a signer", hint="Use letters, digits and . _ @ + -")
        same_name = [trusted.key for trusted in self.keys if trusted.name == name and not trusted.own]
        if key in same_name:
            return self
        if same_name and not add:
            raise InvalidInputError(
                f"{name!r} is trusted with another key already ({same_name[0].fingerprint})",
                hint="If the signer really has two keys, say so with --add; otherwise choose another name.",
            )
        if self.path is not None:
            make_dirs(self.path.parent, mode=0o700)
            try:
                before = read_bytes(self.path.resolve())
            except FileNotFoundError:
                before = b""
            if before and not before.endswith(b"\n"):
                before += b"\n"
            line = f'{name} namespaces="{NAMESPACE}" {key.line()}\n'
            write_atomic(self.path, before + line.encode(), mode=0o600)
        return TrustStore((*self.keys, TrustedKey(name, key)), self.path)


def trust_key(config_dir: Path, key: PublicKey, name: str, *, add: bool = False) -> TrustStore:
    """Trust *key* under *name* in the trust file of *config_dir* and return the new trust (see `TrustStore.trust`)."""
    return TrustStore.load(config_dir).trust(key, name, add=add)


_OPTION: Final = re.compile(r'([A-Za-z-]+)(?:="([^"]*)")?(?:,|\Z)')


def _parse_trust(text: str, name: str) -> Iterable[TrustedKey]:
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.strip().split(None, 2)
        if len(fields) < 3 or line.lstrip().startswith("#"):
            if fields and not line.lstrip().startswith("#"):
                raise InvalidInputError(f"{name}, line {number}: this is not an allowed-signers line")
            continue
        principals, options, rest = fields
        if options == _SSH_TYPE.decode() or f"{NAMESPACE}" not in options:
            continue
        where = f"{name}, line {number}"
        _check_options(options, where)
        for principal in principals.split(","):
            if not _NAME.match(principal):
                raise InvalidInputError(f"{where}: {principal!r} is not a plain name; patterns trust too much")
            try:
                yield TrustedKey(principal, parse_public_key(rest))
            except InvalidInputError as error:
                raise InvalidInputError(f"{where}: {error.message}", hint=error.hint) from None


def _check_options(text: str, where: str) -> None:
    at = 0
    while at < len(text):
        match = _OPTION.match(text, at)
        if match is None or match[1].lower() != "namespaces" or NAMESPACE not in (match[2] or "").split(","):
            raise InvalidInputError(
                f"{where}: the options {text[:80]!r} are not supported",
                hint=f'Write exactly: NAME namespaces="{NAMESPACE}" ssh-ed25519 AAAA…',
            )
        at = match.end()


# --- the envelope -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope in its one accepted spelling. Nothing in it is checked against a key yet."""

    payload: bytes
    keyid: str
    signature: bytes

    def signed_by(self, key: PublicKey) -> bool:
        """Return whether *key* is the one named and the signature is its signature over the payload."""
        return self.keyid == key.keyid and key.verifies(self.signature, pae(PAYLOAD_TYPE, self.payload))


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: DSSE v1 pre-authentication encoding, lengths in bytes.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal_envelope(payload: bytes, key: SigningKey) -> bytes:
    """Return the envelope of *payload* signed with *key*: canonical JSON, standard base64, one signature."""
    signature = key.sign(pae(PAYLOAD_TYPE, payload))
    return canonical_json(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": key.public.keyid, "sig": base64.b64encode(signature).decode()}],
        }
    )


def open_envelope(data: bytes) -> Envelope:
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
            } if kind == PAYLOAD_TYPE:
                pass
            case _:
                raise SignatureInvalidError("the envelope is not one in-toto statement with exactly one signature")
        found = Envelope(_unbase64(payload), keyid, _unbase64(signature))
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
