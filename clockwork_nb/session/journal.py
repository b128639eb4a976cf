"""A notebook run resumes by running again, with the magics answering from the run's own log.

The key of a call is (cell, how-manieth call in that cell, verb) plus the digest of its inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clockwork_nb.canonical import canonical_json, digest
from clockwork_nb.errors import PlanStaleError
from clockwork_nb.ports import Draft
from clockwork_nb.session.opening import restored_outcome
from clockwork_nb.session.planning import Planned
from clockwork_nb.session.sections import Section
from clockwork_nb.session.staleness import moved_request, recorded_plan

if TYPE_CHECKING:
    from clockwork_nb.jobs.model import SectionState
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.runs import JobRun
    from clockwork_nb.session.session import Session

__all__ = ["plan_in_journal", "section_in_journal"]


def _find(run: JobRun, verb: str, cell: str, call: int) -> SectionState | None:
    """Return the latest section of this call, None when this attempt is the first to get here."""
    for section in reversed(list(run.state().sections.values())):
        if (section.verb, section.cell, section.call) == (verb, cell, call) and section.outcome not in {
            "stale",
            "canceled",
        }:
            found: SectionState = section
            return found
    return None


def _ran_since(run: JobRun, plan: SectionState) -> bool:
    """Return whether a step was started after *plan* was recorded.

    Told by the order of events, not by the sections' numbers: an apply that waited was opened in an earlier attempt
    than the plan that was shown last before it ran.
    """
    recorded = False
    for event in run.writer.events():
        if event.type == "section.opened" and event.payload["section"] == plan.number:
            recorded = True
        elif recorded and event.type == "step.started":
            return True
    return False


def plan_in_journal(session: Session, run: JobRun, options: PlanOptions, cell: str, call: int) -> Planned:
    """Return the recorded plan of this call when the run has changed something since, else a new plan, recorded.

    A plan after which nothing was run yet is made afresh: nothing depends on it, and what is true now helps more.
    """
    inputs = session.inputs_digest(options, "plan")
    known = _find(run, "plan", cell, call)
    if known is not None and known.inputs == inputs and _ran_since(run, known):
        document = recorded_plan(run, known)
        return Planned(document, digest(dict(document)), recorded=True)
    planned = session.make_plan(options)
    number = len(run.state().sections) + 1
    blob = run.writer.put_blob(canonical_json(dict(planned.document)))
    changes = sum(1 for c in planned.document["changes"] if c["kind"] not in {"noop", "verify"})
    run.writer.append(
        [
            Draft("section.opened", {"section": number, "verb": "plan", "cell": cell, "call": call, "inputs": inputs}),
            Draft(
                "plan.bound",
                {
                    "section": number,
                    "plan": blob,
                    "configuration": planned.document["configuration"],
                    "lineage": planned.document["lineage"] or "",
                    "serial": planned.document["serial"],
                    "changes": changes,
                },
            ),
            Draft("section.closed", {"section": number, "outcome": "completed", "done": 0, "failed": 0, "skipped": 0}),
        ]
    )
    return planned


def section_in_journal(
    session: Session, run: JobRun, verb: str, options: PlanOptions, cell: str, call: int
) -> Section | None:
    """Return the section an earlier attempt of this run opened for the call; None when there is none to go on with.

    A finished one is restored. An unfinished one goes on at its first undone step. One that only waited is planned
    again: the same plan keeps its approval, another plan asks anew.

    Raises:
        PlanStaleError: the cell's inputs are not those of the finished section.
    """
    known = _find(run, verb, cell, call)
    if known is None:
        return None
    inputs = session.inputs_digest(options, verb)
    if not known.open:
        if known.inputs != inputs:
            moved = moved_request(session, options, recorded_plan(run, known))
            raise PlanStaleError(
                f"cell {cell} is not what this run applied: {'; '.join(moved) or 'its text or options changed'}",
                hint="What was applied stays. Put it back to go on with this run, or start a new run of the notebook.",
                details={"cell": cell, "recorded": known.inputs, "now": inputs, "moved": moved},
            )
        document = recorded_plan(run, known)
        planned = Planned(document, digest(dict(document)), recorded=True)
        outcome = restored_outcome(session, run, known, document)
        return Section(session, verb, planned, None, run, known.number, restored=outcome, options=options)
    from clockwork_nb.session.continuation import continue_section

    return continue_section(session, run, known, options, inputs=inputs)
