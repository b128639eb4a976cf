"""Going on with a section that an earlier process opened: what is done stays done, what was approved stays bound."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import digest, parse_json
from clockwork_nb.errors import InvalidInputError, StepInterruptedError
from clockwork_nb.ports import Artifact
from clockwork_nb.session.building import Built
from clockwork_nb.session.opening import ask
from clockwork_nb.session.planning import Planned
from clockwork_nb.session.sections import Section, bind_drafts, put_evidence
from clockwork_nb.session.staleness import moved_plan, recorded_plan

if TYPE_CHECKING:
    from clockwork_nb.forge.bundle import Bundle
    from clockwork_nb.jobs.model import SectionState
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.runs import JobRun
    from clockwork_nb.session.session import Session

__all__ = ["continue_section"]


def continue_section(
    session: Session,
    run: JobRun,
    known: SectionState,
    options: PlanOptions,
    *,
    inputs: str,
    rerun: Collection[str] = (),
) -> Section | None:
    """Return the section *known*, ready to be decided on or run; None when it was closed as stale.

    Args:
        inputs: the digest of the inputs as they are now.
        rerun: ids of interrupted steps that a person wants to run again.

    Raises:
        StepInterruptedError: a step was running when its process died, and running it again may do its work twice.
    """
    from clockwork_nb.jobs.commands import close_section, interrupted_steps

    broken = interrupted_steps(run.state())
    if broken:
        run.writer.append(broken)
    known = run.state().sections[known.number]
    if known.inputs != inputs:
        run.writer.append([close_section(run.state(), known.number, "stale")])
        return None
    _check_names(known, rerun)
    if known.steps:
        _check_interrupted(run, known, rerun)
        return _go_on(session, run, known, options)
    return _ask_again(session, run, known, options)


def _check_names(known: SectionState, rerun: Collection[str]) -> None:
    """Refuse a step to run again that there is none of, or that was not cut off."""
    cut_off = [name for name, step in known.steps.items() if step.status == "interrupted"]
    for name in rerun:
        if name not in cut_off:
            raise InvalidInputError(
                f"{name} is no interrupted step of this job",
                hint=f"Interrupted: {', '.join(cut_off) or 'none'}",
            )


def _check_interrupted(run: JobRun, known: SectionState, rerun: Collection[str]) -> None:
    allowed = {*rerun, *_asked_for(run, known)}
    stuck = [
        name
        for name, step in known.steps.items()
        if step.status == "interrupted" and not step.idempotent and name not in allowed
    ]
    if not stuck:
        return
    name = stuck[0]
    raise StepInterruptedError(
        f"step {name} was cut off while it ran; it is not known what it did",
        hint=(
            f"Look at what it did. To run it again:  clockwork job resume {run.job_id} --rerun '{name}'\n"
            "A step that may always run again says so with  idempotent = true"
        ),
        details={"job_id": run.job_id, "steps": stuck},
    )


def _asked_for(run: JobRun, known: SectionState) -> set[str]:
    """Return the steps whose next attempt is in the log already: the person who resumed a notebook run wanted it."""
    return {
        str(e.payload["step_id"])
        for e in run.writer.events()
        if e.type == "step.retried"
        and e.payload["section"] == known.number
        and e.payload["attempt"] > known.steps[str(e.payload["step_id"])].attempts
    }


def _go_on(session: Session, run: JobRun, known: SectionState, options: PlanOptions) -> Section:
    """Return the section with exactly the plan and the bytes it was approved with."""
    document = recorded_plan(run, known)
    planned = Planned(document, digest(dict(document)))
    bundle_document = parse_json(run.writer.get_blob(known.bundle), what="the recorded bundle")
    secrets = _secrets_now(session, options) if _names_secrets(bundle_document) else {}
    bundle = _bundle(run, bundle_document, secrets)
    from clockwork_nb.forge.artifacts import StagedBundle

    folder = session.workspace.shown(session.workspace.build_dir)
    return Section(
        session,
        known.verb,
        planned,
        Built(bundle, StagedBundle(bundle), folder, session.tier().tier),
        run,
        known.number,
        options=options,
    )


def _names_secrets(document: Mapping[str, Any]) -> bool:
    return any("secret" in a for a in document["artifacts"]) or any(
        not isinstance(v, str) for s in document["steps"] for v in s.get("vars", {}).values()
    )


def _secrets_now(session: Session, options: PlanOptions) -> Mapping[str, Any]:
    """Return the sensitive values of the steps that are left; they are in no file, so they are evaluated again."""
    from clockwork_nb.forge.compiler import compile_plan

    planned = session.make_plan(options)
    assert planned.plan is not None
    return compile_plan(planned.plan, session.types, session.facts()).secrets


def _bundle(run: JobRun, document: Mapping[str, Any], secrets: Mapping[str, Any]) -> Bundle:
    from clockwork_nb.forge.bundle import Bundle, BundleStep

    artifacts = tuple(
        Artifact(
            path=a["path"],
            content=b"" if "secret" in a else run.writer.get_blob(a["sha256"]),
            mode=a["mode"],
            purpose=a["purpose"],
            lang=a["lang"],
            secret=a.get("secret", ""),
        )
        for a in document["artifacts"]
    )
    return Bundle(artifacts, tuple(BundleStep.from_document(s) for s in document["steps"]), secrets)


def _ask_again(session: Session, run: JobRun, known: SectionState, options: PlanOptions) -> Section | None:
    """Plan again: the same plan keeps its approval, another plan is bound anew and asked for."""
    from clockwork_nb.jobs.commands import close_section

    planned = session.plan_verify(options) if known.verb == "verify" else session.make_plan(options)
    if planned.is_empty:
        run.writer.append([close_section(run.state(), known.number, "stale")])
        return None
    built = session.build(planned)
    decision = run.state().decision_for(known.number)
    policy = session.policy().digest
    here = decision is None or (
        (decision.binds["environment"], decision.binds["policy"]) == (run.state().environment, policy)
    )
    same = planned.digest == known.plan and built.bundle.digest == known.bundle and here
    section = Section(session, known.verb, planned, built, run, known.number, options=options)
    if same:
        if decision is None:
            ask(session, run, section)
        return section
    moved = _moved(run, known, planned, built)
    plan_blob, bundle_blob, state_blob = put_evidence(run, planned, built, planned.state)
    run.writer.append(
        bind_drafts(
            known.number,
            planned,
            built,
            policy=policy,
            plan_blob=plan_blob,
            bundle_blob=bundle_blob,
            state_blob=state_blob,
        )
    )
    section.notice = f"The plan that was asked about no longer fits: {moved}"
    ask(session, run, section)
    return section


def _moved(run: JobRun, known: SectionState, planned: Planned, built: Built) -> str:
    if planned.digest != known.plan:
        return "; ".join(moved_plan(run, known, planned)) or "the plan differs"
    if built.bundle.digest == known.bundle:
        return "the environment or the operator's policy is another one"
    edited = ", ".join(built.staged.edited)
    return f"scripts changed ({edited})" if edited else "scripts changed"
