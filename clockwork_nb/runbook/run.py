"""A notebook run as one durable job: start it, go on with it, leave it where anybody can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct

from clockwork_nb.canonical import parse_json, sha256_hex
from clockwork_nb.errors import (
    ApprovalDeniedError,
    ApprovalRequiredError,
    BudgetExceededError,
    ClockworkError,
    InterruptedByUserError,
    InvalidInputError,
    InvalidTransitionError,
    PlanStaleError,
)
from clockwork_nb.ids import check_job_id
from clockwork_nb.ports import Draft
from clockwork_nb.runbook.guard import RunGuard
from clockwork_nb.runbook.notebook import Notebook, read_notebook
from clockwork_nb.runbook.outcome import CellFailure, cell_error, other_error, waiting_error
from clockwork_nb.session.job_store import open_store
from clockwork_nb.session.packs import ExportedPack, Packs
from clockwork_nb.session.runs import Claim, JobRun
from clockwork_nb.settings import Settings, load_settings

if TYPE_CHECKING:
    from clockwork_nb.jobs.model import JobState
    from clockwork_nb.store.files import JobStore

__all__ = ["DEFAULT_KERNEL", "NotebookRun", "RunResult", "resume_notebook", "run_notebook", "shown_path"]

_INPUT, _OUTPUT = "notebook/input.ipynb", "notebook/output.ipynb"

DEFAULT_KERNEL = "python3"
"""The kernel of the Python that runs us."""

CellLine = Callable[[int, int, str, str], None]
"""Called for each code cell as it starts and ends: number from 1, number of cells, first line of its source, status."""


class RunResult(Struct, frozen=True):
    """A finished run: where its evidence is."""

    job_id: str
    notebook: Path
    pack: ExportedPack
    report: Path

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "job": self.job_id,
            "notebook": str(self.notebook),
            "report": str(self.report),
            "pack": self.pack.to_document(),
        }


class NotebookRun:
    """One attempt at a notebook job, seen from the engine: it owns the job and is the only writer of its log.

    Args:
        run: the owned job.
        notebook: what is run.
        settings: of this process.
        on_cell: told of each code cell as it starts and ends.
    """

    def __init__(self, run: JobRun, notebook: Notebook, *, settings: Settings, on_cell: CellLine | None = None) -> None:
        spec = parse_json(run.state().spec, what="the job's spec")
        self.run = run
        self.notebook = notebook
        self.settings = settings
        self.on_cell = on_cell
        self.out = Path(spec["out"])
        self.cwd = Path(spec["cwd"])
        self.kernel: str = spec["kernel"]
        self.output_path = Path(spec["output"] or self.out / "notebooks" / f"{run.job_id}.ipynb")
        self.parameters = {p["name"]: json.loads(p["value"]) for p in spec["parameters"]}
        self.result: RunResult | None = None
        self.guard = RunGuard(run)
        self._settled = False
        self._previous: Mapping[str, str] = dict(run.state().cells)
        self._published: Mapping[str, str] = dict(run.state().published)

    @classmethod
    def create(
        cls,
        notebook: Notebook,
        parameters: Mapping[str, Any],
        *,
        settings: Settings,
        out: Path,
        kernel: str = "",
        cwd: Path | None = None,
        output: Path | None = None,
        on_cell: CellLine | None = None,
        budgets: Mapping[str, str] | None = None,
        environment: Sequence[str] = (),
        job_id: str | None = None,
    ) -> NotebookRun:
        """Return a new job for *notebook*, owned by this process and running.

        Args:
            cwd: where the kernel runs; default: the notebook's folder.
            output: where the executed notebook is saved; default: below *out*, named by the job.
            budgets: limits, keys as in a job spec's ``budgets``.
            environment: the rules of its fingerprint; default: the usual ones.
            job_id: default: a new one.
        """
        store = open_store(settings)
        spec = {
            "notebook": str(notebook.path.absolute()),
            "notebook_digest": notebook.digest,
            "parameters": [{"name": k, "value": json.dumps(v)} for k, v in sorted(parameters.items())],
            "out": str(out.absolute()),
            "cwd": str((cwd or notebook.path.parent).absolute()),
            "output": str(output.absolute()) if output else "",
            "kernel": kernel,
            **({"budgets": dict(budgets)} if budgets else {}),
        }
        taken_in = Draft("artifact.published", {"path": _INPUT, "op": "added", "blob": sha256_hex(notebook.data)})
        run = JobRun.create(
            store, name=notebook.path.name, adapter="notebook", lineage="", spec=spec,
            blobs=[notebook.data], drafts=[taken_in], environment=environment, job_id=job_id,
        )  # fmt: skip
        return cls(run, notebook, settings=settings, on_cell=on_cell)

    @classmethod
    def take(
        cls,
        store: JobStore,
        job_id: str,
        notebook: Notebook,
        *,
        settings: Settings,
        rerun: Collection[str] = (),
        on_cell: CellLine | None = None,
        claim: Claim | None = None,
    ) -> NotebookRun:
        """Return the next attempt at an existing job, owned by this process and running.

        Args:
            rerun: ids of interrupted steps that a person wants to run again; the log says so.
            claim: what to do when somebody runs it; nothing by default.

        Raises:
            LeaseConflictError: somebody runs it. EnvironmentMismatchError: this is not where it started.
        """
        from clockwork_nb.jobs.commands import interrupted_steps

        run = JobRun.take(store, job_id, claim=claim)
        run.writer.append(interrupted_steps(run.state()))
        run.writer.append([_retry(run.state(), name) for name in rerun])
        run.status("running")
        return cls(run, notebook, settings=settings, on_cell=on_cell)

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.run.job_id

    # --- what the engine reports ----------------------------------------------------------------------------------

    def cell_started(self, cell: str, index: int) -> None:
        """Record that a code cell starts."""
        self.run.writer.append([Draft("cell.started", {"cell": cell, "index": index})])
        self._tell(index, "running")

    def cell_completed(self, cell: str, index: int, duration_ms: int, outputs: Sequence[Any] | None) -> None:
        """Record that a code cell is done; *outputs* are kept when the cell is never to run again."""
        drafts = [Draft("cell.completed", {"cell": cell, "index": index, "duration_ms": duration_ms})]
        drafts += self.guard.charge()
        if outputs is not None:
            blob = self.run.writer.put_blob(json.dumps(outputs, sort_keys=True).encode())
            drafts.append(Draft("artifact.published", self._publication(f"cells/{cell}.json", blob)))
        self.run.writer.append(drafts)
        self._tell(index, "ok")

    def cell_failed(self, cell: str, failure: CellFailure) -> None:
        """Record that a code cell ended with an exception."""
        payload = {
            "cell": cell,
            "index": failure.index,
            "error": failure.name[:200],
            "message": failure.message[:1000],
        }
        self.run.writer.append([Draft("cell.failed", payload), *self.guard.charge()])
        self._tell(failure.index, "waiting" if failure.waits else "failed")

    def restored(self, cell: str, index: int) -> list[Any] | None:
        """Return the outputs of a ``cw:once`` cell that an earlier attempt completed; None when it has to run."""
        blob = self._published.get(f"cells/{cell}.json")
        if self._previous.get(cell) not in {"completed", "restored"} or not blob:
            return None
        outputs: list[Any] = json.loads(self.run.writer.get_blob(blob))
        self.run.writer.append([Draft("cell.restored", {"cell": cell, "index": index})])
        self._tell(index, "restored")
        return outputs

    def _tell(self, index: int, status: str) -> None:
        if self.on_cell is not None:
            source = self.notebook.cells[index]["source"] if index < len(self.notebook.cells) else ""
            first = next((line for line in source.splitlines() if line.strip()), "")
            self.on_cell(index + 1, len(self.notebook.cells), first, status)

    def _publication(self, path: str, blob: str) -> dict[str, Any]:
        op = "changed" if path in self.run.state().published else "added"
        return {"path": path, "op": op, "blob": blob}

    def unsettled(self, cell: str, index: int) -> CellFailure | None:
        """Return a stop for *cell* when it went on although a plan of it waits for a decision or was refused.

        A notebook may catch what ``%cw_apply`` raises; nobody's decision can be caught.
        """
        state = self.run.state()
        # An earlier attempt may have left the question of a later cell.
        decisions = [d for d in state.decisions.values() if state.sections[d.section].cell == cell]
        if any(d.status == "denied" for d in decisions):
            return CellFailure(index, ApprovalDeniedError.__name__, "the plan was refused")
        if any(d in state.open_decisions for d in decisions):
            return CellFailure(index, ApprovalRequiredError.__name__, "the plan waits for a decision")
        return None

    def publish_output(self, data: bytes) -> None:
        """Record the executed notebook as it stands."""
        blob = self.run.writer.put_blob(data)
        if self.run.state().published.get(_OUTPUT) != blob:
            self.run.writer.append([Draft("artifact.published", self._publication(_OUTPUT, blob))])

    # --- how an attempt ends --------------------------------------------------------------------------------------

    def settle(self, failure: CellFailure | None, error: BaseException | None) -> None:
        """Move the job to where this attempt leaves it and give the lease back; nothing at a second call.

        Raises:
            ApprovalRequiredError, ApprovalDeniedError, or the error that ended the attempt; nothing when it is done.
        """
        if self._settled:
            return
        self._settled = True
        try:
            if error is None and failure is None:
                self._finish()
            else:
                self._stop(failure, error)
        finally:
            self.run.close("stopped")

    def _finish(self) -> None:
        from clockwork_nb.jobs.commands import close_section, interrupted_steps

        self.run.writer.append(self.guard.closing())
        self.run.writer.append(interrupted_steps(self.run.state()))
        for section in list(self.run.state().open_sections):  # the notebook went on after it failed
            self.run.writer.append([close_section(self.run.state(), section.number, "failed")])
        self.run.finish("completed", f"{self.notebook.path.name}: every cell ran")
        self._evidence()

    def _evidence(self) -> None:
        packs = Packs(self.settings, self.out)
        exported = packs.export(self.job_id)
        self.result = RunResult(self.job_id, self.output_path, exported, packs.write_report(self.job_id))

    def _stop(self, failure: CellFailure | None, error: BaseException | None) -> NoReturn:
        from clockwork_nb.jobs.commands import checkpoint, close_section, finish, interrupted_steps

        writer, output = self.run.writer, shown_path(self.output_path)
        writer.append([*interrupted_steps(self.run.state()), *self.guard.closing()])
        if self.guard.reason:
            self._stop_as_asked(error)
        if error is not None and not isinstance(error, Exception):
            self.run.status("blocked_error", "interrupted")
            raise error
        state = self.run.state()
        if failure is not None and failure.waits and state.open_decisions:
            self.run.status("blocked_decision", "approval")
            raise self._waiting()
        if failure is not None and failure.refused:
            for section in list(state.open_sections):
                writer.append([close_section(self.run.state(), section.number, "denied")])
            writer.append(finish(self.run.state(), "canceled", reason="the plan was refused"))
            self.run.close("canceled")
            self._evidence()
            raise ApprovalDeniedError(failure.message, hint="Nothing was run by this section.")
        if failure is not None:
            typed = cell_error(failure, self.notebook, job_id=self.job_id, output=output)
        else:
            typed = other_error(error, job_id=self.job_id)
        writer.append([checkpoint("blocked", typed.message, reason_codes=[typed.code])])
        over = isinstance(typed, BudgetExceededError)
        self.run.status("blocked_budget" if over else "blocked_error", typed.code)
        raise typed from error

    def _stop_as_asked(self, error: BaseException | None) -> NoReturn:
        from clockwork_nb.jobs.commands import checkpoint, close_section, finish

        excess = self.guard.excess
        if excess is not None:
            over = BudgetExceededError(
                f"the budget is used up: {excess}",
                hint=f"clockwork budget raise {self.job_id} {excess.flag} LIMIT --reason TEXT\n"
                f"clockwork job resume {self.job_id}",
                details={"dimension": excess.dimension, "limit": excess.limit, "used": excess.used},
            )
            self.run.writer.append([checkpoint("blocked", over.message, reason_codes=[over.code])])
            self.run.status("blocked_budget", over.code)
            raise over from error
        if self.guard.reason == "cancel":
            for section in list(self.run.state().open_sections):
                self.run.writer.append([close_section(self.run.state(), section.number, "canceled")])
            self.run.writer.append(finish(self.run.state(), "canceled", reason="canceled"))
            self.run.close("canceled")
            self._evidence()
            raise InterruptedByUserError(f"job {self.job_id} was cancelled") from error
        self.run.status("paused", "asked for")
        raise InterruptedByUserError(
            f"job {self.job_id} is paused", hint=f"Go on with: clockwork job resume {self.job_id}"
        ) from error

    def _waiting(self) -> ApprovalRequiredError:
        state = self.run.state()
        try:
            report = shown_path(Packs(self.settings, self.out).write_report(self.job_id))
        except (ClockworkError, OSError):  # the commands that go on matter more than the page to read first
            report = ""
        decision = state.open_decisions[0]
        document = parse_json(self.run.writer.get_blob(str(decision.binds["plan"])), what="the recorded plan")
        output = str(self.output_path)
        return waiting_error(state, decision, document, self.notebook, output=output, report=report)


def shown_path(path: Path) -> str:
    """Return *path* as people type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def run_notebook(
    path: Path,
    given: Sequence[str] = (),
    *,
    settings: Settings | None = None,
    out: Path | None = None,
    kernel: str = "",
    on_cell: CellLine | None = None,
    on_job: Callable[[str], None] | None = None,
    budgets: Mapping[str, str] | None = None,
    environment: Sequence[str] = (),
    job_id: str | None = None,
) -> RunResult:
    """Run the notebook at *path* from its first cell as a new job and return where its evidence is.

    Args:
        given: ``NAME=VALUE`` texts.
        out: output root; default: the settings' one.
        kernel: kernel name; default: the one of this Python.
        budgets, environment, job_id: as `NotebookRun.create`.

    Raises:
        ApprovalRequiredError: it stopped at a decision; ``hint`` has the commands that go on.
        AdapterFailedError, StepTimeoutError, ConfigurationError, …: a cell failed.
    """
    settings = settings or load_settings()
    notebook = read_notebook(path)
    parameters = notebook.parameters(given)
    _check_kernel(kernel)
    root = (out or settings.out).expanduser()
    execute = _engine()
    attempt = NotebookRun.create(
        notebook, parameters, settings=settings, out=root, kernel=kernel, on_cell=on_cell, budgets=budgets,
        environment=environment, job_id=job_id,
    )  # fmt: skip
    if on_job is not None:
        on_job(attempt.job_id)
    return _attempt(attempt, execute)


