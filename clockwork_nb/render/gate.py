"""What a run says when it stops for a decision that nobody has recorded yet (exit 4)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.render.plan_words import change_words, risk_words
from clockwork_nb.render.text import short_digest, visible

__all__ = ["edited_words", "runbook_place", "waiting_text"]


def runbook_place(name: str, cell: int, magic: str) -> str:
    """Return the words for a stop inside a runbook: its file name, the cell's number from 1, the magic that asked."""
    return f"Runbook {visible(name)} stopped at cell {cell} ({visible(magic)})"


def edited_words(paths: Sequence[str]) -> str:
    """Return the sentence that says which scripts are not what the plan shows."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    verb = "is" if len(paths) == 1 else "are"
    return f"{', '.join(map(visible, paths[:3]))}{more} {verb} edited by hand: that runs, not what the plan shows"


def waiting_text(
    *,
    job_id: str,
    plan_digest: str,
    document: Mapping[str, Any],
    place: str = "",
    report: str = "",
    command: str = "clockwork",
    naming: str = "",
    edited: Sequence[str] = (),
) -> str:
    """Return what waits and the two commands that go on, without a line end at the end.

    Args:
        job_id: the job that waits.
        plan_digest: the plan that needs the decision; the command carries its first eight characters.
        document: the plan document.
        place: what stopped, e.g. from `runbook_place`; by default the job.
        report: path of a report to read first.
        command: how the tool is called.
        naming: the flags that name what is to be approved; by default the plan's.
        edited: scripts that were edited by hand, and that will run as they are.
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
            *([f"  {edited_words(edited)}"] if edited else []),
            f'Continue   {command} approve {job} {naming or f"--plan {digest}"} --reason "…"  &&  {command} job resume {job}',
            f'Refuse     {command} reject  {job} --reason "…"',
        )
    )
