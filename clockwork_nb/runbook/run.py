"""A notebook run as one durable job: start it, go on with it, leave it where anybody can go on."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from clockwork_nb import errors
from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import (
    AdapterFailedError,
    ApprovalDeniedError,
    ApprovalRequiredError,
    ClockworkError,
    InterruptedByUserError,
    InvalidTransitionError,
    PlanStaleError,
)
from clockwork_nb.ports import Draft
from clockwork_nb.runbook.notebook import Notebook, read_notebook
from clockwork_nb.session.packs import ExportedPack, Packs
from clockwork_nb.session.runs import JobRun, open_store
from clockwork_nb.settings import Settings, load_settings

if TYPE_CHECKING:
    from clockwork_nb.jobs.model import JobState

__all__ = ["CellFailure", "NotebookRun", "RunResult", "resume_notebook", "run_notebook"]

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_WAITING = frozenset({"ApprovalRequiredError", "ApprovalStaleError"})

CellLine = Callable[[int, int, str, str], None]
"""Called for each code cell as it starts and ends: number from 1, number of cells, first line of its source, status."""


@dataclass(frozen=True, slots=True)
class CellFailure:
    """The cell that ended an attempt: its index from 0, the exception's class name, message and shown lines."""

    index: int
    name: str
    message: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunResult:
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
        out: output root.
        previous: cell id → status of earlier attempts.
    """

    def __init__(self, run: JobRun, notebook: Notebook, out: Path, *, on_cell: CellLine | None = None) -> None:
        self.run = run
        self.notebook = notebook
        self.out = out
        self.on_cell = on_cell
        self.previous: Mapping[str, str] = dict(run.state().cells)
        self.published: Mapping[str, str] = dict(run.state().published)

    @classmethod
    def create(
        cls,
        notebook: Notebook,
        parameters: Mapping[str, Any],
        *,
        settings: Settings,
        out: Path,
        kernel: str = "",
        on_cell: CellLine | None = None,
    ) -> NotebookRun:
        """Return a new job for *notebook*, owned by this process and running."""
        store = open_store(settings)
        spec = {
            "notebook": str(notebook.path.absolute()),
            "notebook_digest": notebook.digest,
            "parameters": [{"name": k, "value": json.dumps(v)} for k, v in sorted(parameters.items())],
            "out": str(out),
            "kernel": kernel,
        }
        run = JobRun.create(store, name=notebook.path.name, adapter="notebook", lineage="", spec=spec)
        blob = run.writer.put_blob(notebook.data)
        run.writer.append([Draft("artifact.published", {"path": "notebook/input.ipynb", "op": "added", "blob": blob})])
        return cls(run, notebook, out, on_cell=on_cell)

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.run.job_id

    @property
    def output_path(self) -> Path:
        """Where the executed notebook is saved."""
        return self.out / "notebooks" / f"{self.job_id}.ipynb"

    # --- what the engine reports ----------------------------------------------------------------------------------

    def cell_started(self, cell: str, index: int) -> None:
        """Record that a code cell starts."""
        self.run.writer.append([Draft("cell.started", {"cell": cell, "index": index})])
        self._tell(index, "running")

    def cell_completed(self, cell: str, index: int, duration_ms: int, outputs: Sequence[Any] | None) -> None:
        """Record that a code cell is done; *outputs* are kept when the cell is never to run again."""
        drafts = [Draft("cell.completed", {"cell": cell, "index": index, "duration_ms": duration_ms})]
        if outputs is not None:
            blob = self.run.writer.put_blob(json.dumps(outputs, sort_keys=True).encode())
            drafts.append(Draft("artifact.published", self._publication(f"cells/{cell}.json", blob)))
        self.run.writer.append(drafts)
        self._tell(index, "ok")

    def cell_failed(self, cell: str, failure: CellFailure) -> None:
        """Record that a code cell ended with an exception."""
        waiting = failure.name in _WAITING
        payload = {
            "cell": cell,
            "index": failure.index,
            "error": failure.name[:200],
            "message": failure.message[:1000],
        }
        self.run.writer.append([Draft("cell.failed", payload)])
        self._tell(failure.index, "waiting" if waiting else "failed")

    def restored(self, cell: str, index: int) -> list[Any] | None:
        """Return the outputs of a ``cw:once`` cell that an earlier attempt completed; None when it has to run."""
        blob = self.published.get(f"cells/{cell}.json")
        if self.previous.get(cell) not in {"completed", "restored"} or not blob:
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

    def publish_output(self, data: bytes) -> None:
        """Record the executed notebook as it stands."""
        blob = self.run.writer.put_blob(data)
        if self.run.state().published.get("notebook/output.ipynb") != blob:
            self.run.writer.append([Draft("artifact.published", self._publication("notebook/output.ipynb", blob))])

    # --- how an attempt ends --------------------------------------------------------------------------------------

    def settle(self, failure: CellFailure | None, error: BaseException | None) -> None:
        """Move the job to where this attempt leaves it and give the lease back.

        Raises:
            ApprovalRequiredError, ApprovalDeniedError, or the error that ended the attempt; nothing when it is done.
        """
        if error is None and failure is None:
            self.run.finish("completed", f"{self.notebook.path.name}: every cell ran")
            return
        try:
            self._settle(failure, error)
        finally:
            self.run.close("stopped")

    def _settle(self, failure: CellFailure | None, error: BaseException | None) -> NoReturn:
        from clockwork_nb.jobs.commands import checkpoint, finish, interrupted_steps

        state = self.run.state()
        if error is not None and not isinstance(error, Exception):
            self.run.writer.append(interrupted_steps(state))
            self.run.status("blocked_error", "interrupted")
            raise error
        if failure is not None and failure.name in _WAITING and state.open_decisions:
            self.run.status("blocked_decision", "approval")
            raise self._waiting(failure, state)
        if failure is not None and failure.name == "ApprovalDeniedError":
            self.run.writer.append(finish(state, "canceled", reason="the plan was refused"))
            raise ApprovalDeniedError(failure.message, hint="Nothing was run by this section.")
        typed = self._typed(failure) if failure is not None else _wrapped(error)
        self.run.writer.append(interrupted_steps(state))
        self.run.writer.append([checkpoint("blocked", typed.message, reason_codes=[typed.code])])
        self.run.status("blocked_error", typed.code)
        raise typed from error

    def _waiting(self, failure: CellFailure, state: JobState) -> ApprovalRequiredError:
        from clockwork_nb.render.gate import runbook_place, waiting_text

        digest = str(state.open_decisions[0].binds["plan"])
        document = parse_json(self.run.writer.get_blob(digest), what="the recorded plan")
        magic = self._magic(failure.index)
        text = waiting_text(
            job_id=self.job_id,
            plan_digest=digest,
            document=document,
            place=runbook_place(self.notebook.path.name, failure.index + 1, magic),
        )
        first, _, rest = text.partition("\n")
        details = {"job_id": self.job_id, "plan": digest, "cell": failure.index + 1, "notebook": str(self.output_path)}
        return ApprovalRequiredError(first, hint=rest, details=details)

    def _magic(self, index: int) -> str:
        source = self.notebook.cells[index]["source"] if index < len(self.notebook.cells) else ""
        found = re.search(r"%cw_(?:apply|destroy)\b", source)
        return found.group(0) if found else "%cw_apply"

    def _typed(self, failure: CellFailure) -> ClockworkError:
        """Return the kernel's error as our own class again, so that the exit status is the right one."""
        place = f"cell {failure.index + 1} of {self.notebook.path.name}"
        hint = f"Fix it, then: clockwork job resume {self.job_id}"
        cls = getattr(errors, failure.name, None)
        if isinstance(cls, type) and issubclass(cls, ClockworkError):
            shown = "\n".join(_ANSI.sub("", line) for line in failure.lines[:40])
            return cls(f"{place}: {failure.message}", hint=f"{shown}\n{hint}".strip(), details={"job_id": self.job_id})
        if "%%cw" in failure.message or "`%cw" in failure.message:
            return AdapterFailedError(
                f"{place} uses a clockwork magic, but the extension is not loaded",
                hint="Put  %load_ext clockwork_nb  in a cell before it.",
                details={"job_id": self.job_id},
            )
        return AdapterFailedError(
            f"{place} failed: {failure.name}: {failure.message}", hint=hint, details={"job_id": self.job_id}
        )


