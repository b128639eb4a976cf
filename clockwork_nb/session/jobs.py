"""Jobs from outside: list, look, decide, resume, cancel. Any process of the store's user may."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from clockwork_nb.canonical import parse_json
from clockwork_nb.clock import Clock, SystemClock
from clockwork_nb.errors import (
    ApprovalDeniedError,
    ClockworkError,
    InvalidInputError,
    InvalidTransitionError,
    LeaseConflictError,
)
from clockwork_nb.ids import check_job_id
from clockwork_nb.session.job_status import age, shown_reason, status_document
from clockwork_nb.session.job_store import list_store, open_store, read_store
from clockwork_nb.settings import Settings, load_settings

if TYPE_CHECKING:
    import threading
    from datetime import timedelta

    from clockwork_nb.jobs.model import JobState
    from clockwork_nb.ports import EventView
    from clockwork_nb.session.runs import Claim, JobRun
    from clockwork_nb.session.sections import Section, SectionOutcome
    from clockwork_nb.session.session import Session
    from clockwork_nb.signing import Signer
    from clockwork_nb.store.blobs import BlobStore
    from clockwork_nb.store.files import JobStore
    from clockwork_nb.store.reading import JobReader

__all__ = ["SPEC_ADAPTERS", "Jobs", "find_job"]

SPEC_ADAPTERS: Final = ("steps", "command", "noop")
"""Adapters whose jobs consist of a job spec's own steps (`clockwork_nb.session.spec_jobs`)."""

_PLAN_READ_IN_PASSING: Final = 1 << 20
_SHORT: Final = 4
_INPUT: Final = "notebook/input.ipynb"


