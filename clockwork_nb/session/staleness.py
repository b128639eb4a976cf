"""What moved between a recorded plan and what is asked for now: sentences without full stop, none where nothing did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import parse_json

if TYPE_CHECKING:
    from clockwork_nb.jobs.model import SectionState
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.planning import Planned
    from clockwork_nb.session.runs import JobRun
    from clockwork_nb.session.session import Session

__all__ = ["moved_plan", "moved_request", "recorded_plan", "stale_notice"]

_ASKED = ("configuration", "variables", "targets", "excluded", "replace", "prune")
"""Fields of a plan that say what was asked for; the others are what the machine answered."""


def recorded_plan(run: JobRun, section: SectionState) -> Mapping[str, Any]:
    """Return the document of the plan that *section* is bound to."""
    document: Mapping[str, Any] = parse_json(run.writer.get_blob(section.plan), what="the recorded plan")
    return document


def moved_plan(run: JobRun, section: SectionState, planned: Planned) -> list[str]:
    """Return what moved between the plan of *section* and *planned*."""
    from clockwork_nb.assembly.planfile import explain_stale

    return explain_stale(recorded_plan(run, section), planned.document)


def moved_request(session: Session, options: PlanOptions, recorded: Mapping[str, Any]) -> list[str]:
    """Return what is asked for differently than in *recorded*; what the run has changed itself is no difference."""
    from clockwork_nb.assembly.planfile import explain_stale

    now = session.make_plan(options).document
    kept = {name: value for name, value in recorded.items() if name not in _ASKED}
    return explain_stale(recorded, {**kept, **{name: now[name] for name in _ASKED if name in now}})


def stale_notice(run: JobRun, verb: str, cell: str, call: int, planned: Planned) -> str:
    """Return why this call is asked about again, when its last section was closed as stale; else an empty text."""
    same = [s for s in run.state().sections.values() if (s.verb, s.cell, s.call) == (verb, cell, call)]
    if not same or same[-1].outcome != "stale" or not same[-1].plan:
        return ""
    moved = "; ".join(moved_plan(run, same[-1], planned)) or "its inputs changed"
    return f"The plan that was asked about no longer fits: {moved}"
