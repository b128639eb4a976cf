"""Opens the sections of a job: bound to plan, bundle and policy, recorded, and asked about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clockwork_nb.ports import Draft
from clockwork_nb.session.options import PlanOptions
from clockwork_nb.session.planning import Planned
from clockwork_nb.session.runs import JobRun
from clockwork_nb.session.sections import Section, SectionOutcome, bind_drafts, put_evidence

if TYPE_CHECKING:
    from clockwork_nb.jobs.model import JobState, SectionState
    from clockwork_nb.session.building import Built
    from clockwork_nb.session.session import Session

__all__ = ["ask", "empty_section", "open_section", "own_run", "restored_outcome"]


def open_section(
    session: Session,
    run: JobRun,
    number: int,
    verb: str,
    planned: Planned,
    built: Built,
    *,
    cell: str,
    call: int,
    inputs: str,
    options: PlanOptions | None = None,
) -> Section:
    """Write the section's opening, bind it to plan and bundle, and ask for approval when there is a change."""
    from clockwork_nb.jobs.commands import checkpoint
    from clockwork_nb.session.policy import refuse_runtimes
    from clockwork_nb.session.staleness import stale_notice

    refuse_runtimes(session.policy(), built.bundle)
    notice = stale_notice(run, verb, cell, call, planned)
    plan_blob, bundle_blob, state_blob = put_evidence(run, planned, built, planned.state)
    opened = Draft("section.opened", {"section": number, "verb": verb, "cell": cell, "call": call, "inputs": inputs})
    binds = bind_drafts(
        number, planned, built, policy=session.policy().digest,
        plan_blob=plan_blob, bundle_blob=bundle_blob, state_blob=state_blob,
    )  # fmt: skip
    told = checkpoint("plan", _plan_words(verb, planned), section=number)
    run.writer.append([opened, *binds, told])
    section = Section(session, verb, planned, built, run, number, options=options, notice=notice)
    ask(session, run, section)
    return section


def ask(session: Session, run: JobRun, section: Section) -> None:
    """Write the question, when the section has a change that nobody decided on yet."""
    from clockwork_nb.ids import new_ulid
    from clockwork_nb.jobs.approval import naming
    from clockwork_nb.jobs.commands import request_approval

    if not section.planned.has_changes:
        return
    summary = _plan_words(section.verb, section.planned)
    if section.edited:
        from clockwork_nb.render.gate import edited_words

        summary = f"{summary}; {edited_words(section.edited)}"
    state = run.state()
    run.writer.append(
        request_approval(
            state,
            section.number,
            approval_id=f"ap_{new_ulid()}",
            binds=section.binds(),
            summary=summary,
            instructions=f'clockwork approve {run.job_id} {naming(state, section.binds())} --reason "…"',
            reason_codes=[f"risk:{r}" for r in section.planned.risks],
            quorum=_quorum_of(session, state, section.number),
        )
    )
    section.let_policy_decide()


def _quorum_of(session: Session, state: JobState, number: int) -> int:
    """Return how many persons must approve the section: once asked for, no less when its plan is another one."""
    here = state.sections[number]
    same = {s.number for s in state.sections.values() if (s.verb, s.cell, s.call) == (here.verb, here.cell, here.call)}
    return max([session.quorum, *(d.quorum for d in state.decisions.values() if d.section in same)])


def own_run(session: Session, verb: str, options: PlanOptions, planned: Planned) -> JobRun:
    from clockwork_nb.session.job_store import open_store

    store = open_store(session.settings)
    kept, withheld = session.sources.without_secrets(options)
    spec: dict[str, Any] = {
        "verb": verb,
        "workspace": {
            "root": str(session.workspace.root),
            "folder": str(session.workspace.folder),
            "name": session.workspace.name,
            "notebook": session.workspace.is_notebook,
        },
        "options": kept.to_document(),
        "withheld": withheld,
    }
    if session.budgets:
        spec["budgets"] = dict(session.budgets)
    if any(session.edits.values()):
        spec["edits"] = dict(session.edits)
    texts: list[bytes] = []
    configuration = session.sources.to_document(texts)
    return JobRun.create(
        store,
        name=f"{verb} {session.workspace.name}",
        adapter="pipeline",
        lineage=planned.document["lineage"] or "",
        spec={**spec, "configuration": configuration},
        blobs=texts,
        environment=session.environment_rules,
        job_id=session.job_id,
    )


def empty_section(
    session: Session, verb: str, options: PlanOptions, planned: Planned, run: JobRun | None, cell: str, call: int
) -> Section:
    number = 0
    if run is not None:
        number = len(run.state().sections) + 1
        inputs = session.inputs_digest(options, verb)
        plan_blob = run.writer.put_blob(_document_bytes(planned))
        run.writer.append(
            [
                Draft("section.opened", {"section": number, "verb": verb, "cell": cell, "call": call, "inputs": inputs}),
                Draft(
                    "plan.bound",
                    {
                        "section": number,
                        "plan": plan_blob,
                        "configuration": planned.document["configuration"],
                        "lineage": planned.document["lineage"] or "",
                        "serial": planned.document["serial"],
                        "changes": 0,
                    },
                ),
                Draft(
                    "section.closed",
                    {"section": number, "outcome": "completed", "done": 0, "failed": 0, "skipped": 0},
                ),
            ]
        )  # fmt: skip
    return Section(session, verb, planned, None, run, number)


def restored_outcome(
    session: Session, run: JobRun, section: SectionState, document: Mapping[str, Any]
) -> SectionOutcome:
    """Return the outcome of *section*, which an earlier attempt of this notebook run finished, steps and all."""
    from clockwork_nb.jobs.progress import RunProgress

    progress = RunProgress(run.job_id)
    progress.expect(document, section.plan)
    progress.feed_all(run.writer.events())
    outputs = tuple(
        {"name": o["name"], "value": o["after"], "sensitive": o["sensitive"]}
        for o in document["outputs"]
        if o["after"] is not None
    )
    return SectionOutcome(
        "completed" if section.done else "nothing",
        section.verb,
        run.job_id,
        section.plan,
        done=section.done,
        duration_s=progress.elapsed_ms() / 1000,
        outputs=outputs if section.verb == "apply" else (),
        snapshot=progress.snapshot(),
        recorded=True,
        unchanged=sum(1 for c in document["changes"] if c["kind"] == "noop"),
    )


def _plan_words(verb: str, planned: Planned) -> str:
    counts = ", ".join(f"{n} to {kind}" for kind, n in sorted(_counts(planned.document).items()))
    return f"{verb}: plan {planned.digest[:8]}: {counts}"


def _counts(document: Mapping[str, Any]) -> dict[str, int]:
    out: dict[str, int] = {}
    for change in document["changes"]:
        if change["kind"] != "noop":
            out[change["kind"]] = out.get(change["kind"], 0) + 1
    return out


def _document_bytes(planned: Planned) -> bytes:
    from clockwork_nb.canonical import canonical_json

    return canonical_json(dict(planned.document))
