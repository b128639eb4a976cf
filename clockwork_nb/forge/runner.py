"""Run a section: every step of an approved bundle, in the order its needs allow, each journaled before and after.

At most once: a step's ``step.started`` is durable before anything of it runs, its result is written in one append when
it has ended. What a crash leaves is in the log.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from clockwork_nb.canonical import canonical_json, digest
from clockwork_nb.errors import (
    ClockworkError,
    LeaseLostError,
    StepInterruptedError,
)
from clockwork_nb.forge.artifacts import verify_files
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.confinement import Confinement
from clockwork_nb.forge.fold import CHANGING, SectionFold, StateImage, new_state, recorded, step_entry
from clockwork_nb.forge.history import SectionHistory
from clockwork_nb.forge.logs import LogFolder, StepLog
from clockwork_nb.forge.metering import Meter, Usage
from clockwork_nb.forge.postcondition import look_after
from clockwork_nb.forge.preconditions import check_interpreters, check_state
from clockwork_nb.forge.publishing import Publisher
from clockwork_nb.forge.section_result import SectionResult, section_error
from clockwork_nb.forge.state import StateFile, StateWriter, roll_forward
from clockwork_nb.forge.step import NOTE_CHARS, OnOutput, StepExecutor, StepOutcome, Workbench
from clockwork_nb.forge.step_events import step_interrupted, step_outputs, step_skipped, step_started
from clockwork_nb.forge.walk import Skip, WalkResult, walk
from clockwork_nb.ids import new_ulid
from clockwork_nb.jobs.budget import Counters, Excess, exceeded_draft
from clockwork_nb.jobs.commands import charge_budget, checkpoint
from clockwork_nb.jobs.fields import clip
from clockwork_nb.notices import log
from clockwork_nb.ports import Artifact, Draft, EventView, JobWriter, ObserveContext, Progress, Registry
from clockwork_nb.secrets import Redactor, repr_without

__all__ = ["RunContext", "SectionResult", "run_section"]

_ENTRY_BYTES: Final = 16 * 1024
_TAIL_BYTES: Final = 4096
_POLL_S: Final = 0.1


class RunContext(Struct, frozen=True):
    """Where and with what a section runs.

    * ``root``, ``workspace``: the project root, and the workspace's own folder with state, build and logs.
    * ``configs``: address → configuration with its real values, for looking at the result; an address that is missing
      is looked at with what the plan says, sensitive values left out.
    * ``forbidden``: what no step may touch besides the workspace: the job store, the notebook.
    * ``allowed_roots``: folders outside the project where steps may write that declare it.
    * ``timeout_override``: seconds; shortens the limit of every step.
    * ``cancel``: set from outside to stop; it is also set when the job is cancelled, paused or lost, or out of budget.
    * ``on_lost``: called when the job is found to be lost, before ``cancel`` is set: what runs has to be gone soon.
    * ``used``, ``measures_wall``: what the job has used up before, and whether this run counts wall time.
    * ``inherited``, ``on_output``: see `clockwork_nb.forge.step.Workbench`.
    * ``artifacts``: step id → paths below the root that it is to leave; what is there afterwards is recorded.
    * ``progress_every_s``: at most so often a checkpoint tells how many steps are done; 0 for after each.
    * ``backoff_s``: the wait before the first retry of a step that does not say how long; it doubles with each, up to 30
      times that.
    """

    root: Path
    workspace: Path
    launcher: StepExecutor
    confinement: Confinement
    types: Registry
    redactor: Redactor = field(default_factory=Redactor)
    parallelism: int = 8
    timeout_override: int | None = None
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    forbidden: tuple[Path, ...] = ()
    allowed_roots: tuple[Path, ...] = ()
    cancel: threading.Event = field(default_factory=threading.Event)
    on_lost: Callable[[], None] = lambda: None
    used: Counters = field(default_factory=Counters)
    measures_wall: bool = True
    inherited: Mapping[str, str] = field(default_factory=dict)
    on_output: OnOutput | None = None
    artifacts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    backoff_s: float = 1.0
    progress_every_s: float = 60.0

    def __repr__(self) -> str:
        return repr_without(self, "configs", "inherited")


def run_section(
    plan_document: Mapping[str, Any],
    bundle: Bundle,
    *,
    writer: JobWriter,
    section: int,
    approval_id: str,
    done: Collection[str],
    attempts: Mapping[str, int],
    context: RunContext,
    on_event: Progress | None = None,
) -> SectionResult:
    """Run every step of *bundle* that is not done yet and return how it went. Blocking.

    The caller holds the workspace's lock, has decided about interrupted steps, and has checked the approval. The state
    file is marked as being changed by this section before the first step, kept up during the run, and complete at the
    end. Ctrl-C stops the running steps and is reported as ``stopped="interrupt"``.

    Args:
        section: its number in the job.
        approval_id: what is used up with the first step; empty for a section that needs none.
        done: ids of steps that are completed already; they are passed over silently.
        attempts: how often each step was started before.
        on_event: told each event once it is durable, from several threads but one call at a time.

    Raises:
        ArtifactChangedError: a script or an interpreter is not what was approved. Steps that run are finished first.
        PlanStaleError: the state is not the one the plan was made from.
        UnsafeOperationError: a step wants to write where none may; nothing was run.
        LeaseLostError, StoreIOError: nothing more can be recorded; running steps were stopped.
        StepInterruptedError: the launcher died; which step that hit is recorded.
    """
    run = _Section(plan_document, bundle, writer, section, approval_id, context, on_event or (lambda event: None))
    return run.run(set(done), attempts)


class _Section:
    """One run of one section: the journal, the state and the walk around `Workbench`."""

    def __init__(
        self,
        plan: Mapping[str, Any],
        bundle: Bundle,
        writer: JobWriter,
        section: int,
        approval_id: str,
        context: RunContext,
        on_event: Progress,
    ) -> None:
        self.plan, self.bundle, self.writer = plan, bundle, writer
        self.section, self.approval_id, self.context, self.on_event = section, approval_id, context, on_event
        self.plan_digest = digest(dict(plan))
        self.steps: dict[str, BundleStep] = {s.id: s for s in bundle.steps}
        self.index = {s.id: i for i, s in enumerate(bundle.steps, 1)}
        self.actions: dict[str, Mapping[str, Any]] = {a["id"]: a for a in plan["actions"]["steps"]}
        self.last_of = {a["address"]: a["id"] for a in plan["actions"]["steps"]}
        self.fold = SectionFold(plan, job=writer.job_id, section=section)
        self.logs = LogFolder(context.workspace / "logs" / writer.job_id)
        self.attempts: dict[str, int] = {}
        self.outcomes: dict[str, StepOutcome] = {}
        self.interrupted: list[str] = []
        self.refused: list[str] = []
        self.stopped = ""
        self.soft = ""
        self.excess: Excess | None = None
        self.meter = Meter(context.used, writer.limits, wall=context.measures_wall)
        self.publisher = Publisher(context.root, writer)
        self.told_at = time.monotonic()
        self.count = 0
        self.over = threading.Event()
        self.first = threading.Lock()
        self.telling = threading.Lock()
        self.folding = threading.Lock()
        self.floors: dict[int, int] = {}
        self.untold: list[tuple[int, EventView]] = []
        self.appends = 0
        self.highest = 0

    # --- the whole ------------------------------------------------------------------------------------------------

    def run(self, done: Collection[str], attempts: Mapping[str, int]) -> SectionResult:
        events = self.writer.events()
        history = SectionHistory.read(events, self.section)
        self.highest = history.seq
        self.unused = bool(self.approval_id) and not history.approved
        self.attempts = {i: max(attempts.get(i, 0), history.attempts.get(i, 0)) for i in self.steps}
        self.left = len(self.steps.keys() - set(done))
        check_interpreters(self.bundle, done)
        file = StateFile(self.context.workspace)
        document, _ = roll_forward(file.load(), events, job=self.writer.job_id, get_blob=self.writer.get_blob)
        if self.fold.touches:
            check_state(self.plan, document, job=self.writer.job_id, section=self.section)
        self.image = StateImage(document or new_state(self.plan["lineage"] or new_ulid()))
        self.state = StateWriter(file, self.image, ours=self._still_ours)
        with Workbench(
            self.bundle,
            root=self.context.root,
            workspace=self.context.workspace,
            launcher=self.context.launcher,
            redactor=self.context.redactor,
            mark=f"{self.writer.job_id}:{self.writer.epoch}",
            forbidden=self.context.forbidden,
            allowed_roots=self.context.allowed_roots,
            inherited=self.context.inherited,
            on_output=self.context.on_output,
        ) as self.bench:
            if self.fold.touches and self.fold.begin(self.image, self.highest):
                self.state.flush(backup=True)
            retries = history.retries(done, self.attempts, self.section)
            if retries:
                self._append(retries)
            walked = self._walk(done)
            self._charge_rest()
        return self._result(walked, existed=document is not None)

    def _walk(self, done: Collection[str]) -> WalkResult:
        poller = threading.Thread(target=self._poll, name="stop-requests", daemon=True)
        poller.start()
        lost = False
        try:
            return walk(
                [s.id for s in self.bundle.steps],
                {i: a.get("needs", ()) for i, a in self.actions.items()},
                self._run_step,
                parallelism=self.context.parallelism,
                stop=self._must_stop,
                done=done,
                on_skip=self._skip,
                on_interrupt=lambda: self._stop("interrupt"),
            )
        except LeaseLostError:
            lost = True
            raise
        finally:
            self.over.set()
            poller.join()
            self._tell_in_order(rest=True)
            if self.fold.touches and not lost:
                self.state.flush()

    def _charge_rest(self) -> None:
        self.excess = self.excess or self.meter.overrun()
        rest = self.meter.rest()
        drafts = [charge_budget(rest)] if rest.active_ms else []
        if self.excess is not None:
            drafts.append(exceeded_draft(self.excess))
        if drafts:
            self._append(drafts)

    def _result(self, walked: WalkResult, *, existed: bool) -> SectionResult:
        walked.waiting = [*self.refused, *walked.waiting]
        complete = not (walked.failed or walked.skipped or walked.waiting or self.interrupted)
        if complete and self.fold.touches:
            self.fold.finish(self.image)
            self.state.flush()
        if not complete and not self.stopped:
            self.stopped = self.soft or ("interrupt" if self.context.cancel.is_set() else "")
        return SectionResult(
            done=tuple(walked.done),
            failed=tuple(walked.failed),
            skipped=tuple(s.node for s in walked.skipped),
            interrupted=tuple(self.interrupted),
            waiting=tuple(walked.waiting),
            stopped=self.stopped,
            state=self.image.document() if existed or self.fold.touches else None,
            error=None if complete and self.excess is None else self._error(walked),
        )

    def _error(self, walked: WalkResult) -> ClockworkError:
        first = walked.failed[0] if walked.failed else ""
        outcome = self.outcomes.get(first)
        return section_error(
            self.writer.job_id,
            walked,
            stopped=self.stopped,
            interrupted=self.interrupted,
            rerun=[i for i in self.interrupted if not self.actions[i]["idempotent"]],
            excess=self.excess,
            failed=None if outcome is None else (self.actions[first], outcome),
            log=self._shown(outcome.log) if outcome is not None else "",
        )

    # --- stopping -------------------------------------------------------------------------------------------------

    def _stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason
        if reason == "lost":
            self.context.on_lost()
        self.context.cancel.set()

    def _still_ours(self) -> bool:
        # Where that is not known, the next append tells.
        return self.stopped != "lost" and self.writer.stop_requested() != "lost"

    def _must_stop(self) -> bool:
        if not self.context.cancel.is_set() and (reason := self.writer.stop_requested()):
            if reason == "drain":
                self.soft = self.soft or "drain"
            else:
                self._stop(reason)
        return bool(self.soft) or self.context.cancel.is_set()

    def _out_of_budget(self, excess: Excess) -> None:
        self.excess = self.excess or excess
        self.soft = self.soft or "budget"

    def _poll(self) -> None:
        while not self.over.wait(_POLL_S) and not self.context.cancel.is_set():
            try:
                self._must_stop()
            except ClockworkError:  # the log can not be read any more; the next append says why
                self._stop("lost")
                return
            excess = self.meter.overrun()
            if excess is not None:
                self._out_of_budget(excess)
                if excess.dimension == "wall_time_seconds":
                    self._stop("budget")  # what runs uses up more of it with every second

    # --- the journal ----------------------------------------------------------------------------------------------

    def _append(self, drafts: Sequence[Draft]) -> None:
        # Everything up to the mark must be folded in, also while other threads' appends are under way: an append's
        # events come after the highest event that was known when it began.
        with self.folding:
            self.appends += 1
            token = self.appends
            self.floors[token] = self.highest
        try:
            events = self.writer.append(drafts)
        except ClockworkError as error:
            if isinstance(error, LeaseLostError):
                self._stop("lost")
            self.context.cancel.set()  # nothing more can be recorded, so nothing more may run
            raise
        with self.folding:
            for event in events:
                self.fold.fold(self.image, event.type, event.payload, self.writer.get_blob)
                self.highest = max(self.highest, event.seq)
                heapq.heappush(self.untold, (event.seq, event))
            del self.floors[token]
            if self.fold.touches:
                self.fold.mark(self.image, min(self.floors.values(), default=self.highest))
        self._tell_in_order()

    def _tell_in_order(self, *, rest: bool = False) -> None:
        """Tell what is durable in the order of the log; what an append under way may still come before waits for that.

        A view takes an event that comes after a later one for one that it knows already. *rest*: nothing is under way
        any more, whatever became of it.
        """
        with self.telling:
            while (event := self._next_to_tell(rest=rest)) is not None:
                self._tell(event)

    def _next_to_tell(self, *, rest: bool) -> EventView | None:
        with self.folding:
            waits = bool(self.untold) and self.untold[0][0] > min(self.floors.values(), default=self.highest)
            if not self.untold or (waits and not rest):
                return None
            return heapq.heappop(self.untold)[1]

    def _tell(self, event: EventView) -> None:
        try:
            self.on_event(event)
        except Exception:  # noqa: BLE001 - a view that breaks must not break the run it shows
            log(__name__).exception("a view of the run failed; it is told nothing more")
            self.on_event = lambda event: None

    def _skip(self, skips: Sequence[Skip]) -> None:
        self._append(
            [
                step_skipped(self.section, self.steps[s.node], self.index[s.node], self.steps[s.cause].address)
                for s in skips
            ]
        )

    def _shown(self, path: Path | None) -> str:
        if path is None:
            return ""
        return str(path.relative_to(self.context.root)) if path.is_relative_to(self.context.root) else str(path)

    # --- one step -------------------------------------------------------------------------------------------------

    def _run_step(self, step_id: str) -> bool | None:
        again = int(self.actions[step_id].get("retries", 0))
        first_s = wait_s = float(self.actions[step_id].get("backoff_s") or self.context.backoff_s)
        while True:
            ended = self._attempt(step_id)
            if ended is not False or not again or self.soft or self.outcomes[step_id].final:
                return ended
            until = time.monotonic() + wait_s
            while time.monotonic() < until:
                if self.soft or self.context.cancel.wait(_POLL_S):
                    return False
            again, wait_s = again - 1, min(wait_s * 2, 30 * first_s)

    def _attempt(self, step_id: str) -> bool | None:
        step, action = self.steps[step_id], self.actions[step_id]
        artifacts = self.bench.artifacts_of(step)
        verify_files(artifacts, self.context.workspace / "build")
        attempt = self.attempts[step_id] + 1
        failed_before = step_id in self.outcomes
        excess = self.meter.begin(retry=attempt > 1)
        if excess is not None:
            self._out_of_budget(excess)
            if failed_before:
                return False
            self.refused.append(step_id)
            return None
        self.attempts[step_id] = attempt
        if failed_before:
            retried = {"section": self.section, "step_id": step_id, "attempt": attempt, "reason": "it failed"}
            self._append([Draft("step.retried", retried)])
        limit = int(action["timeout_s"])
        if self.context.timeout_override is not None:
            limit = min(limit, self.context.timeout_override)
        self._start(step, action, artifacts, attempt, limit)
        log = self.logs.step(step.address, step.purpose, self.context.redactor, attempt=attempt)
        began = time.monotonic()
        try:
            outcome = self.bench.run(
                replace(step, vars={**step.vars, "CW_RETRY": "1"}) if failed_before else step,
                timeout_s=limit,
                key=f"{self.writer.job_id}:{step_id}:{self.plan_digest}",
                log=log,
                removes=action["change"] == "delete",
                cancel=self.context.cancel,
                idle_timeout_s=action.get("idle_timeout_s", 0),
            )
        except StepInterruptedError as error:
            self.interrupted.append(step_id)
            charged = self._charge(attempt, Usage())
            outputs = step_outputs(self.section, step_id, attempt, log, self.writer.put_blob)
            self._append([*outputs, step_interrupted(self.section, step_id, attempt, error.message), charged])
            raise
        if not outcome.duration_ms:
            outcome = replace(outcome, duration_ms=int((time.monotonic() - began) * 1000))
        return self._end(step, action, attempt, outcome, log)

    def _start(
        self, step: BundleStep, action: Mapping[str, Any], artifacts: Sequence[Artifact], attempt: int, limit: int
    ) -> None:
        tier = self.context.confinement.tier
        started = step_started(
            self.section, step, action, index=self.index[step.id], attempt=attempt, limit_s=limit, tier=tier,
            artifact=artifacts[0] if artifacts else None,
        )  # fmt: skip
        if not self.unused:
            self._append([started])
            return
        with self.first:  # the approval is used up in the same append as the first step, and by nobody else
            if self.unused:
                used = {
                    "approval_id": self.approval_id,
                    "section": self.section,
                    "step_id": step.id,
                    "attempt": attempt,
                }
                self._append([Draft("approval.used", used), started])
                self.unused = False
                return
        self._append([started])

    def _end(
        self, step: BundleStep, action: Mapping[str, Any], attempt: int, outcome: StepOutcome, log: StepLog
    ) -> bool | None:
        drafts = step_outputs(self.section, step.id, attempt, log, self.writer.put_blob)
        if outcome.status == "cancelled":
            self.interrupted.append(step.id)
            charged = self._charge(attempt, outcome.usage)
            self._append([*drafts, step_interrupted(self.section, step.id, attempt, "cancelled"), charged])
            return None
        identity: Mapping[str, Any] = {}
        if outcome.status == "ok" and self.last_of[step.address] == step.id:
            problem, identity = self._look(step.address, outcome.note)
            if problem:
                outcome = replace(
                    outcome, status="failed", code="E_ADAPTER_FAIL", note=problem, tail=log.tail(), log=None
                )
        if outcome.status == "ok" and outcome.usage.problem and self.writer.limits().keys() & {"tokens", "cost"}:
            outcome = replace(outcome, status="failed", code="E_ADAPTER_FAIL", tail=log.tail(), log=None)
        note = outcome.note
        if log.failure is not None:
            note = f"{note} (the log file could not be written)".strip()
        if outcome.usage.problem:
            note = f"{note} ({outcome.usage.problem})".strip()
        note = self._text(note, NOTE_CHARS)
        common: dict[str, Any] = {"section": self.section, "step_id": step.id, "attempt": attempt}
        common |= {"duration_ms": outcome.duration_ms, "note": note}
        if outcome.exit_code is not None:
            common["exit_code"] = outcome.exit_code
        if outcome.status == "failed":
            tail = _last_bytes(self._text(outcome.tail, len(outcome.tail)), _TAIL_BYTES)
            outcome = replace(outcome, note=note, tail=tail)
            self.outcomes[step.id] = outcome
            failed = {**common, "code": outcome.code, "tail": outcome.tail, "log": self._shown(outcome.log)}
            self._append([*drafts, Draft("step.failed", failed), self._charge(attempt, outcome.usage)])
        else:
            self.outcomes.pop(step.id, None)
            entry = self._entry(step, action, identity)
            published = self.publisher.drafts(self.context.artifacts.get(step.id, ()), step.id)
            completed = Draft("step.completed", {**common, **entry})
            published += self._progress()
            self._append([*drafts, completed, *published, self._charge(attempt, outcome.usage)])
        if self.fold.touches:
            self.state.changed()
        return outcome.status == "ok"

    def _progress(self) -> list[Draft]:
        with self.first:
            self.count += 1
            now = time.monotonic()
            if now - self.told_at < self.context.progress_every_s:
                return []
            self.told_at, done = now, self.count
        return [checkpoint("progress", f"{done} of {self.left} steps done", section=self.section)]

    def _charge(self, attempt: int, usage: Usage) -> Draft:
        return charge_budget(self.meter.end(usage, retry=attempt > 1))

    def _text(self, text: str, chars: int) -> str:
        return clip(self.context.redactor.redact(text)[:chars], 4 * chars)

    # --- what came of it ------------------------------------------------------------------------------------------

    def _look(self, address: str, note: str) -> tuple[str, Mapping[str, Any]]:
        """Return what is wrong after the last step of *address* (``""`` if nothing), and its identity."""
        change = self.fold.changes[address]
        if change["kind"] not in CHANGING or change.get("deferred"):
            return "", {}
        return look_after(
            self.context.types[change["type"]],
            change,
            config=self.context.configs.get(address),
            entry=self.image.entry(address),
            note=note,
            where=ObserveContext(self.context.root, self.context.workspace, address),
            redactor=self.context.redactor,
        )

    def _entry(self, step: BundleStep, action: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, str]:
        change = self.fold.changes.get(step.address)
        if change is None or not recorded(change) or (action["change"] == "verify" and change["kind"] != "verify"):
            return {}
        last = self.last_of[step.address] == step.id
        resource: dict[str, Any] | None = None
        if change["kind"] != "delete":
            if not last:  # something of it is there; what, the last step's entry will say
                known = self.image.entry(step.address)
                identity = known["identity"] if known else {}
            resource = step_entry(change, "ok" if last else "unknown", identity)
            del resource["address"]
        elif not last:
            return {}
        text = canonical_json({"address": step.address, "resource": resource})
        if len(text) > _ENTRY_BYTES:
            return {"entry_blob": self.writer.put_blob(text)}
        return {"entry": text.decode()}


def _last_bytes(text: str, limit: int) -> str:
    # Whole characters only.
    data = text.encode()
    return text if len(data) <= limit else data[-limit:].decode("utf-8", "ignore")
