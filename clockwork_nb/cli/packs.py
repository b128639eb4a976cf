"""``jobpack export|verify`` and ``keys list|trust``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from clockwork_nb.cli.waiting import working
from clockwork_nb.session.packs import Packs

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output

__all__ = ["jobpack_export", "jobpack_verify", "keys_list", "keys_trust"]


def _packs(args: argparse.Namespace) -> Packs:
    return Packs(out=Path(args.out_dir) if args.out_dir else None)


def jobpack_export(args: argparse.Namespace, out: Output) -> int:
    """Write a job's evidence as one zip."""
    with working(out, "exporting"):
        exported = _packs(args).export(args.job, signed=not args.unsigned)
    out.document(exported.to_document())
    state = "" if exported.final else "   the job is not finished; this is its log so far"
    out.text(f"{exported.path}{state}")
    out.text(exported.footer)
    return 0


def jobpack_verify(args: argparse.Namespace, out: Output) -> int:
    """Check a pack offline; 0 when it is what it says, 2 when not."""
    from clockwork_nb.render.verification import report_text

    with working(out, "verifying"):
        report = _packs(args).verify(
            args.target, require=args.require, key=Path(args.key) if args.key else None,
            job=args.expect_job, manifest=args.manifest,
        )  # fmt: skip
    document = report.to_document()
    out.document(document)
    out.text(report_text(document))
    return report.exit_code


def keys_list(args: argparse.Namespace, out: Output) -> int:
    """List the own key and the trusted ones."""
    from clockwork_nb.session.keys import list_keys

    keys = list_keys()
    out.document(keys)
    for key in keys:
        out.text(f"{key['role']:<8} {key['fingerprint']}  {key['name']}")
    if not keys:
        out.note("no key yet; the first signed export makes one")
    return 0


def keys_trust(args: argparse.Namespace, out: Output) -> int:
    """Trust the key that a pack carries, when its fingerprint is the one the sender told."""
    from clockwork_nb.session.keys import trust_from_pack

    document = trust_from_pack(Path(args.pack), fingerprint=args.fingerprint, name=args.name)
    out.document(document)
    out.text(f"trusted  {document['fingerprint']}  {document['name']}")
    return 0
