"""The session of a job spec's steps: what a configuration's resources are to `Session`, the spec's commands are here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clockwork_nb.canonical import digest
from clockwork_nb.session.building import Built
from clockwork_nb.session.options import PlanOptions
from clockwork_nb.session.planning import TOOL_VERSION, Planned
from clockwork_nb.session.session import Session
from clockwork_nb.workspace import Workspace

if TYPE_CHECKING:
    from clockwork_nb.assembly.prior import PriorState
    from clockwork_nb.clock import Clock
    from clockwork_nb.jobs.spec import JobSpec, StepSpec
    from clockwork_nb.settings import Settings

__all__ = ["SpecSession"]

_OURS: Final = ("CW_JOB_SOCKET", "CW_NOTEBOOK", "CW_PARAMETERS", "CW_HEADLESS")


class SpecSession(Session):
    """One job spec and the verbs on its steps.

    Args:
        spec: the spec.
        root: where its commands run.
        job_id: its job.
    """

    section_ends_job = False
    policy_decides = False

    def __init__(
        self, spec: JobSpec, root: Path, job_id: str, *, settings: Settings, clock: Clock | None = None
    ) -> None:
        workspace = Workspace(root, settings.work_folder(job_id), spec.name, is_notebook=False)
        super().__init__(workspace, settings=settings, clock=clock, types={})
        from clockwork_nb.forge.adapters.steps import parts_of

        self.spec = spec
        self._digest = digest(spec.to_document())
        self.job_id = self._job = job_id
        self.progress_every_s = float(spec.checkpoints.min_interval_s)
        self.parts = parts_of(spec.steps)
        self.part = 0
        """The part at hand, from 0: `make_plan` and what follows from it are about this one."""

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """The steps of the part at hand."""
        return self.parts[self.part]

    @property
    def asks(self) -> bool:
        """Whether the spec wants a decision before the part at hand."""
        return self.steps[0].decision_needed

    def prior(self) -> PriorState:
        """Return the empty state: commands leave none."""
        from clockwork_nb.assembly.prior import PriorState

        return PriorState()

    def make_plan(self, options: PlanOptions) -> Planned:
        """Return the plan of the part at hand."""
        from clockwork_nb.forge.adapters.steps import plan_steps

        plan = plan_steps(
            self.steps,
            configuration=self._digest,
            spec_name=self.spec.name,
            facts=self.facts(),
            tool_version=TOOL_VERSION,
        )
        document = plan.to_document()
        return Planned(document, digest(document), plan=plan)

    def build(self, planned: Planned, *, keep_edits: bool = False, force: bool = False) -> Built:
        """Write the scripts of the part at hand to the job's folder and return them, validated. Runs nothing.

        Raises:
            BundleError: with every finding. ArtifactChangedError: an edit and a new script collide.
        """
        from clockwork_nb.forge.adapters.steps import compile_steps, step_address
        from clockwork_nb.forge.artifacts import stage
        from clockwork_nb.forge.validate import check_bundle

        bundle = compile_steps(self.steps, spec_name=self.spec.name)
        actions = planned.document["actions"]["steps"]
        check_bundle(bundle, actions)
        live = [step_address(step) for part in self.parts for step in part]
        staged = stage(bundle, self.workspace.build_dir, keep_edits=keep_edits, force=force, live=live)
        if staged.edited or staged.conflicts:
            check_bundle(staged.bundle, actions)
        return Built(staged.bundle, staged, self.workspace.shown(self.workspace.build_dir), self.facts().confinement)

    def inputs_digest(self, options: PlanOptions, verb: str) -> str:
        """Return the digest of the part at hand, which never changes: the job keeps its spec."""
        return digest({"spec": self._digest, "part": self.part})

    def inherited_environment(self) -> Mapping[str, str]:
        """Return this process's variables, and what a step may know its job by."""
        own = {k: v for k, v in os.environ.items() if k not in _OURS}
        return {**own, "CW_JOB_ID": self._job}

    def expected_artifacts(self) -> Mapping[str, Sequence[str]]:
        """Return step id → the paths the spec says it leaves."""
        return {f"step.{step.id}:run": step.artifacts for step in self.steps if step.artifacts}

    def passed_over(self) -> Mapping[str, str]:
        """Return the steps that the spec says are not executed."""
        return {f"step.{step.id}:run": "executed is false in the spec" for step in self.steps if not step.executed}
