"""Signatures: Ed25519 keys, who is trusted, and the DSSE envelope.

One kind of key (RFC 8032 Ed25519) in two spellings: PKCS#8 PEM for the private half, the OpenSSH line for the public
half. `cryptography` is imported at the first use of a key, never before.
"""

from clockwork_nb.signing.envelope import (
    MAX_ENVELOPE_BYTES,
    PAYLOAD_TYPE,
    Envelope,
    open_envelope,
    pae,
    seal_envelope,
)
from clockwork_nb.signing.keyfiles import keys_folder, load_or_create_key, read_signing_key
from clockwork_nb.signing.keys import PublicKey, Signer, SigningKey, parse_public_key, read_public_key
from clockwork_nb.signing.trust import (
    NAMESPACE,
    Standing,
    Trust,
    TrustedKey,
    TrustStore,
    allowed_signers_line,
    revocation_file,
    revoke_key,
    trust_file,
    trust_key,
)

__all__ = [
    "MAX_ENVELOPE_BYTES",
    "NAMESPACE",
    "PAYLOAD_TYPE",
    "Envelope",
    "PublicKey",
    "Signer",
    "SigningKey",
    "Standing",
    "Trust",
    "TrustStore",
    "TrustedKey",
    "allowed_signers_line",
    "keys_folder",
    "load_or_create_key",
    "open_envelope",
    "pae",
    "parse_public_key",
    "read_public_key",
    "read_signing_key",
    "revocation_file",
    "revoke_key",
    "seal_envelope",
    "trust_file",
    "trust_key",
]
