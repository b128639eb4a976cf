"""``state list|show|mv|rm|taint|untaint|pull|push|history``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clockwork_nb.cli.waiting import waiting_words
from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.session import Session

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.forge.state_edit import StateEdit
    from clockwork_nb.session.state_verbs import StateVerbs

__all__ = [
    "state_history",
    "state_list",
    "state_mv",
    "state_pull",
    "state_push",
    "state_rm",
    "state_show",
    "state_taint",
    "state_untaint",
]


def _verbs(args: argparse.Namespace) -> StateVerbs:
    from clockwork_nb.session.state_verbs import StateVerbs

    return StateVerbs(Session.for_folder(Path(args.root), name=args.workspace))


def state_list(args: argparse.Namespace, out: Output) -> int:
    """List what is recorded."""
    from clockwork_nb.render.state import state_list_text

    verbs = _verbs(args)
    entries, serial = verbs.entries(args.patterns), verbs.document()["serial"]
    names = ("address", "type", "status", "declared_in", "dependencies")
    out.document({"serial": serial, "resources": [{name: e[name] for name in names} for e in entries]})
    out.text(state_list_text(entries, serial, color=out.color))
    return 0


def state_show(args: argparse.Namespace, out: Output) -> int:
    """Show one entry; sensitive values are masked, and sealed in the document."""
    from clockwork_nb.render.state import entry_text

    entry, needed_by = _verbs(args).entry(args.address)
    out.document({**entry, "needed_by": needed_by})
    out.text(entry_text(entry, needed_by, color=out.color))
    return 0


def state_pull(args: argparse.Namespace, out: Output) -> int:
    """Write the document to stdout, with and without ``--json``."""
    document = _verbs(args).pull()
    if out.json:
        out.document(document)
    else:
        import json

        out.text(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True))
    return 0


def state_history(args: argparse.Namespace, out: Output) -> int:
    """List the edits."""
    from clockwork_nb.render.state import history_text

    edits = _verbs(args).history()
    out.document({"edits": edits})
    out.text(history_text(edits))
    return 0


def state_mv(args: argparse.Namespace, out: Output) -> int:
    """Give an entry another address, after asking."""
    verbs = _verbs(args)
    return _carry_out(args, out, verbs, verbs.move(args.source, args.target, reason=args.reason))


def state_rm(args: argparse.Namespace, out: Output) -> int:
    """Forget entries, after asking."""
    verbs = _verbs(args)
    return _carry_out(args, out, verbs, verbs.remove(args.patterns, reason=args.reason))


def state_taint(args: argparse.Namespace, out: Output) -> int:
    """Mark an entry, after asking."""
    verbs = _verbs(args)
    return _carry_out(args, out, verbs, verbs.taint(args.address, reason=args.reason))


def state_untaint(args: argparse.Namespace, out: Output) -> int:
    """Take the mark away, after asking."""
    verbs = _verbs(args)
    return _carry_out(args, out, verbs, verbs.untaint(args.address, reason=args.reason))


def state_push(args: argparse.Namespace, out: Output) -> int:
    """Put a document in the place of the state, after asking."""
    from clockwork_nb.workspace import read_input

    verbs = _verbs(args)
    data = read_input(Path(args.file))
    return _carry_out(
        args, out, verbs, verbs.push(data, name=Path(args.file).name, force=args.force, reason=args.reason)
    )


def _carry_out(args: argparse.Namespace, out: Output, verbs: StateVerbs, edit: StateEdit) -> int:
    from clockwork_nb.forge.lock import left_behind_text
    from clockwork_nb.render.state import edit_text

    shown = {
        "serial_before": edit.serial_before,
        "entries": [{"address": e.address, "what": e.what, "to": e.to, "entry": e.entry} for e in edit.entries],
        "forced": edit.forced,
        "unfinished": verbs.unfinished_job(edit),
    }
    out.text(edit_text(shown, color=out.color))
    via = _consent(args, out)

    done = verbs.commit(edit, via=via, wait_s=args.lock_timeout, on_wait=lambda owner: out.note(waiting_words(owner)))
    if done["left_behind"]:
        out.note(left_behind_text(done["left_behind"]))
    out.document(done)
    backup = f"; the state before is in {done['backup']}" if done["backup"] else ""
    out.text(f"\nDone      serial {done['serial']}{backup}")
    return 0


def _consent(args: argparse.Namespace, out: Output) -> str:
    """Return how the edit was agreed to.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, there is nobody to ask, or the answer was not yes.
    """
    from clockwork_nb.cli.asking import ask
    from clockwork_nb.settings import load_settings

    settings = load_settings(who=False)
    if args.auto_approve or settings.auto_approve:
        return "auto"
    if settings.headless or out.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UnsafeOperationError(
            "there is nobody to ask here; the state is as it was",
            hint="Add --auto-approve to do it without asking; the history says so then.",
        )
    if ask("\nChange the record?  Type yes: ") != "yes":
        raise UnsafeOperationError("not done; the state is as it was")
    return "terminal"