def resume_notebook(
    job_id: str,
    *,
    rerun: Collection[str] = (),
    settings: Settings | None = None,
    on_cell: CellLine | None = None,
    claim: Claim | None = None,
) -> RunResult:
    """Run a notebook job again from its first cell, its magics answering from the log, and return its evidence.

    Args:
        rerun: ids of interrupted steps to run again although it is not known what they did.
        claim: what to do when somebody runs it; nothing by default.

    Raises:
        PlanStaleError: the notebook is not the recorded one; the hint shows the difference.
        ApprovalRequiredError: the next decision is missing. ApprovalDeniedError: it was no.
        InvalidTransitionError: the job is at its end.
    """
    settings = settings or load_settings()
    store = open_store(settings)
    state = store.read(check_job_id(job_id)).state
    _check_goes_on(state)
    spec = parse_json(state.spec, what="the job's spec")
    if _INPUT not in state.published:
        raise InvalidInputError(
            f"job {job_id} was stopped before it had taken in its notebook",
            hint=f"Nothing was run. Start anew: clockwork runbook run {spec['notebook']}",
        )
    blobs = store.blobs(job_id)
    recorded = read_notebook(Path(spec["notebook"]), blobs.get(state.published[_INPUT]))
    # A run that was cut off at its question, or whose cell answers for itself, gets to its gate again.
    if state.open_decisions and state.status == "blocked_decision" and not settings.auto_approve:
        decision = state.open_decisions[0]
        document = parse_json(blobs.get(str(decision.binds["plan"])), what="the recorded plan")
        raise waiting_error(state, decision, document, recorded, output=spec["output"], report="")
    for name in rerun:
        _retry(state, name)  # before anything is written
    _check_unchanged(recorded)
    _check_kernel(spec["kernel"])
    execute = _engine()
    attempt = NotebookRun.take(store, job_id, recorded, settings=settings, rerun=rerun, on_cell=on_cell, claim=claim)
    return _attempt(attempt, execute)


