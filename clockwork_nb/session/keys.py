"""The signing key of this user and the keys they trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clockwork_nb.errors import InvalidInputError, SignatureUntrustedError
from clockwork_nb.session.packs import MAX_PACK_BYTES
from clockwork_nb.settings import Settings, load_settings
from clockwork_nb.workspace import read_input

__all__ = ["list_keys", "trust_from_pack"]


def list_keys(settings: Settings | None = None) -> list[dict[str, str]]:
    """Return one document a key, own ones first: role (``own`` or ``trusted``), name, fingerprint."""
    from clockwork_nb.signing import TrustStore

    store = TrustStore.load((settings or load_settings()).config)
    return [{"role": "own" if k.own else "trusted", "name": k.name, "fingerprint": k.fingerprint} for k in store.keys]


def trust_from_pack(
    path: Path, *, fingerprint: str, name: str = "", settings: Settings | None = None
) -> dict[str, Any]:
    """Trust the key inside the pack at *path* when it has *fingerprint*, and return what was trusted.

    Raises:
        SignatureUntrustedError: the pack's key has another fingerprint. InvalidInputError: the pack carries none.
    """
    from clockwork_nb.jobpack.verify import signer_of
    from clockwork_nb.signing import TrustStore

    key = signer_of(read_input(path, most=MAX_PACK_BYTES))
    if key is None:
        raise InvalidInputError(f"{path.name} carries no key", hint="It is not signed, or not a jobpack.")
    if not _same(fingerprint, key.fingerprint):
        raise SignatureUntrustedError(
            f"{path.name} is signed by {key.fingerprint}, not by {fingerprint}",
            hint="Do not trust it. Ask the sender for the fingerprint again.",
        )
    settings = settings or load_settings()
    name = name or f"signer-{key.fingerprint[7:15]}"
    TrustStore.load(settings.config).trust(key, name)
    return {"fingerprint": key.fingerprint, "name": name}


def _same(told: str, real: str) -> bool:
    return told.removeprefix("SHA256:").rstrip("=") == real.removeprefix("SHA256:").rstrip("=") and len(told) >= 43
