"""What a run says when it stops for a decision that nobody has recorded yet (exit 4)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from clockwork_nb.render.plan import change_words, risk_words
from clockwork_nb.render.text import short_digest, visible

__all__ = ["runbook_place", "waiting_text"]


def runbook_place(name: str, cell: int, magic: str) -> str:
    """Return the words for a stop inside a runbook: its file name, the cell's number from 1, the magic that asked."""
    return f"Runbook {visible(name)} stopped at cell {cell} ({visible(magic)})"


def waiting_text(
    *,
    job_id: str,
    plan_digest: str,
    document: Mapping[str, Any],
    place: str = "",
    report: str = "",
    command: str = "clockwork",
) -> str:
    """Return what waits and the two commands that go on, without a line end at the end.

    Args:
        job_id: the job that waits.
        plan_digest: the plan that needs the decision; the command carries its first eight characters.
        document: the plan document.
        place: what stopped, e.g. from `runbook_place`; by default the job.
        report: path of a report to read first.
        command: how the tool is called.
    """
    job = shlex.quote(visible(job_id))
    digest = short_digest(plan_digest)
    facts = [change_words(document, unchanged=False)]
    risks = risk_words(document)
    if risks:
        facts.append(f"risk: {risks}")
    if report:
        facts.append(f"report {visible(report)}")
    stopped = visible(place) or f"Job {visible(job_id)} stopped"
    return "\n".join(
        (
            f"{stopped}: plan {digest} needs approval.",
            f"  {' · '.join(filter(None, facts))}",
            f'Continue   {command} approve {job} --plan {digest} --reason "…"  &&  {command} job resume {job}',
            f'Refuse     {command} reject  {job} --reason "…"',
        )
    )