class Jobs:
    """The jobs of one store.

    Args:
        settings: default: from the environment.
        clock: default: the machine's.
    """

    def __init__(self, settings: Settings | None = None, *, clock: Clock | None = None) -> None:
        self.settings = settings or load_settings()
        self.clock = clock or SystemClock()
        self._list = list_store(self.settings)

    @cached_property
    def _reader(self) -> JobReader:
        return read_store(self.settings)

    @cached_property
    def store(self) -> JobStore:
        """The store itself, to write to."""
        return open_store(self.settings)

    # --- looking --------------------------------------------------------------------------------------------------

    def summaries(self) -> list[dict[str, Any]]:
        """Return one document a job, newest first: id, status, reason, name, adapter, updated_at."""
        return [
            {
                "id": s.job_id,
                "status": s.status or "damaged",
                "reason": s.damaged or shown_reason(s.status, s.reason, running=s.running),
                "name": s.name,
                "adapter": s.adapter,
                "created_at": s.created_at,
                "updated_at": s.updated_at,
                "running": s.running,
                # Of a job that is not at its end only its plan knows how many there are (`status`).
                "steps": [s.steps_done, s.steps_done + s.steps_failed + s.steps_skipped] if s.finished else [0, 0],
                "age": age(s.updated_at, self.clock.now()),
            }
            for s in self._list.list()
        ]

    def state(self, job_id: str) -> JobState:
        """Return the job folded from its log, which is checked on the way.

        Raises:
            InvalidInputError: there is no such job. StoreCorruptError: its log is damaged.
        """
        return self._reader.read(check_job_id(job_id)).state

    def status(self, job_id: str) -> dict[str, Any]:
        """Return what ``job status`` shows (`clockwork_nb.render.job.JobView` and more): the state, what it waits for,
        budgets, lease, and the next command.
        """
        store = self._reader
        folder = store.existing(check_job_id(job_id))
        quick = store.from_snapshot(folder, store.genesis(job_id))
        state = store.read(job_id).state if quick is None else quick.state
        blobs = store.blobs(job_id)
        return status_document(
            state,
            running=store.summary(job_id).running,
            snapshot=0 if quick is None else state.seq - len(quick.events),
            planned_steps=lambda plan: _planned_steps(blobs, plan),
            now=self.clock.now(),
            planned_cells=_planned_cells(blobs, state),
            spec_steps=_spec_steps(state),
        )

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """Return the job's events as documents, oldest first."""
        view = self._reader.read(check_job_id(job_id))
        return [
            {"seq": e.seq, "created_at": e.created_at, "epoch": e.epoch, "type": e.type, "payload": dict(e.payload)}
            for e in view.events
        ]

    def plan_document(self, job_id: str) -> tuple[Mapping[str, Any], str]:
        """Return the plan that the job waits with, and its digest.

        Raises:
            InvalidTransitionError: it waits for nothing.
        """
        from clockwork_nb.session.approvals import open_decision

        state = self.state(job_id)
        decision = open_decision(state)
        digest = str(decision.binds["plan"])
        document: Mapping[str, Any] = parse_json(self._reader.blobs(job_id).get(digest), what="the recorded plan")
        return document, digest

    def question(self, job_id: str) -> dict[str, str]:
        """Return what the job asks: the digests ``plan`` and ``bundle``, how they are named on a command line
        (``naming``), and the ``summary`` of its checkpoint.

        Raises:
            InvalidTransitionError: it waits for nothing.
        """
        from clockwork_nb.jobs.approval import naming
        from clockwork_nb.session.approvals import open_decision

        state = self.state(job_id)
        decision = open_decision(state)
        asked = next((c.summary for c in state.checkpoints.values() if c.seq == decision.checkpoint_seq), "")
        bound = decision.binds
        named = naming(state, bound)
        return {"plan": str(bound["plan"]), "bundle": str(bound["bundle"]), "naming": named, "summary": asked}

    def notable(self, job_id: str) -> str:
        """Return the edits and flagged lines of the scripts that the job asks about, as text; empty without any.

        Raises:
            InvalidTransitionError: it waits for nothing.
        """
        from clockwork_nb.session.approvals import open_decision
        from clockwork_nb.session.building import notable_of

        state = self.state(job_id)
        blobs = self._reader.blobs(job_id)
        document = parse_json(blobs.get(str(open_decision(state).binds["bundle"])), what="the recorded bundle")
        where = parse_json(state.spec, what="the job's spec").get("workspace")
        folder = Path(where["folder"]) if where else self.settings.work_folder(job_id)
        return notable_of(document, blobs.get, folder / "build")

    # --- deciding -------------------------------------------------------------------------------------------------

    def approve(
        self,
        job_id: str,
        *,
        plan: str,
        reason: str,
        bundle: str = "",
        by: str = "",
        via: str = "cli",
        claimed: str = "",
        expires: timedelta | None = None,
        key: Signer | None = None,
    ) -> dict[str, Any]:
        """Record an approval of the plan whose digest starts with *plan* (8 hex or more) and return what was recorded.

        See `clockwork_nb.session.approvals` for who may, and what *by*, *claimed* and *key* are.

        Raises:
            UnsafeOperationError: asked from inside the job's own processes.
            InvalidInputError: *plan* is too short or another plan. InvalidTransitionError: nothing waits.
        """
        from clockwork_nb.session.approvals import Voice, record_approval

        voice = Voice(by or self.settings.user, via, claimed, key)
        return record_approval(
            self.store, self.settings, self.state(job_id), voice, plan=plan, bundle=bundle, reason=reason, expires=expires,
            now=self.clock.now(),
        )  # fmt: skip

    def reject(self, job_id: str, *, reason: str, by: str = "", via: str = "cli", claimed: str = "") -> dict[str, Any]:
        """Record a no, and end the job when nobody runs it.

        Raises:
            UnsafeOperationError, InvalidTransitionError: as `approve`.
        """
        from clockwork_nb.session.approvals import Voice, record_rejection

        voice = Voice(by or self.settings.user, via, claimed)
        done = record_rejection(
            self.store, self.settings, self.state(job_id), voice, reason=reason, now=self.clock.now()
        )
        self._end(job_id, "denied", f"refused by {done['by']}")
        return done

    def cancel(self, job_id: str, *, reason: str = "") -> dict[str, Any]:
        """Ask the job's runner to stop; end the job here and now when nobody runs it.

        Raises:
            InvalidTransitionError: it is at its end.
        """
        from clockwork_nb.jobs.commands import request_stop

        state = self.state(job_id)
        draft = request_stop(state, "cancel", by=self.settings.user, reason=reason)
        self.store.append_control(job_id, draft)
        ended = self._end(job_id, "canceled", reason or "canceled")
        return {"job": job_id, "ended": ended}

    def pause(self, job_id: str, *, now: bool = False, reason: str = "") -> dict[str, Any]:
        """Ask the job's runner to start nothing more; with *now* also to stop what runs.

        Raises:
            InvalidTransitionError: nobody runs it.
        """
        from clockwork_nb.jobs.commands import request_stop

        state = self.state(job_id)
        draft = request_stop(state, "pause", by=self.settings.user, reason=reason, drain=not now)
        if not self._list.summary(job_id).running:
            raise InvalidTransitionError(
                f"nobody runs job {job_id}, so there is nothing to pause",
                hint=f"clockwork job status {job_id}",
            )
        self.store.append_control(job_id, draft)
        return {"job": job_id, "status": state.status, "now": now}

    # --- budgets --------------------------------------------------------------------------------------------------

    def budget(self, job_id: str, *, limits: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return what the job used up against its limits, or against *limits* (keys of a job spec's ``budgets``)."""
        from clockwork_nb.jobs.budget import exceeded, limits_from_spec
        from clockwork_nb.session.job_status import budget_rows

        state = self._reader.state(check_job_id(job_id))
        given = limits_from_spec({"budgets": dict(limits)}) if limits else dict(state.limits)
        return {
            "job": job_id,
            "counters": state.counters.to_payload(),
            "limits": given,
            "budgets": budget_rows(state.counters, given, everything=True),
            "exceeded": [str(excess) for excess in exceeded(state.counters, given)],
        }

    def raise_budget(self, job_id: str, limits: Mapping[str, str], *, reason: str) -> dict[str, Any]:
        """Give the job larger limits (keys of a job spec's ``budgets``) and return what was recorded.

        Raises:
            InvalidInputError: a limit does not rise, or there is no reason; then none is raised.
            InvalidTransitionError: the job is at its end. UnsafeOperationError: asked from inside the job.
        """
        from clockwork_nb.jobs.budget import SPEC_KEYS
        from clockwork_nb.jobs.commands import raise_budget
        from clockwork_nb.session.approvals import refuse_own_tree

        refuse_own_tree(self.store, self.settings, job_id)
        state = self.state(job_id)
        drafts = [
            raise_budget(state, SPEC_KEYS[key], limit, by=self.settings.user, reason=reason)
            for key, limit in limits.items()
        ]
        raised = []
        for draft in drafts:
            self.store.append_control(job_id, draft)
            dimension = draft.payload["dimension"]
            raised.append({"dimension": dimension, "before": state.limits[dimension], "limit": draft.payload["limit"]})
        return {"job": job_id, "raised": raised}

    def _end(self, job_id: str, outcome: Literal["denied", "canceled"], reason: str) -> bool:
        """Close the open sections and cancel the job, unless a live runner will do that itself."""
        from clockwork_nb.jobs.commands import close_section, finish, interrupted_steps
        from clockwork_nb.session.runs import JobRun

        try:
            handle = self.store.open(job_id)
        except LeaseConflictError:
            return False
        run = JobRun(handle, own=True)
        try:
            handle.append(interrupted_steps(run.state()))
            for section in list(run.state().open_sections):
                handle.append([close_section(run.state(), section.number, outcome)])
            handle.append(finish(run.state(), "canceled", reason=reason))
        finally:
            run.close("canceled")
        return True

    def end(self, job_id: str) -> bool:
        """Write the last record of a job that is completed or canceled in all but that, and return whether it was missing.

        Only a power cut in the middle of its last append leaves a job so.
        """
        from clockwork_nb.ports import Draft
        from clockwork_nb.session.runs import JobRun

        state = self.state(job_id)
        if not state.final or state.finished:
            return False
        run = JobRun(self.store.open(job_id), own=True)
        try:
            run.writer.append([Draft("job.finished", {"status": state.status, "reason_codes": []})])
        finally:
            run.close(state.status)
        return True

    # --- going on -------------------------------------------------------------------------------------------------

    def resume_pipeline(
        self,
        job_id: str,
        *,
        rerun: Collection[str] = (),
        variables: Collection[tuple[str, str]] = (),
        printer_for: Callable[[Section, Sequence[EventView]], Callable[[EventView], None]] | None = None,
        stop: threading.Event | None = None,
        parallelism: int = 8,
        timeout_per_step: int | None = None,
        claim: Claim | None = None,
    ) -> SectionOutcome:
        """Go on with an ``apply``, ``destroy`` or ``verify`` job where it stopped, and return how it went.

        Args:
            rerun: ids of interrupted steps that are to run again.
            variables: the sensitive values the job was started with, name and text; its log does not hold them.
            printer_for: gets the section and the job's events so far, and returns what is told the new ones.
            claim: what to do when somebody runs it; nothing by default.

        Raises:
            LeaseConflictError: somebody runs it.
            InvalidInputError: a sensitive value is missing, or a name in *variables* is none of them.
            ApprovalRequiredError: nobody has decided yet. ApprovalDeniedError: it was refused.
            StepInterruptedError: a step was cut off and may not be repeated unasked.
            InvalidTransitionError: the job is at its end.
        """
        from clockwork_nb.session.runs import JobRun

        state = self.state(job_id)
        if state.final:
            raise InvalidTransitionError(
                f"job {job_id} is {state.status}; there is nothing to resume",
                hint=f"clockwork jobpack export {job_id}",
            )
        if state.adapter == "notebook":
            raise InvalidInputError(
                f"job {job_id} is the run of a notebook", hint=f"In a terminal: clockwork job resume {job_id}"
            )
        _check_given(state, dict(variables))
        run = JobRun.take(self.store, job_id, claim=claim)
        try:
            section = self._section(run, rerun, dict(variables))
        except BaseException as error:
            run.break_off(error)
            raise
        if section.is_empty:
            run.status("running")
            run.finish("completed", "nothing was left to do")
            return section.outcome()
        decision = section.decision()
        if decision is not None and decision["decision"] == "denied":
            section.reject()
        while True:
            if section.needs_approval:
                section.suspend()
            on_event = printer_for(section, run.writer.events()) if printer_for is not None else None
            outcome = section.run(
                on_event=on_event, stop=stop, parallelism=parallelism, timeout_per_step=timeout_per_step
            )
            following = section.following() if outcome.status == "completed" else None
            if following is None:
                return outcome
            section = following

    def _section(self, run: JobRun, rerun: Collection[str], given: Mapping[str, str]) -> Section:
        from msgspec.structs import replace

        from clockwork_nb.session.continuation import continue_section
        from clockwork_nb.session.following import check_known
        from clockwork_nb.session.opening import open_section
        from clockwork_nb.session.options import PlanOptions

        state = run.state()
        if any(d.status == "denied" for d in state.decisions.values()):
            denied = next(d for d in state.decisions.values() if d.status == "denied")
            raise ApprovalDeniedError(f"the plan was refused by {denied.by}")
        spec = parse_json(state.spec, what="the job's spec")
        session = self._session(run, spec)
        options = PlanOptions.from_document(spec["options"])
        for item in spec["withheld"]:
            name, value = item["name"], given[item["name"]]
            if item["source"] == "--var":
                options = replace(options, variables=(*options.variables, (name, value)))
            else:
                session.set_variable(name, value, source=item["source"])
        for done in state.sections.values():
            if done.outcome == "completed" and done.plan:
                options = session.options_after(options, parse_json(run.writer.get_blob(done.plan), what="a plan"))
        inputs = session.inputs_digest(options, spec["verb"])
        for known in list(state.open_sections):
            found = continue_section(session, run, known, options, inputs=inputs, rerun=rerun)
            if found is not None:
                return found
        planned = session.plan_verify(options) if spec["verb"] == "verify" else session.make_plan(options)
        from clockwork_nb.session.sections import Section

        if planned.is_empty:
            return Section(session, spec["verb"], planned, None, run, 0)
        check_known(planned.document)
        built = session.build(planned, **session.edits)
        number = len(run.state().sections) + 1
        return open_section(
            session, run, number, spec["verb"], planned, built, cell="", call=0, inputs=inputs, options=options
        )

    def _session(self, run: JobRun, spec: Mapping[str, Any]) -> Session:
        from clockwork_nb.session.session import Session
        from clockwork_nb.workspace import Workspace

        where = spec["workspace"]
        workspace = Workspace(Path(where["root"]), Path(where["folder"]), where["name"], bool(where["notebook"]))
        if not workspace.root.is_dir():
            raise InvalidInputError(f"the workspace {workspace.root} is not there any more")
        session = Session(workspace, settings=self.settings, clock=self.clock)
        session.sources.restore(spec["configuration"], run.writer.get_blob)
        session.edits = spec.get("edits", {})
        return session


def _check_given(state: JobState, given: Mapping[str, str]) -> None:
    """Refuse values that the job did not withhold, and to go on without one that it did."""
    names = [item["name"] for item in parse_json(state.spec, what="the job's spec")["withheld"]]
    for name in given:
        if name not in names:
            raise InvalidInputError(
                f"job {state.job_id} goes on with the values it was started with; {name} is not to be given again",
                hint=f"Sensitive ones are: {', '.join(names)}" if names else "To use other values, apply anew.",
            )
    missing = [name for name in names if name not in given]
    if missing:
        flags = " ".join(f"--var {name}=…" for name in missing)
        raise InvalidInputError(
            f"the job was started with a sensitive value for {', '.join(missing)}, which no file keeps",
            hint=f"Give it again: clockwork job resume {state.job_id} {flags}",
        )


def _planned_steps(blobs: BlobStore, plan: str) -> int:
    """Return how many steps the plan has; 0 when there is none, or when it is too large to be read in passing."""
    try:
        if not plan or blobs.path(plan).stat().st_size > _PLAN_READ_IN_PASSING:
            return 0
        return len(parse_json(blobs.get(plan), what="the recorded plan")["actions"]["steps"])
    except (OSError, ClockworkError):
        return 0  # job status tells what the log knows; a damaged blob is told by whoever needs it


def _planned_cells(blobs: BlobStore, state: JobState) -> int:
    """Return how many cells of the job's notebook are run; 0 when there is none, or it is too large to read in passing."""
    blob = state.published.get(_INPUT, "") if state.adapter == "notebook" else ""
    try:
        if not blob or blobs.path(blob).stat().st_size > _PLAN_READ_IN_PASSING:
            return 0
        cells = parse_json(blobs.get(blob), what="the recorded notebook")["cells"]
        return sum(1 for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip())
    except (OSError, ClockworkError, KeyError, TypeError):
        return 0  # as for a plan


def _spec_steps(state: JobState) -> int:
    """Return how many steps the job's spec has; 0 when it has none, or when it is kept as a blob."""
    if state.adapter not in SPEC_ADAPTERS or not state.spec:
        return 0
    return len(parse_json(state.spec, what="the job's spec").get("jobspec", {}).get("inputs", {}).get("steps", ()))


def find_job(text: str, settings: Settings | None = None) -> str:
    """Return the id of the job that *text* names: the whole id, its first or last 4 characters or more, or ``last``.

    What names no job is returned as it is: whoever looks it up says what there is.

    Raises:
        InvalidInputError: several jobs fit.
    """
    store = list_store(settings or load_settings())
    if store.exists(text):
        return text
    ids = store.ids()
    if text == "last" and ids:
        return max(ids, key=lambda job: store.summary(job).created_at)
    found = [job for job in ids if len(text) >= _SHORT and (job.startswith(text) or job.endswith(text))]
    if len(found) > 1:
        raise InvalidInputError(
            f"{len(found)} jobs fit {text[:80]!r}",
            hint=f"Among them: {', '.join(found[-3:])}. Their last characters differ.",
        )
    return found[0] if found else text
