"""Run the steps of a section: the state's lock, the launcher, the runner, and the progress every view draws."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.notices import log
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Draft, EventView
from clockwork_nb.secrets import Redactor
from clockwork_nb.session.late_outputs import late_outputs, settled_outputs
from clockwork_nb.session.recovery import recovered_state

if TYPE_CHECKING:
    from clockwork_nb.forge.runner import SectionResult
    from clockwork_nb.jobs.model import SectionState
    from clockwork_nb.session.runs import JobRun
    from clockwork_nb.session.sections import Section
    from clockwork_nb.session.session import Session

__all__ = ["Executed", "execute", "secret_variables"]

_LOST_GRACE_S: Final = 0.5
"""From SIGTERM to SIGKILL for the steps of a job that another process has taken over."""

_SECRET_NAME = pattern(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|(?:API|ACCESS|PRIVATE|AUTH|ENCRYPTION)_?KEY", re.I)
_SECRET_CHARS = 8


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
    from clockwork_nb.forge.launch import Launcher
    from clockwork_nb.forge.lock import LOCK_NAME, WorkspaceLock, left_behind_text
    from clockwork_nb.forge.preconditions import check_unmoved
    from clockwork_nb.forge.runner import RunContext, run_section
    from clockwork_nb.forge.state import StateFile
    from clockwork_nb.jobs.progress import RunProgress
    from clockwork_nb.session.policy import refuse_runtimes

    assert section.built is not None
    bundle = section.built.bundle
    state = run.state()
    known = state.sections[section.number]
    decision = state.decision_for(section.number)
    # Never weaker than what was reviewed: the plan names its tier.
    confinement = session.tier(*(f["confinement"] for f in [section.planned.document.get("facts")] if f))
    policy = session.policy()
    refuse_runtimes(policy, bundle)
    redactor = Redactor()
    inherited = session.inherited_environment()
    for value in (*bundle.secrets.values(), *_secret_variables(section), *secret_variables(inherited).values()):
        redactor.register(value)
    progress = RunProgress(run.job_id, confinement=_tier(confinement))
    progress.expect(section.planned.document, section.plan_digest)
    progress.feed_all(_since_opening(run.writer.events(), section.number))

    def tell(event: EventView) -> None:
        progress.feed(event)
        if on_event is not None:
            on_event(event)

    done = {name for name, step in known.steps.items() if step.status == "completed"}
    done |= _pass_over(session.passed_over(), known, section, run)
    workspace = session.workspace
    lock = WorkspaceLock(
        workspace.folder / LOCK_NAME, job=run.job_id, verb=section.verb, single_host=session.settings.single_host,
        clock=session.clock,
    )  # fmt: skip
    with lock:
        if lock.left_behind and lock.left_behind.get("job") != run.job_id:
            log(__name__).warning("%s", left_behind_text(lock.left_behind))
        _end_orphans(session, run, section.number)
        document, behind = recovered_state(StateFile(workspace.folder), session.settings, run)
        check_unmoved(_state_before(run, known), document, job=run.job_id, section=section.number)
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
                allowed_roots=policy.allowed_roots,
                cancel=stop or threading.Event(),
                on_lost=lambda: launcher.hurry(_LOST_GRACE_S),
                used=state.counters,
                measures_wall=run.own,
                inherited=inherited,
                on_output=session.on_output,
                progress_every_s=session.progress_every_s,
                artifacts=session.expected_artifacts(),
            )
            result = run_section(
                section.planned.document,
                bundle,
                writer=run.writer,
                section=section.number,
                approval_id=decision.approval_id if decision is not None and decision.status == "granted" else "",
                done=done,
                attempts={name: step.attempts for name, step in known.steps.items()},
                context=context,
                on_event=tell,
            )
        if section.verb == "apply" and result.state is not None and result.stopped != "lost":
            if result.error is None:
                late = late_outputs(session, section, result.state)
            else:
                late = settled_outputs(session, section, result.state, {*done, *result.done})
            if late != result.state["outputs"]:
                told = {**result.state, "outputs": late}
                StateFile(workspace.folder).save(canonical_json(told))
                result = replace(result, state=told)
    blob = run.writer.put_blob(canonical_json(dict(result.state))) if result.state is not None else ""
    outputs = tuple(result.state["outputs"]) if result.state is not None and section.verb == "apply" else ()
    return Executed(result, progress.snapshot(), blob, outputs)


def _end_orphans(session: Session, run: JobRun, number: int) -> None:
    """End what a killed run left running and say so, to the person and in the job."""
    from clockwork_nb.jobs.commands import checkpoint
    from clockwork_nb.session.job_store import open_store
    from clockwork_nb.session.orphans import clear_orphans, words_for

    words = words_for(*clear_orphans(open_store(session.settings)))
    if words:
        log(__name__).warning("%s", words)
        run.writer.append([checkpoint("progress", words, section=number)])


def _state_before(run: JobRun, known: SectionState) -> Mapping[str, Any] | None:
    """Return the state that the section was planned from; None where there was none."""
    if not known.state_before:
        return None
    document: Mapping[str, Any] = parse_json(run.writer.get_blob(known.state_before), what="the state before")
    return document


def _since_opening(events: Sequence[EventView], number: int) -> Sequence[EventView]:
    """Return the events from the opening of the section on; what was before says nothing about it."""
    for index in range(len(events) - 1, -1, -1):
        if events[index].type == "section.opened" and events[index].payload["section"] == number:
            return events[index:]
    return events


def _pass_over(reasons: Mapping[str, str], known: SectionState, section: Section, run: JobRun) -> set[str]:
    """Record which steps are not to run, unless that is recorded already, and return their ids."""
    numbered = enumerate(section.planned.document["actions"]["steps"], 1)
    drafts = [
        Draft(
            "step.skipped",
            {"section": section.number, "step_id": s["id"], "index": i, "summary": s["address"], "reason": reasons[s["id"]]},
        )
        for i, s in numbered
        if s["id"] in reasons and s["id"] not in known.steps
    ]  # fmt: skip
    run.writer.append(drafts)
    return set(reasons)


def secret_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of *environment* whose names say that they are secret; their values are masked in what is kept."""
    return {
        k: v for k, v in environment.items() if len(v) >= _SECRET_CHARS and _SECRET_NAME.search(k) and v.isprintable()
    }


def _tier(confinement: Any) -> str:
    words = {"standard": "standard (Landlock)", "strict": "strict (bubblewrap, seccomp, Landlock)"}
    return words.get(confinement.tier, f"{confinement.tier}, {confinement.reason}")


def _configs(section: Section) -> dict[str, Mapping[str, Any]]:
    """Return the values of what is made, sensitive ones still marked, for looking at it afterwards; memory only."""
    plan = section.planned.plan
    if plan is None:
        return {}
    return {c.address: dict(c.after) for c in plan.changes if c.after is not None}


def _secret_variables(section: Section) -> list[Any]:
    desired = section.planned.desired
    return [v.value for v in desired.variables if v.sensitive] if desired is not None else []
