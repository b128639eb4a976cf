"""``store check|repair|prune``."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.cli.asking import ask
from clockwork_nb.cli.waiting import working
from clockwork_nb.errors import StoreCorruptError, UnsafeOperationError
from clockwork_nb.session.stores import Criteria, Stores, parse_age

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output

__all__ = ["store_check", "store_prune", "store_repair"]


def store_check(args: argparse.Namespace, out: Output) -> int:
    """Read every job's whole evidence; 10 when some is damaged."""
    from clockwork_nb.render.stores import check_text

    with working(out, "reading"):
        checked = Stores().check(args.jobs)
    document = checked.to_document()
    out.document(document)
    out.text(check_text(document, color=out.color))
    return 0 if checked.ok else StoreCorruptError.exit_code


def store_repair(args: argparse.Namespace, out: Output) -> int:
    """Bring a damaged job back, after showing what would be lost."""
    from clockwork_nb.render.stores import repair_plan_text, repaired_text

    stores = Stores()
    plan = stores.plan_repair(args.job, truncate_at=args.truncate_at, to_last_valid=args.to_last_valid)
    out.text(repair_plan_text(plan.to_dict(), color=out.color))
    _consent(args, out, f"\nRepair {args.job}?  Type yes: ", f"{args.job} is as it was")
    done = stores.repair(plan, reason=args.reason).to_dict()
    out.document(done)
    out.text(repaired_text(done))
    return 0


def store_prune(args: argparse.Namespace, out: Output) -> int:
    """Remove what is old, after showing what."""
    from clockwork_nb.render.stores import pruned_text

    stores = Stores(out=Path(args.out_dir) if args.out_dir else None)
    criteria = Criteria(
        job_max_age=_age(args.job_max_age),
        jobpack_max_age=_age(args.jobpack_max_age),
        report_max_age=_age(args.report_max_age),
        max_jobpacks=args.max_jobpacks,
        include_unexported=args.include_unexported,
    )
    if not args.dry_run and not args.yes:
        planned = stores.prune(criteria, dry_run=True)
        out.text(pruned_text(planned.to_document(), color=out.color))
        if planned.removed:
            _consent(args, out, "\nRemove them for good?  Type yes: ", "nothing was removed")
    pruned: dict[str, Any] = stores.prune(criteria, dry_run=args.dry_run).to_document()
    out.document(pruned)
    out.text(pruned_text(pruned, color=out.color))
    return 0


def _age(text: str | None) -> timedelta | None:
    return None if text is None else parse_age(text)


def _consent(args: argparse.Namespace, out: Output, question: str, otherwise: str) -> None:
    if args.yes:
        return
    if out.json or not sys.stdin.isatty():
        raise UnsafeOperationError(
            f"there is nobody to ask here; {otherwise}", hint="Add --yes to do it without asking."
        )
    if ask(question) != "yes":
        raise UnsafeOperationError(f"not done; {otherwise}")
