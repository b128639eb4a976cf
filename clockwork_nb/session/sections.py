"""One apply, destroy or verify inside a job: bound to a plan and a bundle, decided on, run, closed."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct, field
from msgspec.structs import replace

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import (
    ApprovalDeniedError,
    ApprovalRequiredError,
    BudgetExceededError,
    ClockworkError,
    InterruptedByUserError,
    InvalidTransitionError,
)
from clockwork_nb.ports import Draft, EventView
from clockwork_nb.session.runs import JobRun

if TYPE_CHECKING:
    from clockwork_nb.jobs.commands import Outcome
    from clockwork_nb.jobs.model import Decision, SectionState
    from clockwork_nb.session.building import Built
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.planning import Planned
    from clockwork_nb.session.session import Session

__all__ = ["Section", "SectionOutcome"]


class SectionOutcome(Struct, frozen=True):
    """How a section ended.

    ``status`` is ``completed``, ``failed``, ``canceled`` or ``nothing``. ``snapshot`` is the progress document that
    every view draws. ``error`` is what a caller raises when the steps did not all succeed.
    """

    status: str
    verb: str = "apply"
    job_id: str = ""
    plan_digest: str = ""
    done: int = 0
    failed: int = 0
    skipped: int = 0
    interrupted: int = 0
    rerun: tuple[str, ...] = ()
    unstarted: int = 0
    duration_s: float = 0.0
    outputs: tuple[Mapping[str, Any], ...] = ()
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    error: ClockworkError | None = None
    recorded: bool = False
    unchanged: int = 0
    observed_s: float = 0.0
    ends_job: bool = True

    def text(self, *, color: bool = False) -> str:
        """Return the closing lines for people."""
        from clockwork_nb.render.progress import outcome_text

        text = outcome_text(self.to_document(), color=color, next_lines=self._next())
        return f"{self.error.message}\n{text}" if isinstance(self.error, BudgetExceededError) else text

    def _next(self) -> list[str] | None:
        """Return how to go on with a run that was stopped; None where the usual words do."""
        if isinstance(self.error, BudgetExceededError):
            return self.error.hint.splitlines()
        if self.status == "completed" and not self.ends_job:
            return []
        if self.status != "canceled" or not self.job_id or self.error is None:
            return None
        if self.error.details.get("stopped") == "cancel":
            return []  # the job was ended, not only this run of it
        again = "".join(f" --rerun {shlex.quote(step)}" for step in self.rerun)
        return [f"clockwork job resume {self.job_id}{again}"]

    def html(self) -> str:
        """Return the frozen result for a notebook, escaped."""
        from clockwork_nb.render.progress import progress_html

        return progress_html(self.snapshot, self.to_document())

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        out: dict[str, Any] = {
            "status": self.status,
            "verb": self.verb,
            "job": self.job_id,
            "plan": self.plan_digest,
            "done": self.done,
            "failed": self.failed,
            "skipped": self.skipped,
            "interrupted": self.interrupted,
            "unstarted": self.unstarted,
            "duration_ms": int(self.duration_s * 1000),
            "outputs": [dict(o) for o in self.outputs],
            "recorded": self.recorded,
            "unchanged": self.unchanged,
            "observed_ms": int(self.observed_s * 1000),
        }
        if self.error is not None:
            out["error"] = self.error.to_dict()
        return out

    def raise_if_failed(self) -> None:
        """Raise the error of a section that did not succeed.

        Raises:
            AdapterFailedError, StepTimeoutError, AcceptTestError, ArtifactChangedError, InterruptedByUserError, …
        """
        if self.error is not None:
            raise self.error


class Section:
    """A section between its plan and its end. Made by `Session.begin`; used once."""

    def __init__(
        self,
        session: Session,
        verb: str,
        planned: Planned,
        built: Built | None,
        run: JobRun | None,
        number: int,
        *,
        restored: SectionOutcome | None = None,
        notice: str = "",
        options: PlanOptions | None = None,
    ) -> None:
        self._session = session
        self._run = run
        self.verb = verb
        self.planned = planned
        self.built = built
        self.number = number
        self.restored = restored
        self._options = options
        self._bundle_digest = built.bundle.digest if built is not None else ""
        self.notice = notice
        """Why the question is asked again, when it is."""

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def options(self) -> PlanOptions | None:
        """What the plan was asked for with."""
        return self._options

    @property
    def job_id(self) -> str:
        """The job it belongs to; empty when nothing was written."""
        return self._run.job_id if self._run is not None else ""

    @property
    def plan_digest(self) -> str:
        """The plan's digest, 64 hex."""
        return self.planned.digest

    @property
    def bundle_digest(self) -> str:
        """The bundle's digest, 64 hex; empty when there is nothing to run."""
        return self._bundle_digest

    @property
    def edited(self) -> tuple[str, ...]:
        """The scripts that a person edited; they run as they are."""
        return self.built.staged.edited if self.built is not None else ()

    @property
    def serial(self) -> int:
        """The state's serial the plan was made from."""
        return int(self.planned.document["serial"])

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.planned.is_empty

    def binds(self) -> dict[str, Any]:
        """Return what an approval of this section is bound to."""
        document = self.planned.document
        return {
            "configuration": document["configuration"],
            "plan": self.plan_digest,
            "bundle": self.bundle_digest,
            "policy": self._session.policy().digest,
            "environment": self._state().environment if self._run is not None else "",
            "lineage": document["lineage"] or "",
            "serial": self.serial,
        }

    # --- the decision ---------------------------------------------------------------------------------------------

    def _state(self) -> Any:
        assert self._run is not None
        return self._run.state()

    def _decision(self) -> Decision | None:
        if self._run is None:
            return None
        found: Decision | None = self._state().decision_for(self.number)
        return found

    @property
    def needs_approval(self) -> bool:
        """Whether a person (or a rule standing in for one) still has to say yes."""
        if self.is_empty or self.restored is not None or not self.planned.has_changes:
            return False
        decision = self._decision()
        return decision is None or decision.status == "open"

    @property
    def approval(self) -> Mapping[str, str]:
        """Who said yes, how and why; empty before that."""
        decision = self._decision()
        if decision is None or decision.status != "granted":
            return {}
        return {"by": decision.by, "via": decision.via, "reason": decision.reason}

    def decision(self) -> Mapping[str, str] | None:
        """Return the decision once it is recorded, by whomever; None before that. Cheap enough to poll."""
        if self._run is None:
            return None
        self._run.writer.stop_requested()  # takes in what other processes wrote
        decision = self._decision()
        if decision is None or decision.status not in {"granted", "denied"}:
            return None
        return {"decision": decision.status, "by": decision.by, "via": decision.via, "reason": decision.reason}

    def decide(self, decision: str, *, via: str, reason: str = "", by: str = "") -> None:
        """Record ``granted`` or ``denied``. Thread-safe; a decision that is already there wins.

        Raises:
            ApprovalRequiredError: several persons must say yes, and this was one of them, or none; the job waits.
            StoreIOError: it could not be recorded; then nothing may run.
        """
        from clockwork_nb.jobs import approval

        assert self._run is not None
        current = self._decision()
        if current is None or current.status != "open":
            return
        if current.quorum > 1 and decision == "granted" and via in {"auto", "policy"}:
            self.suspend()  # several persons are asked for, and this is none
        if decision == "granted" and via in {"auto", "policy"} and self._flagged_edits():
            self.notice = "A line that was edited into a script has to be seen by a person first."
            self.suspend()
        by = by or self._session.settings.user
        now = self._session.clock.now()
        which = current.approval_id
        if decision == "granted":
            draft = approval.grant(self._state(), which, seen=self.binds(), by=by, via=via, reason=reason, now=now)
        else:
            draft = approval.deny(self._state(), which, by=by, via=via, reason=reason, now=now)
        self._run.writer.append([draft])
        if decision == "granted" and self.needs_approval:
            self.suspend()  # others still have to say yes

    def _flagged_edits(self) -> bool:
        """Return whether a hand-edited script holds a line that nobody may approve unseen.

        What the configuration itself says was written by whoever asks for the run; an edit may be somebody else's.
        """
        edited = set(self.edited)
        return bool(edited) and self.built is not None and any(flag.path in edited for flag in self.built.flags)

    def let_policy_decide(self) -> None:
        """Record the operator's yes, when policy.json covers every risk class of the plan; else leave the question open.

        Of a decision that asks for several persons the policy is none, and never stands in for one.
        """
        from clockwork_nb.session.policy import approving_reason

        decision = self._decision()
        if decision is None or decision.status != "open" or decision.quorum > 1 or not self._session.policy_decides:
            return
        flags = [flag.code for flag in self.built.flags] if self.built is not None else []
        reason = approving_reason(self._session.policy(), self.planned.risks, edited=self.edited, flags=flags)
        if reason:
            self.decide("granted", via="policy", reason=reason)

    def waiting_lines(self) -> tuple[str, str]:
        """Return the sentence that says what waits, and the lines with the commands that go on."""
        from clockwork_nb.jobs.approval import naming
        from clockwork_nb.render.gate import waiting_text

        text = waiting_text(
            job_id=self.job_id,
            plan_digest=self.plan_digest,
            document=self.planned.document,
            place=self._session.place,
            naming=naming(self._state(), self.binds()) if self._run is not None else "",
            edited=self.edited,
        )
        first, _, rest = text.partition("\n")
        decision = self._decision()
        if decision is not None and decision.missing:
            who = f" ({', '.join(grant.by for grant in decision.grants)})" if decision.grants else ""
            rest = f"  {len(decision.grants)} of {decision.quorum} persons have approved{who}\n{rest}"
        return first, f"{self.notice}\n{rest}" if self.notice else rest

    def leave(self) -> None:
        """Leave an own job waiting for its decision."""
        if self._run is not None:
            if self._state().status != "blocked_decision":
                self._run.status("running")  # what stopped it before is over
            self._run.status("blocked_decision", "approval")
            self._run.close("blocked_decision")

    def suspend(self) -> NoReturn:
        """Leave the job waiting for its decision and raise the error that says how to go on.

        Raises:
            ApprovalRequiredError: always.
        """
        first, rest = self.waiting_lines()
        self.leave()
        raise ApprovalRequiredError(
            first,
            hint=rest,
            details={
                "job_id": self.job_id,
                "plan": self.plan_digest,
                "section": self.number,
                "risks": list(self.planned.risks),
            },
        )

    def reject(self) -> NoReturn:
        """End the section (and an own job) after a recorded no, and raise it.

        Raises:
            ApprovalDeniedError: always.
        """
        decision = self._decision()
        self._close("denied")
        if self._run is not None:
            self._run.finish("canceled", "the plan was refused")
        who = decision.by if decision is not None else "nobody"
        why = f': "{decision.reason}"' if decision is not None and decision.reason else ""
        raise ApprovalDeniedError(
            f"plan {self.plan_digest[:8]} was refused by {who}{why}",
            hint="Nothing was run. Change the configuration and plan again.",
            details={"job_id": self.job_id},
        )

    def cancel(self, reason: str) -> None:
        """End the section while it waits, because the person stopped it."""
        if self._run is None:
            return
        self._close("canceled")
        self._run.finish("canceled", reason)

    def _close(self, outcome: Outcome, state_after: str = "") -> None:
        from clockwork_nb.jobs.commands import close_section

        assert self._run is not None
        self._run.writer.append([close_section(self._state(), self.number, outcome, state_after=state_after)])

    # --- the work -------------------------------------------------------------------------------------------------

    def outcome(self) -> SectionOutcome:
        """Return the final outcome of a section with nothing to run."""
        if self.restored is not None:
            return self.restored
        return SectionOutcome(
            "nothing",
            self.verb,
            job_id=self.job_id,
            plan_digest=self.plan_digest,
            outputs=tuple(self._session.outputs()),
            unchanged=sum(1 for c in self.planned.document["changes"] if c["kind"] == "noop"),
            observed_s=self.planned.observed_s,
        )

    def run(
        self,
        *,
        on_event: Callable[[EventView], None] | None = None,
        stop: threading.Event | None = None,
        parallelism: int = 8,
        timeout_per_step: int | None = None,
    ) -> SectionOutcome:
        """Run every step that is not done yet and return how it went. Blocking.

        Args:
            on_event: called with each event as it becomes durable; must not block.
            stop: set it to stop: running steps are killed, what is finished stays finished.
            parallelism: steps at once, 1 or more.
            timeout_per_step: seconds; shortens the limit of every step.

        Raises:
            ApprovalRequiredError: there is no decision. ApprovalDeniedError: it is no.
            ApprovalStaleError: what was approved is not what would run.
            StateLockedError, LeaseLostError, StoreIOError, StepInterruptedError, StoreCorruptError.
        """
        if self.is_empty or self.restored is not None:
            return self.outcome()
        from clockwork_nb.session.execution import execute

        assert self._run is not None
        if self.planned.has_changes:
            self._check_decision()
        self._run.status("running")
        started = time.monotonic()
        try:
            ran = execute(
                self._session, self, self._run,
                on_event=on_event, stop=stop, parallelism=parallelism, timeout_per_step=timeout_per_step,
            )  # fmt: skip
        except BaseException as error:
            self._block(error)
            if self._run.own and isinstance(error, ClockworkError) and (error.retryable or error.exit_code == 10):
                error.hint += f"\nTo go on then:  clockwork job resume {self.job_id}"
            raise
        result = ran.result
        outcome = SectionOutcome(
            "completed",
            self.verb,
            self.job_id,
            self.plan_digest,
            done=len(result.done),
            failed=len(result.failed),
            skipped=len(result.skipped),
            interrupted=len(result.interrupted),
            rerun=tuple(s for s in result.interrupted if not self._idempotent(s)),
            unstarted=len(result.waiting),
            duration_s=time.monotonic() - started,
            outputs=ran.outputs,
            snapshot=ran.snapshot,
            error=result.error,
            ends_job=self._session.section_ends_job and not self.planned.deferred,
        )
        if result.error is None:
            self._close("completed", ran.state_blob)
            if outcome.ends_job:
                self._run.finish("completed", f"{self.verb}: {len(result.done)} steps done")
            return outcome
        self._block(result.error)
        status = "canceled" if isinstance(result.error, InterruptedByUserError) else "failed"
        return replace(outcome, status=status, outputs=())

    def following(self) -> Section | None:
        """Return the section of what waited for this one, which has been run; None when nothing did, or nothing is left.

        Raises:
            InvalidInputError: it waits for something that running this section did not tell.
            ConfigurationError, BundleError, ArtifactChangedError, UnsafeOperationError, StoreIOError: as `Session.begin`.
        """
        if not self.planned.deferred or self._run is None:
            return None
        return self._session.go_on(self._run, self)

    def _idempotent(self, step: str) -> bool:
        return any(a["id"] == step and a["idempotent"] for a in self.planned.document["actions"]["steps"])

    def _block(self, error: BaseException) -> None:
        """Leave an own job where it can be resumed, saying why; end it when that is what was asked for."""
        assert self._run is not None
        if not self._run.own:
            return
        stop = self._run.writer.stop_requested()
        if stop == "cancel":
            self._close("canceled")
            self._run.finish("canceled", "canceled")
            return
        status = "paused" if stop in {"pause", "drain"} else "blocked_error"
        if isinstance(error, BudgetExceededError):
            status = "blocked_budget"
        self._run.break_off(error, section=self.number, status=status)

    def _check_decision(self) -> None:
        from clockwork_nb.jobs.approval import check_granted

        if self.needs_approval:
            first, rest = self.waiting_lines()
            raise ApprovalRequiredError(first, hint=rest, details={"job_id": self.job_id, "plan": self.plan_digest})
        check_granted(self._state(), self.number, self.binds(), now=self._session.clock.now())

    def events(self) -> Sequence[EventView]:
        """Return every event of the job so far."""
        return self._run.writer.events() if self._run is not None else ()

    def section_state(self) -> SectionState:
        """Return the section as the log tells it."""
        state: SectionState = self._state().sections[self.number]
        return state


