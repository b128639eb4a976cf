"""The signing key of this user, the keys they trust, and the ones they revoked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clockwork_nb.errors import InvalidInputError, SignatureUntrustedError
from clockwork_nb.session.pack_files import read_pack
from clockwork_nb.settings import Settings, load_settings
from clockwork_nb.workspace import read_input

if TYPE_CHECKING:
    from datetime import datetime

    from clockwork_nb.signing import PublicKey, Signer

__all__ = [
    "accept_rotation",
    "export_key",
    "fingerprint_in",
    "init_key",
    "list_keys",
    "revoke",
    "rotate",
    "signing_key",
    "trust_key_of",
]

_MAX_KEY_BYTES: Final = 64 * 1024


def signing_key(
    settings: Settings,
    *,
    file: Path | None = None,
    agent: str | None = None,
    passphrase: Callable[[], bytes] | None = None,
    env: Mapping[str, str] | None = None,
) -> Signer:
    """Return the key to sign with: *file*, a key of the ssh-agent, ``CLOCKWORK_SIGNING_KEY_FILE``, or the own key.

    Args:
        settings: where the own key is; it is made at its first use.
        file: a private key file, PKCS#8 PEM or OpenSSH.
        agent: a fingerprint, or empty for the agent's only key; None: no agent, which is never asked unbidden.
        passphrase: called when a file is encrypted; None: nobody can be asked.
        env: the environment (default: the process's).

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: no such key, or not one that can sign here.
        UnsafeOperationError: E_UNSAFE_OPERATION: others may read the key file.
    """
    from clockwork_nb.signing import load_or_create_key, read_signing_key

    if agent is not None:
        from clockwork_nb.signing.agent import agent_key

        return agent_key(os.environ if env is None else env, agent)
    file = file or settings.signing_key_file
    if file is None:
        return load_or_create_key(settings.config)
    try:
        return read_signing_key(file.expanduser(), passphrase=passphrase)
    except FileNotFoundError:
        raise InvalidInputError(f"there is no signing key {file}") from None


def init_key(settings: Settings | None = None) -> dict[str, Any]:
    """Make the own key unless there is one, and return its path, fingerprint, and whether it is new."""
    from clockwork_nb.signing import load_or_create_key
    from clockwork_nb.signing.keyfiles import key_path

    config = (settings or load_settings(who=False)).config
    path = key_path(config)
    existed = path.exists()
    key = load_or_create_key(config)
    return {"path": str(path), "fingerprint": key.public.fingerprint, "created": not existed}


def list_keys(settings: Settings | None = None) -> list[dict[str, str]]:
    """Return one document a key, own ones first: role, name, fingerprint, and from and until when it counts.

    The role is ``own``, ``former`` (an own one that was replaced), ``trusted`` or ``revoked``. Times are RFC 3339 in UTC,
    empty where there is no bound.
    """
    from clockwork_nb.signing import TrustStore

    store = TrustStore.load((settings or load_settings(who=False)).config)
    documents = []
    for key in store.keys:
        role = ("former" if key.valid_before else "own") if key.own else "trusted"
        documents.append(
            {
                "role": "revoked" if key.fingerprint in store.revoked else role,
                "name": key.name,
                "fingerprint": key.fingerprint,
                "valid_after": _stamp(key.valid_after),
                "valid_before": _stamp(key.valid_before),
            }
        )
    listed = {document["fingerprint"] for document in documents}
    documents += [
        {"role": "revoked", "name": "", "fingerprint": fingerprint, "valid_after": "", "valid_before": ""}
        for fingerprint in sorted(store.revoked - listed)
    ]
    return documents


def _stamp(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat().replace("+00:00", "Z")


def export_key(settings: Settings | None = None, *, allowed_signers: str = "") -> str:
    """Return the line of the own public key; with *allowed_signers* the line for somebody's trust file under that name.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no key yet, or the name is none.
    """
    from clockwork_nb.signing import TrustedKey, allowed_signers_line, read_signing_key
    from clockwork_nb.signing.keyfiles import DEFAULT_KEY, key_path

    try:
        key = read_signing_key(key_path((settings or load_settings(who=False)).config)).public
    except FileNotFoundError:
        raise InvalidInputError("there is no key yet", hint="clockwork keys init") from None
    return allowed_signers_line(TrustedKey(allowed_signers, key)) if allowed_signers else key.line(DEFAULT_KEY)


def trust_key_of(
    path: Path,
    *,
    fingerprint: str,
    name: str = "",
    add: bool = False,
    valid_after: datetime | None = None,
    valid_before: datetime | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Trust the key in a public key file, or the one that signed a pack, when it has *fingerprint*.

    The fingerprint is what the sender told on another way; that the signature fits the key inside the pack says nothing
    about whose key it is.

    Raises:
        SignatureUntrustedError: E_SIG_UNTRUSTED: it has another fingerprint.
        InvalidInputError: E_INVALID_INPUT_SCHEMA: no key is in it, or the name or the key cannot be trusted.
    """
    from clockwork_nb.signing import TrustStore

    key = _key_in(path)
    if not _same(fingerprint, key.fingerprint):
        raise SignatureUntrustedError(
            f"{path.name} is signed by {key.fingerprint}, not by {fingerprint}"
            if path.suffix == ".zip"
            else f"{path.name} is the key {key.fingerprint}, not {fingerprint}",
            hint="Do not trust it. Ask the sender for the fingerprint again.",
        )
    settings = settings or load_settings(who=False)
    name = name or f"signer-{re.sub(r'[^A-Za-z0-9]', '', key.fingerprint[7:])[:8]}"
    TrustStore.load(settings.config).trust(key, name, add=add, valid_after=valid_after, valid_before=valid_before)
    return {"fingerprint": key.fingerprint, "name": name}


def fingerprint_in(path: Path) -> str:
    """Return the fingerprint of the key in a public key file, or of the one that signed a pack; nothing is trusted.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: no key is in it.
    """
    return _key_in(path).fingerprint


def _key_in(path: Path) -> PublicKey:
    from clockwork_nb.jobpack.verify import signer_of
    from clockwork_nb.signing import read_public_key

    data = read_pack(path)
    if not data.startswith(b"PK"):
        if len(data) > _MAX_KEY_BYTES:
            raise InvalidInputError(f"{path.name} is no public key file and no jobpack")
        return read_public_key(data)
    key = signer_of(data)
    if key is None:
        raise InvalidInputError(f"{path.name} carries no key", hint="It is not signed, or not a jobpack.")
    return key


def revoke(which: str, settings: Settings | None = None) -> dict[str, Any]:
    """Let a key count for nothing from now on, whenever it signed; *which* is a fingerprint or a public key file.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: neither.
    """
    from clockwork_nb.signing import read_public_key, revoke_key

    fingerprint = which
    if not which.startswith("SHA256:"):
        fingerprint = read_public_key(read_input(Path(which), most=_MAX_KEY_BYTES)).fingerprint
    new = revoke_key((settings or load_settings(who=False)).config, fingerprint)
    return {"fingerprint": fingerprint, "revoked": new}


def rotate(settings: Settings | None = None) -> dict[str, Any]:
    """Replace the own key and return old and new fingerprint and the statement that lets others follow.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no key to rotate.
    """
    from clockwork_nb.clock import SystemClock
    from clockwork_nb.signing.rotation import rotate_key

    done = rotate_key((settings or load_settings(who=False)).config, SystemClock().now())
    return {
        "old": done.rotation.old.fingerprint,
        "fingerprint": done.rotation.new.fingerprint,
        "rotated_at": done.rotation.at,
        "statement": str(done.statement),
    }


def accept_rotation(path: Path, settings: Settings | None = None) -> dict[str, Any]:
    """Trust the new key that a rotation statement names, where its old key is trusted (`signing.rotation`).

    Raises:
        SignatureInvalidError, SignatureUntrustedError, SignatureRevokedError: E_SIG_…: the statement does not hold here.
    """
    from clockwork_nb.signing.rotation import accept_rotation as accept

    return accept((settings or load_settings(who=False)).config, read_input(path, most=_MAX_KEY_BYTES))


def _same(told: str, real: str) -> bool:
    return told.removeprefix("SHA256:").rstrip("=") == real.removeprefix("SHA256:").rstrip("=") and len(told) >= 43
