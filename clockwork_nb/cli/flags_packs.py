"""Flags of ``jobpack export|verify`` and ``keys list|trust``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import Parser, add_job

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.packs"


def _verb(verbs: Any, name: str, run: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=_MODULE, run=run)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    group = verbs.add_parser("jobpack", help="export and verify a job's evidence")
    packs = group.add_subparsers(metavar="VERB", dest="pack_verb", required=True, parser_class=Parser)
    parser = _verb(packs, "export", "jobpack_export", "write a job's signed evidence as one zip")
    add_job(parser)
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")
    parser.add_argument("--unsigned", action="store_true", help="leave the signature out")
    parser = _verb(packs, "verify", "jobpack_verify", "check a pack offline: complete, unmodified, signed by whom")
    parser.add_argument("target", metavar="PACK|JOB", help="a zip file, or a job id (its exported pack)")
    parser.add_argument("--require", choices=["signed", "integrity"], default="signed")
    parser.add_argument("--key", metavar="PUB", help="trust this public key file for this one verification")
    parser.add_argument("--job", dest="expect_job", metavar="ID", help="it must be the pack of this job")
    parser.add_argument("--manifest", metavar="HEX", help="it must be exactly this pack")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")

    group = verbs.add_parser("keys", help="the signing key and whom you trust")
    keys = group.add_subparsers(metavar="VERB", dest="keys_verb", required=True, parser_class=Parser)
    _verb(keys, "list", "keys_list", "list your key and the trusted ones")
    parser = _verb(keys, "trust", "keys_trust", "trust the key that signed a pack, after comparing its fingerprint")
    parser.add_argument("--from", dest="pack", metavar="PACK", required=True, help="the pack that carries the key")
    parser.add_argument("--fingerprint", metavar="SHA256:…", required=True, help="what the sender told you")
    parser.add_argument("--name", metavar="NAME", default="", help="how to call the signer")
