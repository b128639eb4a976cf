"""Jobs made from a job spec: submitted, decided on part by part, run, resumed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.errors import (
    AcceptMissingArtifactError,
    ApprovalDeniedError,
    InvalidInputError,
    InvalidTransitionError,
)
from clockwork_nb.forge.publishing import Publisher
from clockwork_nb.jobpack.layout import PUBLISHED_BY_US, SPEC_TEXTS
from clockwork_nb.ports import Draft
from clockwork_nb.session.job_store import open_store
from clockwork_nb.session.jobs import SPEC_ADAPTERS
from clockwork_nb.session.opening import open_section
from clockwork_nb.session.options import PlanOptions
from clockwork_nb.session.runs import Claim, JobRun
from clockwork_nb.session.spec_session import SpecSession
from clockwork_nb.settings import Settings, load_settings

if TYPE_CHECKING:
    from clockwork_nb.clock import Clock
    from clockwork_nb.jobs.spec import JobSpec
    from clockwork_nb.session.sections import Section

__all__ = ["SpecJob", "submit"]

_KEPT_BYTES = 32_768  # a longer spec is a blob: an event has at most 64 KiB
_NOT_GATED = "the job spec asks for no decision here"


class SpecJob:
    """A job of one of `SPEC_ADAPTERS`, owned by this process.

    Go through `sections`, decide on each that needs it, run it, and stop at the first that does not succeed; then
    `finish`.
    """

    def __init__(self, run: JobRun, session: SpecSession) -> None:
        self.run = run
        self.session = session

    @classmethod
    def take(
        cls,
        job_id: str,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        claim: Claim | None = None,
    ) -> SpecJob:
        """Take over a job that nobody runs; *claim* says what to do when somebody does.

        Raises:
            LeaseConflictError, EnvironmentMismatchError, StoreCorruptError.
            InvalidTransitionError: it is at its end. InvalidInputError: it was not made from a spec.
        """
        from clockwork_nb.jobs.spec import JobSpec

        settings = settings or load_settings()
        store = open_store(settings)
        state = store.read(job_id).state
        if state.final:
            raise InvalidTransitionError(
                f"job {job_id} is {state.status}; there is nothing to resume",
                hint=f"clockwork jobpack export {job_id}",
            )
        if state.adapter not in SPEC_ADAPTERS:
            raise InvalidInputError(f"job {job_id} was not made from a job spec; it is a {state.adapter} job")
        document: Mapping[str, Any] = parse_json(state.spec, what="the job's spec")
        kept = document.get("jobspec")
        if kept is None:
            kept = parse_json(store.blobs(job_id).get(document["jobspec_blob"]), what="the job's spec")
        spec = JobSpec.from_document(kept)
        root = Path(document["root"])
        if not root.is_dir() or root.resolve() != root:
            raise InvalidInputError(
                f"the folder {root} of job {job_id} is gone, or leads elsewhere now", hint="Put it back to go on."
            )
        run = JobRun.take(store, job_id, claim=claim)
        return cls(run, SpecSession(spec, Path(document["root"]), job_id, settings=settings, clock=clock))

    def sections(self, rerun: Collection[str] = ()) -> Iterator[Section]:
        """Yield the sections that are left, in order; a part that asks for no decision comes with its approval recorded.

        Args:
            rerun: ids of interrupted steps that are to run again.

        Raises:
            ApprovalDeniedError: somebody said no. StepInterruptedError: a step was cut off and may not be repeated.
        """
        try:
            if self.run.state().status == "queued":
                self.run.status("running")
            refused = next((d for d in self.run.state().decisions.values() if d.status == "denied"), None)
            if refused is not None:
                raise ApprovalDeniedError(f"the plan was refused by {refused.by}")
            done = {s.call for s in self.run.state().sections.values() if s.outcome == "completed"}
            for part in range(len(self.session.parts)):
                if part + 1 not in done:
                    yield self._section(part, rerun)
        except BaseException as error:
            self.run.break_off(error)
            raise

    def _section(self, part: int, rerun: Collection[str]) -> Section:
        from clockwork_nb.session.continuation import continue_section

        session, run = self.session, self.run
        session.part = part
        session.quorum = session.steps[0].quorum
        options = PlanOptions()
        inputs = session.inputs_digest(options, "run")
        found = None
        for known in run.state().open_sections:
            if known.call == part + 1:
                found = continue_section(session, run, known, options, inputs=inputs, rerun=rerun)
        if found is None:
            planned = session.make_plan(options)
            number = len(run.state().sections) + 1
            found = open_section(
                session, run, number, "run", planned, session.build(planned), cell="", call=part + 1, inputs=inputs
            )
        if found.needs_approval and not session.asks:
            found.decide("granted", via="auto", reason=_NOT_GATED)
        return found

    def finish(self) -> None:
        """End the job.

        Raises:
            AcceptMissingArtifactError: E_ACCEPT_MISSING_ARTIFACT: a file the spec expects was never left by a step.
        """
        expected = self.session.spec.expected_artifacts
        late = [path for path in expected if path not in self.run.state().published]
        self.run.writer.append(Publisher(self.session.workspace.root, self.run.writer).drafts(late, ""))
        state = self.run.state()
        missing = [path for path in expected if path not in state.published]
        if missing:
            error = AcceptMissingArtifactError(
                f"the job was to leave {', '.join(missing[:5])}, and no step did",
                hint=f"Its commands ran and will not run again. Put the file there, then: clockwork job resume {self.run.job_id}",
                details={"missing": missing},
            )
            self.run.break_off(error)
            raise error
        self.run.status("running")
        steps = sum(section.done for section in state.sections.values())
        self.run.finish("completed", f"{self.session.spec.name}: {steps} steps done")


def submit(
    spec: JobSpec,
    *,
    root: Path,
    settings: Settings | None = None,
    job_id: str | None = None,
    clock: Clock | None = None,
    budgets: Mapping[str, str] | None = None,
    source: bytes = b"",
) -> SpecJob:
    """Make the job of *spec*, whose commands run in *root*, and return it, owned by this process.

    Args:
        job_id: by default a new one.
        budgets: limits that come on top of the spec's own, or replace them; keys as in a spec's ``budgets``.
        source: the text the spec was read from; it becomes part of the evidence.

    Raises:
        InvalidInputError: the id is taken, the adapter is another's, a part needs what comes after it, or what is
            expected is left by no step.
    """
    from clockwork_nb.forge.adapters.steps import check_order

    settings = settings or load_settings()
    adapter = spec.adapter
    if adapter not in SPEC_ADAPTERS:
        raise InvalidInputError(f"a {adapter} job is not made of a spec's steps")
    from clockwork_nb.jobs.spec import JobSpec as Spec

    kept = spec.to_document()
    Spec.from_document(kept)  # what cannot be read back could not be resumed
    check_order(spec.steps)
    _check_artifacts(spec)
    text = canonical_json(kept)
    document: dict[str, Any] = {"root": str(root)}
    document |= {"jobspec": kept} if len(text) <= _KEPT_BYTES else {"jobspec_blob": sha256_hex(text)}
    limits = {**spec.budgets, **(budgets or {})}
    if limits:
        document["budgets"] = {name: str(limit) for name, limit in limits.items()}
    run = JobRun.create(
        open_store(settings),
        name=spec.name,
        adapter=adapter,
        lineage="",
        spec=document,
        objective=spec.objective,
        job_id=job_id,
        blobs=[text, *([source] if source else [])],
        drafts=_published(source),
        environment=spec.environment_rules,
        start=False,
    )
    return SpecJob(run, SpecSession(spec, root, run.job_id, settings=settings, clock=clock))


def _published(source: bytes) -> list[Draft]:
    if not source:
        return []
    path = SPEC_TEXTS[0] if source.lstrip()[:1] == b"{" else SPEC_TEXTS[1]
    return [Draft("artifact.published", {"path": path, "op": "added", "blob": sha256_hex(source)})]


def _check_artifacts(spec: JobSpec) -> None:
    left = {path for step in spec.steps for path in step.artifacts}
    for path in spec.expected_artifacts:
        if path not in left:
            raise InvalidInputError(
                f"{path} is expected, and no step names it among its artifacts",
                hint=f"Add  artifacts: [{path}]  to the step that writes it.",
            )
    for step in spec.steps:
        for path in step.artifacts:
            if path in PUBLISHED_BY_US:
                raise InvalidInputError(
                    f"step {step.id} leaves {path}, a name that is kept for the job's own evidence",
                    hint="Give the file another name.",
                )