def _retry(state: JobState, name: str) -> Draft:
    """Return the event that says that a person wants the interrupted step *name* to run again.

    Raises:
        InvalidInputError: it is no interrupted step of an open section.
    """
    cut_off = [
        (section.number, known, step.attempts)
        for section in state.open_sections
        for known, step in section.steps.items()
        if step.status in {"started", "interrupted"}
    ]
    for number, known, attempts in cut_off:
        if known == name:
            payload = {"section": number, "step_id": name, "attempt": attempts + 1, "reason": "asked for by --rerun"}
            return Draft("step.retried", payload)
    names = ", ".join(known for _, known, _ in cut_off)
    raise InvalidInputError(
        f"{name} is no interrupted step of job {state.job_id}", hint=f"Interrupted: {names or 'none'}"
    )


def _check_goes_on(state: JobState) -> None:
    if not state.final:
        return
    refused = next((d for d in state.decisions.values() if d.status == "denied"), None)
    if refused is not None:
        why = f': "{refused.reason}"' if refused.reason else ""
        raise ApprovalDeniedError(
            f"job {state.job_id} has ended: its plan was refused by {refused.by}{why}",
            hint="A refused run is not resumed. Change the notebook and run it anew.",
        )
    raise InvalidTransitionError(
        f"job {state.job_id} is {state.status}; there is nothing to resume",
        hint=f"clockwork jobpack export {state.job_id}",
    )


