"""Flags of ``approve`` and ``reject``."""

from __future__ import annotations

import argparse
from typing import Any

from clockwork_nb.arguments import add_approval, add_job

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.approvals"


def _verb(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=_MODULE, run=name)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    add_job(parser)
    add_approval(parser)
    parser.add_argument(
        "--by", metavar="NAME", help="who you say you are; recorded as a claim beside the system's user"
    )
    return parser


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    parser = _verb(verbs, "approve", "approve the plan a job waits for")
    parser.add_argument(
        "--plan", metavar="DIGEST", help="the plan's digest, 8 digits or more; without it you are asked"
    )
    parser.add_argument(
        "--bundle", metavar="DIGEST", default="", help="the digest of its scripts, when they were changed"
    )
    parser.add_argument("--expires", metavar="TIME", help="good for so long, like 2h or 30m (default 24h)")
    parser.add_argument("--sign", action="store_true", help="sign the approval with your signing key")
    parser.add_argument("--key", metavar="FILE", help="sign it with this private key (PKCS#8 PEM or OpenSSH)")
    parser.add_argument(
        "--ssh-agent",
        metavar="SHA256:…",
        nargs="?",
        const="",
        help="sign it with the ssh-agent's key, or the one named",
    )
    _verb(verbs, "reject", "refuse the plan a job waits for; the job ends")
