"""Run the steps of a section: the state's lock, the launcher, the runner, and the progress every view draws."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import canonical_json
from clockwork_nb.ports import EventView
from clockwork_nb.secrets import Redactor
from clockwork_nb.session.recovery import recovered_state

if TYPE_CHECKING:
    from clockwork_nb.forge.runner import SectionResult
    from clockwork_nb.session.runs import JobRun
    from clockwork_nb.session.sections import Section
    from clockwork_nb.session.session import Session

__all__ = ["Executed", "execute"]


class Executed:
    """What `execute` found: the runner's result, the progress document, the state's blob, the outputs."""

    def __init__(
        self,
        result: SectionResult,
        snapshot: Mapping[str, Any],
        state_blob: str,
        outputs: tuple[Mapping[str, Any], ...],
    ) -> None:
        self.result = result
        self.snapshot = snapshot
        self.state_blob = state_blob
        self.outputs = outputs


def execute(
    session: Session,
    section: Section,
    run: JobRun,
    *,
    on_event: Callable[[EventView], None] | None,
    stop: threading.Event | None,
    parallelism: int,
    timeout_per_step: int | None,
) -> Executed:
    """Run what is left of *section* while holding the state's lock.

    Raises:
        StateLockedError: another process changes this workspace.
        ArtifactChangedError, PlanStaleError, UnsafeOperationError, LeaseLostError, StoreIOError: as the runner.
    """
    from clockwork_nb.forge.confinement import probe
    from clockwork_nb.forge.launch import Launcher
    from clockwork_nb.forge.lock import LOCK_NAME, WorkspaceLock
    from clockwork_nb.forge.runner import RunContext, run_section
    from clockwork_nb.forge.state import StateFile
    from clockwork_nb.jobs.progress import RunProgress

    assert section.built is not None
    bundle = section.built.bundle
    state = run.state()
    known = state.sections[section.number]
    decision = state.decision_for(section.number)
    confinement = probe()
    redactor = Redactor()
    for value in (*bundle.secrets.values(), *_secret_variables(section)):
        redactor.register(value)
    progress = RunProgress(run.job_id, confinement=_tier(confinement))
    progress.expect(section.planned.document, section.plan_digest)
    progress.feed_all(run.writer.events())

    def tell(event: EventView) -> None:
        progress.feed(event)
        if on_event is not None:
            on_event(event)

    workspace = session.workspace
    with WorkspaceLock(workspace.folder / LOCK_NAME, job=run.job_id, clock=session.clock):
        document, behind = recovered_state(workspace, session.settings, run)
        if behind and document is not None:
            StateFile(workspace.folder).save(canonical_json(document))
        with Launcher(confinement) as launcher:
            context = RunContext(
                root=workspace.root,
                workspace=workspace.folder,
                launcher=launcher,
                confinement=confinement,
                types=session.types,
                redactor=redactor,
                parallelism=parallelism,
                timeout_override=timeout_per_step,
                configs=_configs(section),
                forbidden=(session.settings.home, session.settings.config),
                cancel=stop or threading.Event(),
            )
            result = run_section(
                section.planned.document,
                bundle,
                writer=run.writer,
                section=section.number,
                approval_id=decision.approval_id if decision is not None and decision.status == "granted" else "",
                done={name for name, step in known.steps.items() if step.status == "completed"},
                attempts={name: step.attempts for name, step in known.steps.items()},
                context=context,
                on_event=tell,
            )
    blob = run.writer.put_blob(canonical_json(dict(result.state))) if result.state is not None else ""
    outputs = tuple(result.state["outputs"]) if result.state is not None and section.verb == "apply" else ()
    return Executed(result, progress.snapshot(), blob, outputs)


def _tier(confinement: Any) -> str:
    return "standard (Landlock)" if confinement.tier == "standard" else f"{confinement.tier}, {confinement.reason}"


def _configs(section: Section) -> dict[str, Mapping[str, Any]]:
    """Return the values of what is made, sensitive ones still marked, for looking at it afterwards; memory only."""
    plan = section.planned.plan
    if plan is None:
        return {}
    return {c.address: dict(c.after) for c in plan.changes if c.after is not None}


def _secret_variables(section: Section) -> list[Any]:
    desired = section.planned.desired
    return [v.value for v in desired.variables if v.sensitive] if desired is not None else []
