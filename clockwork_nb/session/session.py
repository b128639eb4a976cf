"""The facade: one workspace and the verbs on it. Wires the edge to the core; decides nothing itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from clockwork_nb.canonical import digest
from clockwork_nb.clock import Clock, SystemClock, rfc3339
from clockwork_nb.errors import ConfigurationError, InvalidInputError, StoreIOError
from clockwork_nb.session.configuration import CellReport, ConfigurationSources
from clockwork_nb.session.free_ports import FreePorts
from clockwork_nb.session.options import PlanOptions
from clockwork_nb.session.planning import TOOL_VERSION, Planned
from clockwork_nb.settings import Settings, load_settings
from clockwork_nb.workspace import Workspace, folder_workspace, notebook_workspace

if TYPE_CHECKING:
    from clockwork_nb.assembly.plan import Plan
    from clockwork_nb.assembly.plan_cache import PlanCache
    from clockwork_nb.assembly.prior import PriorState
    from clockwork_nb.diagnostics import Diagnostic
    from clockwork_nb.forge.confinement import Confinement
    from clockwork_nb.forge.state import StateFile
    from clockwork_nb.forge.step import OnOutput
    from clockwork_nb.intake.desired import Desired, EnvFacts
    from clockwork_nb.policy import Policy
    from clockwork_nb.ports import Registry
    from clockwork_nb.session.building import Built
    from clockwork_nb.session.drifting import Drifted
    from clockwork_nb.session.planning_inputs import PlanningInputs
    from clockwork_nb.session.runs import JobRun
    from clockwork_nb.session.sections import Section

__all__ = ["Session"]


class Session:
    """One workspace and the verbs on it.

    Args:
        workspace: where the configuration and the state are.
        settings: default: from the environment.
        clock: default: the machine's.
        types: the resource types; default: the built-in ones and those of installed packages.
        live: whether plans are made again and again, so that each leaves the next what did not change; default: for a
            notebook. The plans are the same.
    """

    quorum = 1
    """How many different persons must approve what this session asks about, from 1 to 9."""
    progress_every_s = 60.0
    """How often the steps of a section tell how far they are, as a checkpoint of the job; 0 after each."""
    confinement = ""
    """The weakest tier that steps may run under, besides what policy and environment demand; empty for no demand."""
    policy_decides = True
    """Whether the operator's auto_approve may answer; not where the author of a job asked for a person."""
    section_ends_job = True
    """Whether a job of this process's own is at its end when its section is."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        types: Registry | None = None,
        live: bool | None = None,
    ) -> None:
        from clockwork_nb.resources.registry import load_types

        self.workspace = workspace
        self.settings = settings or load_settings()
        self.clock = clock or SystemClock()
        self.types = types if types is not None else load_types()
        self.live = workspace.is_notebook if live is None else live
        self.sources = ConfigurationSources(workspace, self.types, self.settings.cw_vars, live=self.live)
        self.place = ""
        """Where a waiting text says the run stopped ("cell 9 (%cw_apply)"); set by the notebook side."""
        self.budgets: Mapping[str, str] = {}
        """Limits of the jobs this session begins: key of a job spec's ``budgets`` → decimal text."""
        self.environment_rules: Sequence[str] = ()
        """What the jobs this session begins depend on; by default the usual rules."""
        self.job_id: str | None = None
        """The id of the job this session begins; by default a new one."""
        self.on_output: OnOutput | None = None
        """Shown the output of steps as it comes; by default it goes to their logs only."""
        self._plan_cache: PlanCache | None = None
        self._state_file: StateFile | None = None
        self._prior: tuple[Mapping[str, Any], PriorState] | None = None
        self._remote: JobRun | None = None
        self._calls: dict[tuple[str, str], int] = {}
        self._now = ""
        self._passing_key = b""
        self.edits: Mapping[str, bool] = {}
        """``keep_edits`` or ``force``: what wins in the job's sections where a hand-edited script was generated anew."""

    def inherited_environment(self) -> Mapping[str, str]:
        """Return the variables of steps that inherit their environment: none of a configuration's steps does."""
        return {}

    def expected_artifacts(self) -> Mapping[str, Sequence[str]]:
        """Return step id → paths that the step is to leave and that are recorded then."""
        return {}

    def passed_over(self) -> Mapping[str, str]:
        """Return step id → why it is not to run, of the steps of the section at hand."""
        return {}

    @classmethod
    def for_folder(cls, root: Path, *, name: str = "", settings: Settings | None = None, live: bool = False) -> Session:
        """Return the session of the folder *root* (its ``*.cw`` files)."""
        return cls(folder_workspace(root, name=name), settings=settings, live=live)

    @classmethod
    def for_notebook(cls, folder: Path, stem: str, *, settings: Settings | None = None) -> Session:
        """Return the session of the notebook ``<folder>/<stem>.ipynb`` (its ``%%cw`` cells)."""
        return cls(notebook_workspace(folder, stem), settings=settings)

    # --- configuration --------------------------------------------------------------------------------------------

    @property
    def cells(self) -> Mapping[str, str]:
        """Key → text of every cell so far."""
        return self.sources.cells

    def set_cell(self, key: str, text: str, *, shown: str = "") -> CellReport:
        """Put *text* in the place of cell *key* and return what it declares.

        Raises:
            ConfigurationError: the cell has mistakes.
        """
        return self.sources.set_cell(key, text, shown or f"cell {key}")

    def drop_cell(self, key: str) -> None:
        """Forget cell *key*."""
        self.sources.drop_cell(key)

    def load(self, path: Path) -> list[str]:
        """Add a folder or file of ``.cw`` text and return the names that were added."""
        return self.sources.load(path if path.is_absolute() else self.workspace.root / path)

    def set_variable(self, name: str, value: Any, *, source: str = "%cw_var") -> None:
        """Give a variable a value for this session; the later call wins."""
        self.sources.set_variable(name, value, source)

    def variables_declared(self) -> list[dict[str, Any]]:
        """Return every declared variable as people see it: name, type, value, source, sensitive; sorted by name."""
        return self.sources.variables()

    def validate(self) -> tuple[Diagnostic, ...]:
        """Return every finding about the configuration, values included; empty when all is well."""
        from clockwork_nb.diagnostics import Severity

        found = self.sources.diagnostics()
        if any(d.severity is Severity.ERROR for d in found):
            return tuple(found)
        try:
            _, warnings = self.sources.evaluate(PlanOptions(), now=self._frozen_now(), free_port=self._ports())
        except ConfigurationError as error:
            return error.diagnostics
        return tuple(warnings)

    def declared(self) -> Mapping[str, Any]:
        """Return source key → what it declares."""
        return self.sources.declared()

    def is_declared(self, address: str) -> bool:
        """Return whether the configuration declares *address*; one without any text declares nothing.

        Raises:
            ConfigurationError: there are mistakes.
        """
        try:
            return address in self.sources.configuration().resources
        except ConfigurationError:
            raise
        except InvalidInputError:  # there is no text at all yet
            return False

    # --- facts and state ------------------------------------------------------------------------------------------

    def facts(self, *, engine: bool = False) -> EnvFacts:
        """Return this machine's facts; with *engine* also which container engine is here, which costs asking it."""
        from clockwork_nb.forge.facts import collect_facts

        return replace(collect_facts(engine=engine), confinement=self.tier().tier)

    def policy(self) -> Policy:
        """Return the operator's policy as it is now.

        Raises:
            UnsafeOperationError, InvalidInputError: it cannot be relied on.
        """
        from clockwork_nb.session.policy import operator_policy

        return operator_policy(self.settings)

    def tier(self, *demands: str) -> Confinement:
        """Return the tier that steps run under: what is demanded, here and of *demands*, or the machine's usual one.

        Raises:
            UnsafeOperationError: this machine offers less.
        """
        from clockwork_nb.session.policy import tier_for

        return tier_for(self.settings, self.policy(), self.confinement, *demands)

    def prior(self) -> PriorState:
        """Return the recorded state, with what the last job's log knows beyond the file.

        Raises:
            StoreCorruptError: the file or that log is damaged.
        """
        from clockwork_nb.assembly.prior import PriorState
        from clockwork_nb.forge.state import StateFile
        from clockwork_nb.session.recovery import recovered_state

        if self._state_file is None:
            self._state_file = StateFile(self.workspace.folder)
        document, _ = recovered_state(self._state_file, self.settings, self._engine_run())
        if document is None:
            return PriorState()
        if self._prior is None or self._prior[0] != document:
            self._prior = document, PriorState.from_document(document)
        return self._prior[1]

    def outputs(self) -> list[Mapping[str, Any]]:
        """Return the outputs of the last apply: name, value, sensitive."""
        outputs: list[Mapping[str, Any]] = list(self.prior().to_document()["outputs"])
        return outputs

    def _frozen_now(self) -> str:
        if not self._now:
            run = self._engine_run()
            # A run that is resumed later must ask for the plan that was approved, so its time is that of the job.
            self._now = run.state().created_at if run is not None else rfc3339(self.clock.now())
        return self._now

    def _ports(self, prior: PriorState | None = None) -> FreePorts:
        recorded: dict[str, int] = {}
        run = self._engine_run()
        if run is not None:
            recorded.update(_bound_ports(run))
        if prior is not None:
            recorded.update(prior.ports)
        return FreePorts(str(self.workspace.folder), recorded)

    def _engine_run(self) -> JobRun | None:
        if self._remote is None and self.settings.job_socket:
            from clockwork_nb.session.runs import JobRun

            self._remote = JobRun.remote(self.settings)
        return self._remote

    # --- the pipeline ---------------------------------------------------------------------------------------------

    def plan(self, options: PlanOptions | None = None) -> Planned:
        """Return what would have to change, and why. Writes nothing (but a notebook run's journal).

        Raises:
            ConfigurationError: the configuration has mistakes, all of them in ``diagnostics``.
            UnsafeOperationError: a protected resource would be destroyed.
        """
        options = options or PlanOptions()
        run = self._engine_run()
        if run is not None:
            from clockwork_nb.session.journal import plan_in_journal

            return plan_in_journal(self, run, options, *self._this_call(run, "plan"))
        return self.make_plan(options)

    def _this_call(self, run: JobRun, verb: str) -> tuple[str, int]:
        """Return which cell of the notebook run asks, and for the how-manieth time in this attempt.

        The engine says which cell runs; a kernel cannot know it from a headless request.
        """
        started = [name for name, status in run.state().cells.items() if status == "started"]
        cell = started[-1] if started else ""
        count = self._calls[cell, verb] = self._calls.get((cell, verb), 0) + 1
        return cell, count

    def make_plan(self, options: PlanOptions) -> Planned:
        """Return a fresh plan, never one from a journal."""
        from clockwork_nb.session.collecting import collecting_later

        with collecting_later():
            return self._make_plan(options)

    def _make_plan(self, options: PlanOptions) -> Planned:
        from clockwork_nb.assembly.plan_cache import PlanCache
        from clockwork_nb.assembly.plan_document import document_and_digest
        from clockwork_nb.session.planning_inputs import gather, reconsidered

        if self.live and self._plan_cache is None:
            self._plan_cache = PlanCache()
        made = gather(self, options)
        plan = self._plan_from(made, options)
        while (other := reconsidered(self, options, made, plan)) is not None:
            made = other
            plan = self._plan_from(made, options)
        document, plan_digest = document_and_digest(plan, self._plan_cache)
        if self._plan_cache is not None:
            self._plan_cache.finish()
        return Planned(
            document,
            plan_digest,
            plan=plan,
            desired=made.desired,
            diagnostics=made.warnings,
            prior=made.prior if made.prior.lineage else None,
            observed_s=made.observed_s,
        )

    def _plan_from(self, made: PlanningInputs, options: PlanOptions) -> Plan:
        from clockwork_nb.assembly.planner import make_plan
        from clockwork_nb.forge.facts import needs_engine

        return make_plan(
            made.desired,
            made.prior,
            made.observations,
            types=self.types,
            facts=self.facts(engine=needs_engine(self.types, made.desired, made.prior)),
            tool_version=TOOL_VERSION,
            secret_key=self.secret_key(),
            destroy=options.destroy,
            targets=options.targets,
            excluded=options.excluded,
            replaced=options.replaced,
            only_import=bool(options.imports),
            prune=options.prune,
            cache=self._plan_cache,
        )

    def evaluate(
        self,
        options: PlanOptions,
        prior: PriorState,
        recorded: Callable[[str, Mapping[str, Any]], Mapping[str, Any]],
    ) -> tuple[Desired, list[Diagnostic]]:
        """Return what the configuration asks for on this machine, and the warnings.

        Args:
            prior: whose ports are kept.
            recorded: see `clockwork_nb.intake.scope.EvaluationContext`.

        Raises:
            ConfigurationError: with every mistake.
        """
        return self.sources.evaluate(
            options,
            now=self._frozen_now(),
            free_port=self._ports(prior),
            facts=self._facts_document,
            recorded=recorded,
        )

    def _facts_document(self, engine: bool) -> Mapping[str, Any]:
        return self.facts(engine=engine).to_document()

    def allowed(self, options: PlanOptions) -> tuple[str, ...]:
        """Return what may run while planning: what was asked for, and what the operator's policy allows."""
        return tuple(sorted({*options.allow, *self.policy().allow_data}))

    def drift(self, options: PlanOptions | None = None) -> Drifted:
        """Return what was changed outside since the last apply. Writes nothing.

        Raises:
            ConfigurationError: the configuration has mistakes.
        """
        from clockwork_nb.session.drifting import find

        return find(self, options or PlanOptions())

    def plan_verify(self, options: PlanOptions) -> Planned:
        """Return a plan that only runs the checks.

        Raises:
            ConfigurationError: the configuration has mistakes.
        """
        from clockwork_nb.assembly.planner import verify_actions

        planned = self.make_plan(options)
        assert planned.plan is not None
        assert planned.desired is not None
        actions = verify_actions(planned.desired, self.types)
        addresses = {a.address for a in actions}
        changes = tuple(
            replace(
                c,
                kind="verify" if c.address in addresses else "noop",
                after=None,
                attributes=(),
                risk=(),
                reason="",
                moved_from="",
                imported="",
                identity={},
                deferred="",
            )
            for c in planned.plan.changes
            if c.kind not in {"delete", "forget"}
        )
        plan = replace(planned.plan, actions=actions, changes=changes, drift=(), outputs=())
        document = plan.to_document()
        return replace(planned, plan=plan, document=document, digest=digest(document))

    def build(self, planned: Planned, *, keep_edits: bool = False, force: bool = False) -> Built:
        """Write the scripts of *planned* to the build folder and return them, validated. Runs nothing.

        Raises:
            BundleError: with every finding. ArtifactChangedError: an edit and a new template collide.
        """
        from clockwork_nb.session.building import build_bundle

        return build_bundle(
            planned, self.workspace, self.types, self.facts(), keep_edits=keep_edits, force=force,
            live=self._live_addresses(planned),
        )  # fmt: skip

    def _live_addresses(self, planned: Planned) -> dict[str, None]:
        return {c["address"]: None for c in planned.document["changes"] if c["kind"] not in {"delete", "forget"}}

    # --- sections -------------------------------------------------------------------------------------------------

    def begin(
        self,
        verb: str,
        options: PlanOptions | None = None,
        *,
        cell: str = "",
        call: int = 0,
        keep_edits: bool = False,
        force: bool = False,
        plan_file: Path | None = None,
    ) -> Section:
        """Plan, build and put the question: the section of one ``apply``, ``destroy`` or ``verify``.

        In a notebook run a section that an earlier attempt finished is answered from the journal (``restored``).

        Raises:
            PlanStaleError: *plan_file* is not what would happen now, or the notebook run's cell changed.
            ConfigurationError, BundleError, ArtifactChangedError, UnsafeOperationError, StoreIOError.
        """
        from clockwork_nb.session.following import check_known
        from clockwork_nb.session.opening import empty_section, open_section, own_run

        options = options or PlanOptions()
        self.edits = {"keep_edits": keep_edits, "force": force}
        run = self._engine_run()
        if run is not None:
            from clockwork_nb.session.journal import section_in_journal

            cell, call = self._this_call(run, verb)
            found = section_in_journal(self, run, verb, options, cell, call)
            if found is not None:
                return found
        if plan_file is not None:
            from clockwork_nb.session.saved_plan import plan_from_file

            planned, options = plan_from_file(self, plan_file, options)
            verb = "destroy" if options.destroy else verb
        elif verb == "verify":
            planned = self.plan_verify(options)
        else:
            planned = self.make_plan(options)
        if planned.is_empty:
            return empty_section(self, verb, options, planned, run, cell, call)
        check_known(planned.document)
        built = self.build(planned, **self.edits)
        inputs = self.inputs_digest(options, verb)
        if run is None:
            run = own_run(self, verb, options, planned)
        try:
            number = len(run.state().sections) + 1
            return open_section(
                self, run, number, verb, planned, built, cell=cell, call=call, inputs=inputs, options=options
            )
        except BaseException as error:
            run.break_off(error)
            raise

    def inputs_digest(self, options: PlanOptions, verb: str) -> str:
        """Return the digest of what this verb's answer depends on, besides the machine."""
        return self.sources.inputs_digest(options, verb, self.secret_key())

    def secret_key(self) -> bytes:
        """Return the workspace's key; where none can be made, one for this process, so that looking still works."""
        from clockwork_nb.forge.state import secret_key

        if self._passing_key:
            return self._passing_key
        try:
            return secret_key(self.workspace.folder)
        except StoreIOError:
            if self.workspace.folder.exists():
                raise
            self._passing_key = os.urandom(32)
            return self._passing_key

    def go_on(self, run: JobRun, before: Section) -> Section | None:
        """Return the section of what waited for *before*, in the same job; None when nothing is left to do.

        Raises:
            InvalidInputError: it waits for something that running *before* did not tell.
            ConfigurationError, BundleError, ArtifactChangedError, UnsafeOperationError, StoreIOError.
        """
        from clockwork_nb.session.following import check_known, check_progress
        from clockwork_nb.session.opening import open_section

        done = before.planned.document
        options = self.options_after(before.options or PlanOptions(), done)
        if not run.own:
            keep, force = (self.edits.get(name, False) for name in ("keep_edits", "force"))
            section = self.begin(before.verb, options, keep_edits=keep, force=force)
            check_progress(done, section.planned.document)
            return section
        try:
            planned = self.make_plan(options)
            if planned.is_empty:
                run.finish("completed", "nothing was left to do")
                return None
            check_known(planned.document)
            check_progress(done, planned.document)
            built = self.build(planned, **self.edits)
            return open_section(
                self,                 run, before.number + 1, before.verb, planned, built,
                cell="", call=0, inputs=self.inputs_digest(options, before.verb), options=options,
            )  # fmt: skip
        except BaseException as error:
            run.break_off(error)
            raise

    def options_after(self, options: PlanOptions, document: Mapping[str, Any]) -> PlanOptions:
        """Return the options of what waited for the section that was planned with *options* as *document*."""
        from clockwork_nb.session.following import options_after

        return options_after(options, document, self.sources.configuration(), self.types)


def _bound_ports(run: JobRun) -> dict[str, int]:
    """Return the ports of the run's latest plan, so that a resumed run asks for the same ones."""
    from clockwork_nb.canonical import parse_json

    for section in reversed(list(run.state().sections.values())):
        if section.plan:
            ports = parse_json(run.writer.get_blob(section.plan))["ports"]
            if ports:
                return {p["name"]: p["port"] for p in ports}
    return {}
