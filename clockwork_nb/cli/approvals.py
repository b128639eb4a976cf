"""``approve`` and ``reject``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clockwork_nb.errors import ApprovalRequiredError, InvalidInputError
from clockwork_nb.session.jobs import Jobs

if TYPE_CHECKING:
    from datetime import timedelta

    from clockwork_nb.cli.output import Output
    from clockwork_nb.settings import Settings
    from clockwork_nb.signing import Signer

__all__ = ["approve", "reject"]


def approve(args: argparse.Namespace, out: Output) -> int:
    """Approve the plan a job waits for; without ``--plan`` it is shown and you are asked."""
    jobs = Jobs()
    expires = _lifetime(args.expires) if args.expires else None
    plan, bundle = args.plan, args.bundle
    if plan is None:
        plan, bundle = _ask_for_plan(jobs, args, out)
    document = jobs.approve(
        args.job, plan=plan, bundle=bundle, reason=args.reason, claimed=args.by or "", expires=expires,
        key=_key(args, jobs.settings),
    )  # fmt: skip
    out.document(document)
    who = document["by"] + (f" (says: {document['claimed']})" if document["claimed"] else "")
    signed = ", signed" if document["signed"] else ""
    out.text(
        f'Approved plan {document["plan"][:8]} by {who} "{document["reason"]}", once, until {document["expires_at"]}{signed}'
    )
    if document["missing"]:
        given = document["quorum"] - document["missing"]
        out.text(f"Waiting   {given} of {document['quorum']} persons have approved; {document['missing']} more must")
    else:
        out.text(f"Next      clockwork job resume {args.job}")
    return 0


def _lifetime(text: str) -> timedelta:
    from clockwork_nb.session.stores import parse_age

    return parse_age(text)


def _key(args: argparse.Namespace, settings: Settings) -> Signer | None:
    """Return what to sign with, None when no signature is asked for."""
    if not args.sign and not args.key and args.ssh_agent is None:
        return None
    import getpass

    from clockwork_nb.session.keys import signing_key

    ask = (lambda: getpass.getpass("passphrase of the signing key: ").encode()) if sys.stdin.isatty() else None
    return signing_key(settings, file=Path(args.key) if args.key else None, agent=args.ssh_agent, passphrase=ask)


def _ask_for_plan(jobs: Jobs, args: argparse.Namespace, out: Output) -> tuple[str, str]:
    from clockwork_nb.cli.asking import ask
    from clockwork_nb.render.plan import plan_text
    from clockwork_nb.render.text import visible

    document, digest = jobs.plan_document(args.job)
    asked = jobs.question(args.job)
    if out.json or not sys.stdin.isatty():
        raise InvalidInputError(
            "which plan? There is nobody to ask here",
            hint=f"clockwork approve {args.job} {asked['naming']} --reason …",
        )
    out.text(plan_text(document, digest, color=out.color, width=out.columns))
    if "edited by hand" in asked["summary"]:
        out.text(f"\n{visible(asked['summary'])}")
    if notable := jobs.notable(args.job):
        out.text(f"\n{notable}")
    if ask(f"\nApprove plan {digest[:8]}?  Type yes: ").lower() not in {"y", "yes"}:
        raise ApprovalRequiredError(
            f"nothing was approved; {args.job} still waits", hint=f'Refuse     clockwork reject {args.job} --reason "…"'
        )
    return digest, asked["bundle"]


def reject(args: argparse.Namespace, out: Output) -> int:
    """Refuse the plan a job waits for."""
    document = Jobs().reject(args.job, reason=args.reason, claimed=args.by or "")
    out.document(document)
    out.text(f'Refused plan {document["plan"][:8]} by {document["by"]} "{document["reason"]}". Nothing of it was run.')
    return 0
