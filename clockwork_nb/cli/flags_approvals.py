"""Flags of ``approve`` and ``reject``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import add_approval, add_job
from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.approvals"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    decision = (add_json, add_job, add_approval, _by)
    verbs.add("approve", "approve the plan a job waits for", *decision, _approve, module=_MODULE)
    verbs.add("reject", "refuse the plan a job waits for; the job ends", *decision, module=_MODULE)


def _by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by", metavar="NAME", help="who you say you are; recorded as a claim beside the system's user"
    )


def _approve(parser: argparse.ArgumentParser) -> None:
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
