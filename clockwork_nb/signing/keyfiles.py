"""Private key files: the own key of a configuration folder, and a key that somebody names."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from clockwork_nb.errors import InvalidInputError, StoreIOError, UnsafeOperationError
from clockwork_nb.fs import create_atomic, make_dirs, read_bytes, write_atomic
from clockwork_nb.patterns import pattern
from clockwork_nb.signing.keys import SigningKey

__all__ = ["DEFAULT_KEY", "key_path", "keys_folder", "load_or_create_key", "own_key_names", "read_signing_key"]

DEFAULT_KEY: Final = "default"

_KEY_NAME: Final = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_MAX_KEY_BYTES: Final = 64 * 1024


def keys_folder(config_dir: Path) -> Path:
    """Return where the private keys of *config_dir* are."""
    return config_dir / "keys"


def key_path(config_dir: Path, name: str = DEFAULT_KEY) -> Path:
    """Return the file of the private key *name*.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: not a name for a key.
    """
    if not _KEY_NAME.match(name):
        raise InvalidInputError(f"{name!r} is not a name for a key", hint="Use 1 to 64 of A-Z a-z 0-9 . _ -")
    return keys_folder(config_dir) / f"{name}.key"


def own_key_names(config_dir: Path) -> list[str]:
    """Return the names of the private keys in *config_dir*, sorted."""
    return sorted(path.stem for path in keys_folder(config_dir).glob("*.key") if _KEY_NAME.match(path.stem))


def load_or_create_key(config_dir: Path, name: str = DEFAULT_KEY) -> SigningKey:
    """Return the key *name* of *config_dir*; make it (``keys/<name>.key``, 0600, and ``.pub``) when there is none.

    Of two processes that make it at the same moment, both return the same key.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: the name, or what the file holds.
        UnsafeOperationError: E_UNSAFE_OPERATION: others may read the key file.
        StoreIOError: E_STORE_IO.
    """
    path = key_path(config_dir, name)
    try:
        return read_signing_key(path)
    except FileNotFoundError:
        pass
    make_dirs(path.parent, mode=0o700)
    key = SigningKey.generate()
    try:
        # A complete, durable file gets the name, and only if nobody has it: readers never see half a key.
        create_atomic(path, key.to_pem(), mode=0o600)
    except FileExistsError:  # another process was faster: its key is the key
        return read_signing_key(path)
    write_atomic(path.with_suffix(".pub"), f"{key.public.line(name)}\n".encode(), mode=0o644)
    return key


def read_signing_key(path: Path, *, passphrase: Callable[[], bytes] | None = None) -> SigningKey:
    """Return the private key in the file *path*, PKCS#8 PEM or OpenSSH; *passphrase* is called for an encrypted one.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidInputError: E_INVALID_INPUT_SCHEMA: it holds no Ed25519 key, or the passphrase is missing or wrong.
        UnsafeOperationError: E_UNSAFE_OPERATION: it is not a private file of this user.
        StoreIOError: E_STORE_IO.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreIOError(f"the signing key {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UnsafeOperationError(
            f"the signing key {path} is not private", hint=f"It must be your own file with mode 0600: chmod 600 {path}"
        )
    if found.st_size > _MAX_KEY_BYTES:
        raise InvalidInputError(f"the signing key {path} is no key: it has {found.st_size:,} bytes")
    return SigningKey.from_pem(read_bytes(path.resolve()), what=f"the signing key {path}", passphrase=passphrase)
