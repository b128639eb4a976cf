"""``job import``: jobs of another tool, read and never changed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from clockwork_nb.session.imports import export_folder, import_document, read_folder
from clockwork_nb.session.packs import Packs

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output

__all__ = ["job_import"]


def job_import(args: argparse.Namespace, out: Output) -> int:
    """Say what is in a Wrkr job folder; with ``--export`` write its pack too."""
    from clockwork_nb.render.imported import import_text

    folder = read_folder(Path(args.folder))
    document = import_document(folder)
    if not args.export:
        out.document(document)
        out.text(import_text(document, color=out.color))
        return 0
    exported = export_folder(folder, Packs(out=Path(args.out_dir) if args.out_dir else None), signed=not args.unsigned)
    out.document({**document, "pack": exported.to_document()})
    state = "" if exported.final else "   the job is not finished; this is its log so far"
    out.text(import_text({**document, "next": []}, color=out.color))
    out.text(f"{exported.path}{state}")
    if exported.footer:
        out.text(exported.footer)
    return 0