def bind_drafts(
    section: int, planned: Planned, built: Built, *, policy: str, plan_blob: str, bundle_blob: str, state_blob: str
) -> list[Draft]:
    """Return the events that bind section *section* to its plan, its bundle and the operator's *policy* (its digest)."""
    document = planned.document
    plan: dict[str, Any] = {
        "section": section,
        "plan": plan_blob,
        "configuration": document["configuration"],
        "lineage": document["lineage"] or "",
        "serial": document["serial"],
        "changes": sum(1 for c in document["changes"] if c["kind"] not in {"noop", "verify"}),
    }
    if state_blob:
        plan["state_before"] = state_blob
    return [
        Draft("plan.bound", plan),
        Draft("bundle.bound", {"section": section, "bundle": bundle_blob}),
        Draft("policy.bound", {"section": section, "policy": policy}),
    ]


def put_evidence(run: JobRun, planned: Planned, built: Built, state: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Make plan, bundle, scripts and the state before durable as blobs; return the first two and the last digest."""
    contents = dict.fromkeys(a.content for a in built.bundle.artifacts if not a.secret)
    before = [canonical_json(dict(state))] if state is not None else []
    plan_blob, bundle_blob, *others = run.writer.put_blobs(
        [canonical_json(dict(planned.document)), built.bundle.document_bytes(), *before, *contents]
    )
    state_blob = others[0] if before else ""
    if plan_blob != planned.digest:
        raise InvalidTransitionError("the plan's bytes are not its digest; this is a defect of clockwork")
    return plan_blob, bundle_blob, state_blob
