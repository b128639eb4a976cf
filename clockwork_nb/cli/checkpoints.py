"""``checkpoint list|show|emit``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import check_job_id
from clockwork_nb.session import checkpoints
from clockwork_nb.session.job_store import open_store
from clockwork_nb.settings import load_settings

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output

__all__ = ["checkpoint_emit", "checkpoint_list", "checkpoint_show"]


def checkpoint_list(args: argparse.Namespace, out: Output) -> int:
    """List a job's checkpoints."""
    from clockwork_nb.render.checkpoints import checkpoints_text

    found = checkpoints.records(open_store(load_settings()), check_job_id(args.job), kind=args.type or "")
    out.document(found)
    out.text(checkpoints_text(found))
    return 0


def checkpoint_show(args: argparse.Namespace, out: Output) -> int:
    """Show one checkpoint."""
    from clockwork_nb.render.checkpoints import checkpoint_text

    found = checkpoints.find(open_store(load_settings()), check_job_id(args.job), args.checkpoint)
    out.document(found)
    out.text(checkpoint_text(found))
    return 0


def checkpoint_emit(args: argparse.Namespace, out: Output) -> int:
    """Add a checkpoint."""
    if (args.required_kind or args.required_instructions) and args.type != "decision-needed":
        raise InvalidInputError("only a decision requires an action", hint="Leave --required-… out.")
    settings = load_settings()
    made = checkpoints.emit(
        open_store(settings), settings, check_job_id(args.job), args.type, args.summary, reason_codes=args.reason_code
    )
    out.document(made)
    out.text(f"Added     {made['checkpoint_id']}  {made['type']}")
    return 0
