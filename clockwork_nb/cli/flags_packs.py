"""Flags of ``jobpack …``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Flags, Verbs

__all__ = ["add"]

_MODULE = "clockwork_nb.cli.packs"
_MOST = 512 * 1024 * 1024


def add(verbs: Verbs) -> None:
    """Add the verbs to *verbs*."""
    verbs.add_group("jobpack", "export, verify and look into a job's evidence", _jobpack_verbs)


def _jobpack_verbs(verbs: Verbs) -> None:
    def verb(name: str, text: str, *flags: Flags) -> None:
        verbs.add(name, text, add_json, *flags, module=_MODULE, run=f"jobpack_{name}")

    verb("export", "write a job's signed evidence as one zip", _export)
    verb("verify", "check a pack offline: complete, unmodified, signed by whom", _target, _asked, _pins, _verify)
    verb("inspect", "show what a verified pack holds", _target, _inspect, _asked, _pins, _unverified)
    verb("diff", "show how two verified packs differ", _diff, _asked, _unverified)
    verb("receipt", "print the line that pins a verified pack in a ticket", _target, _asked, _pins, _unverified)
    verb("unpack", "write a verified pack's files into a new folder", _target, _unpack, _asked, _pins)


def _export(parser: argparse.ArgumentParser) -> None:
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


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="PACK|JOB", help="a zip file, or a job: its exported pack; last is the newest"
    )


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--remember", action="store_true", help="refuse older and other packs of this job from now on")


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", action="store_true", help="every event, too")
    parser.add_argument("--file", metavar="NAME", help="print this one file of the pack")


def _diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a zip file or a job; last is the newest")
    parser.add_argument("b", metavar="B", help="a zip file or a job; last is the newest")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")


def _unpack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a folder that is empty or not there yet")


def _asked(parser: argparse.ArgumentParser) -> None:
    """Add what is asked of a pack before it counts."""
    parser.add_argument(
        "--require",
        choices=["integrity", "signed", "final"],
        default="signed",
        help="settle for an intact pack; a trusted signature (default); and a finished job",
    )
    parser.add_argument("--key", metavar="PUB", help="this public key file is the only one that counts")


def _pins(parser: argparse.ArgumentParser) -> None:
    """Add which pack it has to be."""
    parser.add_argument("--job", dest="expect_job", metavar="ID", help="it must be the pack of this job")
    parser.add_argument("--footer", metavar="LINE", help="it must be the pack that this receipt line names")
    parser.add_argument("--manifest", metavar="HEX", help="it must be exactly this pack")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")


def _unverified(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--unverified", action="store_true", help="look into it although it is not verified")


def _bytes(text: str) -> int:
    if not text.isdecimal() or len(text) > 12 or int(text) > _MOST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of bytes from 0 to {_MOST}")
    return int(text)