def _check_unchanged(recorded: Notebook) -> None:
    if not recorded.path.exists():
        return
    now = read_notebook(recorded.path)
    if now.digest != recorded.digest:
        raise PlanStaleError(
            f"{recorded.path.name} is not the notebook this job runs",
            hint=f"{recorded.difference(now)}\nPut it back to go on with this job, or start a new one: "
            f"clockwork runbook run {shown_path(recorded.path)}",
        )


def _check_kernel(name: str) -> None:
    """Refuse a kernel that is not installed, before anything is written."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    manager = KernelSpecManager()
    try:
        manager.get_kernel_spec(name or DEFAULT_KERNEL)
    except NoSuchKernel as error:
        known = ", ".join(sorted(manager.find_kernel_specs())) or "none"
        raise InvalidInputError(f"there is no kernel {name or DEFAULT_KERNEL!r}", hint=f"Installed: {known}") from error


def _engine() -> Callable[[NotebookRun], None]:
    """Return what carries out an attempt. Loading it takes a second, so it is done before there is a job to leave."""
    import papermill  # noqa: F401 - first: it loads its engines, and ours is one of them

    from clockwork_nb.runbook.engine import execute

    return execute


def _attempt(attempt: NotebookRun, execute: Callable[[NotebookRun], None]) -> RunResult:
    go_on = f"Go on with: clockwork job resume {attempt.job_id}"
    try:
        try:
            execute(attempt)
        except BaseException as error:
            attempt.settle(None, error)  # what the engine did not get to see
            raise
    except KeyboardInterrupt as error:
        raise InterruptedByUserError("stopped; what was finished is saved", hint=go_on) from error
    except Exception:
        raise
    except BaseException as error:
        error.add_note(go_on)
        raise
    assert attempt.result is not None
    return attempt.result
