"""``keys init|list|export|trust|revoke|rotate``."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session import keys

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output

__all__ = ["keys_export", "keys_init", "keys_list", "keys_revoke", "keys_rotate", "keys_trust"]


def keys_init(args: argparse.Namespace, out: Output) -> int:
    """Make the signing key, when there is none."""
    document = keys.init_key()
    out.document(document)
    out.text(f"{'made' if document['created'] else 'kept'}  {document['fingerprint']}  {document['path']}")
    if document["created"]:
        out.note("Tell this fingerprint to those who verify your packs.")
    return 0


def keys_list(args: argparse.Namespace, out: Output) -> int:
    """List the own key, the trusted ones and the revoked ones."""
    documents = keys.list_keys()
    out.document(documents)
    for key in documents:
        bounds = [
            f"{word} {key[name][:10]}"
            for word, name in (("from", "valid_after"), ("until", "valid_before"))
            if key[name]
        ]
        out.text(f"{key['role']:<8} {key['fingerprint']}  {'  '.join([key['name'], *bounds])}".rstrip())
    if not documents:
        out.note("no key yet; the first signed export makes one, or: clockwork keys init")
    return 0


def keys_export(args: argparse.Namespace, out: Output) -> int:
    """Print the public key, for others to trust."""
    line = keys.export_key(allowed_signers=args.allowed_signers)
    out.document({"line": line})
    out.text(line)
    return 0


def keys_trust(args: argparse.Namespace, out: Output) -> int:
    """Trust a key, after comparing its fingerprint with what its owner told; or follow one that was rotated."""
    if args.rotation:
        if args.source or args.pack or args.fingerprint:
            raise InvalidInputError("--rotation names everything there is to trust", hint="Leave the other words out.")
        document = keys.accept_rotation(Path(args.rotation))
        out.document(document)
        out.text(f"trusted  {document['fingerprint']}  {document['name']}")
        out.note(f"in place of {document['old']}, which counts for what was signed until {document['rotated_at']}")
        if not document["old_limited"]:
            out.note("Its line in allowed_signers was not changed: you wrote it yourself, or it is an own key.")
        return 0
    source = args.source or args.pack
    if not source:
        raise InvalidInputError(
            "which key is to be trusted?", hint="clockwork keys trust KEYFILE|PACK --fingerprint SHA256:… --name NAME"
        )
    if not args.fingerprint:
        found = keys.fingerprint_in(Path(source))
        raise InvalidInputError(
            f"is the fingerprint that the owner of this key told you {found}?",
            hint="Compare it on another way than the one that the file came on, and only then:\n"
            f"  clockwork keys trust {shlex.quote(source)} --fingerprint {found} --name NAME",
            details={"fingerprint": found},
        )
    document = keys.trust_key_of(
        Path(source),
        fingerprint=args.fingerprint,
        name=args.name,
        add=args.add,
        valid_after=args.valid_after,
        valid_before=args.valid_before,
    )
    out.document(document)
    out.text(f"trusted  {document['fingerprint']}  {document['name']}")
    return 0


def keys_revoke(args: argparse.Namespace, out: Output) -> int:
    """Let a key count for nothing from now on."""
    document = keys.revoke(args.key)
    out.document(document)
    out.text(f"revoked  {document['fingerprint']}{'' if document['revoked'] else '  (it was already)'}")
    return 0


def keys_rotate(args: argparse.Namespace, out: Output) -> int:
    """Replace the signing key; the old one signs a statement about the new one."""
    document = keys.rotate()
    out.document(document)
    out.text(f"new      {document['fingerprint']}")
    out.text(f"former   {document['old']}  until {document['rotated_at']}")
    out.text(f"statement  {document['statement']}")
    out.note("Those who trust the former key follow with: clockwork keys trust --rotation FILE")
    return 0
