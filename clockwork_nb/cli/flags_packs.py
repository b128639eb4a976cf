"""Flags of ``jobpack …`` and ``keys …``."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from clockwork_nb.arguments import Parser

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.packs"
_KEYS = "clockwork_nb.cli.keys"
_MOST = 512 * 1024 * 1024


def _verb(verbs: Any, name: str, run: str, text: str, module: str = _MODULE) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module=module, run=run)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _bytes(text: str) -> int:
    if not text.isdecimal() or len(text) > 12 or int(text) > _MOST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of bytes from 0 to {_MOST}")
    return int(text)


def _date(text: str) -> datetime:
    from clockwork_nb.signing.trust import parse_date

    return parse_date(text, "this flag")


def _add_asked(parser: argparse.ArgumentParser) -> None:
    """Add what is asked of a pack before it counts."""
    parser.add_argument(
        "--require",
        choices=["integrity", "signed", "final"],
        default="signed",
        help="settle for an intact pack; a trusted signature (default); and a finished job",
    )
    parser.add_argument("--key", metavar="PUB", help="this public key file is the only one that counts")


def _add_pins(parser: argparse.ArgumentParser) -> None:
    """Add which pack it has to be."""
    parser.add_argument("--job", dest="expect_job", metavar="ID", help="it must be the pack of this job")
    parser.add_argument("--footer", metavar="LINE", help="it must be the pack that this receipt line names")
    parser.add_argument("--manifest", metavar="HEX", help="it must be exactly this pack")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")


def _add_unverified(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--unverified", action="store_true", help="look into it although it is not verified")


def add(verbs: Any) -> None:
    """Add the verbs to *verbs*."""
    group = verbs.add_parser("jobpack", help="export, verify and look into a job's evidence")
    packs = group.add_subparsers(metavar="VERB", dest="pack_verb", required=True, parser_class=Parser)
    parser = _verb(packs, "export", "jobpack_export", "write a job's signed evidence as one zip")
    parser.add_argument(
        "job", metavar="JOB|FOLDER/", help="the job's id, or the folder of a Wrkr job, with a slash in it"
    )
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")
    parser.add_argument("--unsigned", action="store_true", help="leave the signature out")
    parser.add_argument("--key", metavar="FILE", help="sign with this private key (PKCS#8 PEM or OpenSSH)")
    parser.add_argument(
        "--ssh-agent", metavar="SHA256:…", nargs="?", const="", help="sign with the ssh-agent's key, or the one named"
    )
    parser.add_argument(
        "--max-artifact-bytes", metavar="N", type=_bytes, help="only list larger published files (default 64 MiB)"
    )
    parser = _verb(packs, "verify", "jobpack_verify", "check a pack offline: complete, unmodified, signed by whom")
    parser.add_argument("target", metavar="PACK|JOB", help="a zip file, or a job id (its exported pack)")
    _add_asked(parser)
    _add_pins(parser)
    parser.add_argument("--remember", action="store_true", help="refuse older and other packs of this job from now on")
    parser = _verb(packs, "inspect", "jobpack_inspect", "show what a verified pack holds")
    parser.add_argument("target", metavar="PACK|JOB", help="a zip file, or a job id (its exported pack)")
    parser.add_argument("--events", action="store_true", help="every event, too")
    parser.add_argument("--file", metavar="NAME", help="print this one file of the pack")
    _add_asked(parser)
    _add_pins(parser)
    _add_unverified(parser)
    parser = _verb(packs, "diff", "jobpack_diff", "show how two verified packs differ")
    parser.add_argument("a", metavar="A", help="a zip file or a job id")
    parser.add_argument("b", metavar="B", help="a zip file or a job id")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")
    _add_asked(parser)
    _add_unverified(parser)
    parser = _verb(packs, "receipt", "jobpack_receipt", "print the line that pins a verified pack in a ticket")
    parser.add_argument("target", metavar="PACK|JOB", help="a zip file, or a job id (its exported pack)")
    _add_asked(parser)
    _add_pins(parser)
    _add_unverified(parser)
    parser = _verb(packs, "unpack", "jobpack_unpack", "write a verified pack's files into a new folder")
    parser.add_argument("target", metavar="PACK|JOB", help="a zip file, or a job id (its exported pack)")
    parser.add_argument("folder", metavar="DIR", help="a folder that is empty or not there yet")
    _add_asked(parser)
    _add_pins(parser)
    _add_keys(verbs)


def _add_keys(verbs: Any) -> None:
    group = verbs.add_parser("keys", help="the signing key and whom you trust")
    keys = group.add_subparsers(metavar="VERB", dest="keys_verb", required=True, parser_class=Parser)
    _verb(keys, "init", "keys_init", "make your signing key, when there is none", _KEYS)
    _verb(keys, "list", "keys_list", "list your key, the trusted and the revoked ones", _KEYS)
    parser = _verb(keys, "export", "keys_export", "print your public key as an OpenSSH line", _KEYS)
    parser.add_argument(
        "--allowed-signers", metavar="NAME", default="", help="as a line for a trust file, under this name"
    )
    parser = _verb(keys, "trust", "keys_trust", "trust a key, after comparing its fingerprint", _KEYS)
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
    parser = _verb(keys, "revoke", "keys_revoke", "let a key count for nothing from now on", _KEYS)
    parser.add_argument("key", metavar="SHA256:…|KEYFILE", help="its fingerprint or public key file")
    _verb(keys, "rotate", "keys_rotate", "replace your signing key; the old one vouches for the new", _KEYS)
