"""``jobpack export|verify|inspect|diff|receipt|unpack``."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.cli.waiting import working
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session.imports import export_folder, is_folder_name, read_folder
from clockwork_nb.session.packs import Packs

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.settings import Settings
    from clockwork_nb.signing import Signer

__all__ = ["jobpack_diff", "jobpack_export", "jobpack_inspect", "jobpack_receipt", "jobpack_unpack", "jobpack_verify"]


def _packs(args: argparse.Namespace) -> Packs:
    return Packs(out=Path(args.out_dir) if args.out_dir else None)


def jobpack_export(args: argparse.Namespace, out: Output) -> int:
    """Write a job's evidence as one zip; of a Wrkr job when a folder is named."""
    with working(out, "exporting"):
        packs = _packs(args)
        chosen = None if args.unsigned else _signer(args, packs.settings)
        if is_folder_name(args.job):
            exported = export_folder(read_folder(Path(args.job)), packs, signed=not args.unsigned, signer=chosen)
        else:
            exported = packs.export(args.job, signed=not args.unsigned, signer=chosen, most=args.max_artifact_bytes)
    out.document(exported.to_document())
    state = "" if exported.final else "   the job is not finished; this is its log so far"
    out.text(f"{exported.path}{state}")
    if exported.footer:
        out.text(exported.footer)
    if packs.kept is not None:
        out.note(f"the pack that had this name is kept as {packs.kept.name}")
    for sha256, size in exported.left_out:
        out.note(f"not included: an artifact of {size:,} bytes, sha256 {sha256} (--max-artifact-bytes)")
    if args.key or args.ssh_agent is not None:
        out.note(f"signed by {exported.signer}")
    return 0


def _signer(args: argparse.Namespace, settings: Settings) -> Signer:
    from clockwork_nb.session.keys import signing_key

    if args.key and args.ssh_agent is not None:
        raise InvalidInputError("--key and --ssh-agent name two keys", hint="Choose one of them.")
    ask = (lambda: getpass.getpass("passphrase of the signing key: ").encode()) if sys.stdin.isatty() else None
    return signing_key(settings, file=Path(args.key) if args.key else None, agent=args.ssh_agent, passphrase=ask)


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags of a verb ask of a pack."""
    return {
        "require": args.require,
        "key": Path(args.key) if args.key else None,
        "job": args.expect_job,
        "manifest": args.manifest,
        "footer": args.footer,
    }


def jobpack_verify(args: argparse.Namespace, out: Output) -> int:
    """Check a pack offline; 0 when it is what it says, 2 when not."""
    from clockwork_nb.render.verification import report_text

    with working(out, "verifying"):
        report = _packs(args).verify(args.target, **_asked(args), remember=args.remember)
    document = report.to_document()
    out.document(document)
    out.text(report_text(document, color=out.color))
    return report.exit_code


def jobpack_inspect(args: argparse.Namespace, out: Output) -> int:
    """Show what is in a pack: who, what and when, decisions, steps, files."""
    from clockwork_nb.jobpack.inspection import entry_bytes, inspect_pack, timeline
    from clockwork_nb.render.events import events_text
    from clockwork_nb.render.packs import inspection_text

    with working(out, "verifying"):
        found = _packs(args).relied_on(args.target, unverified=args.unverified, **_asked(args))
    if args.file:
        return _print_file(args.file, entry_bytes(found, args.file), out)
    document = inspect_pack(found)
    if args.events:
        document["timeline"] = timeline(found)
    out.document(document)
    out.text(inspection_text(document, color=out.color))
    if args.events:
        out.text("\n" + events_text(document["timeline"]))
    return found.report.exit_code


def _print_file(name: str, data: bytes, out: Output) -> int:
    """Print one entry: its bytes as they are, and to a terminal only what cannot move its cursor."""
    from clockwork_nb.render.text import visible

    if out.json:
        from base64 import b64encode

        out.document({"path": name, "size": len(data), "encoding": "base64", "content": b64encode(data).decode()})
    elif sys.stdout.isatty():
        out.text(visible(data.decode("utf-8", "backslashreplace"), keep="\n\t"))
    else:
        out.binary(data)
    return 0


def jobpack_diff(args: argparse.Namespace, out: Output) -> int:
    """Show how two packs differ; 2 when they tell two histories of one job."""
    from clockwork_nb.jobpack.compare import compare_packs
    from clockwork_nb.render.packs import diff_text

    with working(out, "verifying"):
        packs, asked = _packs(args), {"require": args.require, "key": Path(args.key) if args.key else None}
        a, b = (packs.relied_on(target, unverified=args.unverified, **asked) for target in (args.a, args.b))
    document = compare_packs(a, b)
    out.document(document)
    out.text(diff_text(document))
    return max(a.report.exit_code, b.report.exit_code, 2 if document["relation"] == "forked" else 0)


def jobpack_receipt(args: argparse.Namespace, out: Output) -> int:
    """Print the one line that pins a pack; what it proves goes to stderr."""
    from clockwork_nb.render.packs import proof_text

    with working(out, "verifying"):
        packs = _packs(args)
        found = packs.relied_on(args.target, unverified=args.unverified, **_asked(args))
    if not found.report.manifest_sha256:  # not even intact: nothing to pin
        assert found.error is not None
        raise found.error
    line, report = packs.receipt(found), found.report.to_document()
    out.document({"footer": line, "verification": report})
    out.text(line)
    out.note(proof_text(report))
    return found.report.exit_code


def jobpack_unpack(args: argparse.Namespace, out: Output) -> int:
    """Write the files of a verified pack into a new folder."""
    with working(out, "unpacking"):
        found, folder = _packs(args).unpack(args.target, Path(args.folder), **_asked(args))
    assert found.archive is not None
    files = len(found.archive.entries)
    out.document({"path": str(folder), "files": files, "verification": found.report.to_document()})
    out.text(f"{folder}  {files} files, {found.report.headline}")
    return 0