def _wrapped(error: BaseException | None) -> ClockworkError:
    if isinstance(error, ClockworkError):
        return error
    name = type(error).__name__
    if name == "DeadKernelError":
        return AdapterFailedError("the kernel died", hint="What was finished is recorded; resume the job.")
    return AdapterFailedError(f"the notebook could not be run: {name}: {error}")


def run_notebook(
    path: Path,
    given: Sequence[str] = (),
    *,
    settings: Settings | None = None,
    out: Path | None = None,
    kernel: str = "",
    on_cell: CellLine | None = None,
    on_job: Callable[[str], None] | None = None,
) -> RunResult:
    """Run the notebook at *path* from its first cell as a new job and return where its evidence is.

    Args:
        given: ``NAME=VALUE`` texts.
        out: output root; default: the settings' one.
        kernel: kernel name; default: the one of this Python.

    Raises:
        ApprovalRequiredError: it stopped at a decision; ``hint`` has the commands that go on.
        AdapterFailedError, StepTimeoutError, ConfigurationError, …: a cell failed.
    """
    settings = settings or load_settings()
    notebook = read_notebook(path)
    parameters = notebook.parameters(given)
    root = (out or settings.out).expanduser().absolute()
    run = NotebookRun.create(notebook, parameters, settings=settings, out=root, kernel=kernel, on_cell=on_cell)
    if on_job is not None:
        on_job(run.job_id)
    return _attempt(run, parameters, settings, kernel)


