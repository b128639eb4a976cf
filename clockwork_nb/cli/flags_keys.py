"""Flags of ``keys …``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from datetime import datetime

    from clockwork_nb.cli.verbs import Flags, Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.keys"


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    verbs.add_group("keys", "the signing key and whom you trust", _keys_verbs)


def _keys_verbs(verbs: Verbs) -> None:
    def verb(name: str, text: str, *flags: Flags) -> None:
        verbs.add(name, text, add_json, *flags, module=_MODULE, run=f"keys_{name}")

    verb("init", "make your signing key, when there is none")
    verb("list", "list your key, the trusted and the revoked ones")
    verb("export", "print your public key as an OpenSSH line", _export)
    verb("trust", "trust a key, after comparing its fingerprint", _trust)
    verb("revoke", "let a key count for nothing from now on", _revoke)
    verb("rotate", "replace your signing key; the old one vouches for the new")


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allowed-signers", metavar="NAME", default="", help="as a line for a trust file, under this name"
    )


def _trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="KEYFILE|PACK", nargs="?", help="a public key file, or a pack that carries it"
    )
    parser.add_argument("--from", dest="pack", metavar="PACK", help="the same, as a flag")
    parser.add_argument("--fingerprint", metavar="SHA256:…", help="what its owner told you")
    parser.add_argument("--name", metavar="NAME", default="", help="how to call the signer")
    parser.add_argument("--add", action="store_true", help="the signer has another key already, and keeps it")
    for flag, word in (("--valid-after", "from"), ("--valid-before", "until")):
        parser.add_argument(
            flag, metavar="YYYYMMDD", type=_date, help=f"it counts {word} this day (or YYYYMMDDHHMMSSZ)"
        )
    parser.add_argument("--rotation", metavar="FILE", help="follow a key that you trust to its new one")


def _revoke(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="SHA256:…|KEYFILE", help="its fingerprint or public key file")


def _date(text: str) -> datetime:
    from clockwork_nb.signing.trust import parse_date

    return parse_date(text, "this flag")