def resume_notebook(job_id: str, *, settings: Settings | None = None, on_cell: CellLine | None = None) -> RunResult:
    """Run a notebook job again from its first cell, its magics answering from the log, and return its evidence.

    Raises:
        PlanStaleError: the notebook is not the recorded one; the hint shows the difference.
        ApprovalRequiredError: the next decision is missing. InvalidTransitionError: the job is at its end.
    """
    settings = settings or load_settings()
    store = open_store(settings)
    state = store.read(job_id).state
    if state.final:
        raise InvalidTransitionError(
            f"job {job_id} is {state.status}; there is nothing to resume",
            hint=f"clockwork jobpack verify {job_id}",
        )
    if state.open_decisions:
        digest = str(state.open_decisions[0].binds["plan"])[:8]
        raise ApprovalRequiredError(
            f"job {job_id} still waits for a decision on plan {digest}",
            hint=f'clockwork approve {job_id} --plan {digest} --reason "…"  &&  clockwork job resume {job_id}',
            details={"job_id": job_id},
        )
    spec = parse_json(state.spec, what="the job's spec")
    recorded = read_notebook(Path(spec["notebook"]), store.blobs(job_id).get(state.published["notebook/input.ipynb"]))
    _check_unchanged(recorded)
    run = JobRun.take(store, job_id)
    run.status("running")
    parameters = {p["name"]: json.loads(p["value"]) for p in spec["parameters"]}
    attempt = NotebookRun(run, recorded, Path(spec["out"]), on_cell=on_cell)
    return _attempt(attempt, parameters, settings, spec["kernel"])


def _check_unchanged(recorded: Notebook) -> None:
    if not recorded.path.exists():
        return
    now = read_notebook(recorded.path)
    if now.digest != recorded.digest:
        raise PlanStaleError(
            f"{recorded.path.name} is not the notebook this job runs",
            hint=f"{recorded.difference(now)}\nPut it back to go on with this job, or start a new one: clockwork runbook run",
        )


def _attempt(run: NotebookRun, parameters: Mapping[str, Any], settings: Settings, kernel: str) -> RunResult:
    import papermill

    from clockwork_nb.fs import make_dirs

    logging.getLogger("papermill").setLevel(logging.ERROR)
    make_dirs(run.output_path.parent)
    with tempfile.TemporaryDirectory(prefix="clockwork-") as folder:
        source = Path(folder) / run.notebook.path.name
        source.write_bytes(run.notebook.data)
        try:
            papermill.execute_notebook(
                str(source),
                str(run.output_path),
                parameters=dict(parameters),
                engine_name="clockwork",
                kernel_name=kernel or "python3",
                progress_bar=False,
                cwd=str(run.notebook.path.absolute().parent),
                clockwork_run=run,
            )
        except ClockworkError:
            raise
        except KeyboardInterrupt as error:
            raise InterruptedByUserError(
                "stopped; what was finished is saved", hint=f"Go on with: clockwork job resume {run.job_id}"
            ) from error
    packs = Packs(settings, run.out)
    exported = packs.export(run.job_id)
    return RunResult(run.job_id, run.output_path, exported, packs.write_report(run.job_id))
