"""The papermill engine ``clockwork``: the run is a durable job and this process its only writer.

Differs from papermill's own engine where that loses the truth: cell statuses after a dead kernel, a timeout or a
Ctrl-C; saving, which replaces the file atomically; errors, which keep their class.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError
from nbclient.util import run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager

from clockwork_nb.runbook.notebook import read_notebook
from clockwork_nb.runbook.run import CellFailure, NotebookRun
from clockwork_nb.settings import load_settings

__all__ = ["ClockworkEngine"]

_START_TIMEOUT_S = 60
_STEP_GRACE_S = 10.0


class _Manager(NotebookExecutionManager):
    """papermill's bookkeeping, saving atomically and leaving statuses alone that it cannot know."""

    def save(self, **_: Any) -> None:
        """Replace the output file with the notebook as it stands."""
        if self.output_path:
            import nbformat

            from clockwork_nb.fs import write_atomic

            data = nbformat.writes(self.nb).encode()
            write_atomic(Path(self.output_path), data, mode=0o644)

    def notebook_complete(self, **_: Any) -> None:
        """Set the end time and save; cells that never ran stay ``pending``."""
        self.end_time = self.now()
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        if self.start_time is not None:
            self.nb.metadata.papermill["duration"] = (self.end_time - self.start_time).total_seconds()
        self.cleanup_pbar()
        self.save()


class _Client(PapermillNotebookClient):
    """Runs the cells one by one, each journaled before and after."""

    def __init__(self, manager: _Manager, attempt: NotebookRun, sockets: Path, **options: Any) -> None:
        super().__init__(manager, **options)
        self.attempt = attempt
        self.sockets = sockets
        self.failure: CellFailure | None = None

    def create_kernel_manager(self) -> Any:
        """Return papermill's kernel manager, talking over private sockets of files: no port, no plain text on TCP."""
        manager = super().create_kernel_manager()
        manager.transport = "ipc"
        manager.ip = str(self.sockets / "k")
        return manager

    def papermill_execute_cells(self) -> None:
        """Run every cell in order; stop at the first that fails."""
        shift = _injected_before(self.nb)
        for index, cell in enumerate(self.nb.cells):
            if cell.cell_type != "code" or not cell.source.strip():
                cell.metadata.papermill["status"] = self.nb_man.COMPLETED
                continue
            if not self._cell(cell, index, index - shift(index)):
                return

    def _cell(self, cell: Any, index: int, shown: int) -> bool:
        once = "cw:once" in cell.metadata.get("tags", ())
        if once:
            outputs = self.attempt.restored(cell.id, shown)
            if outputs is not None:
                import nbformat

                cell.outputs = [nbformat.from_dict(o) for o in outputs]
                cell.metadata.papermill["status"] = self.nb_man.COMPLETED
                return True
        self.attempt.cell_started(cell.id, shown)
        started = time.monotonic()
        self.nb_man.cell_start(cell, index)
        try:
            self.execute_cell(cell, index)
        except CellExecutionError as error:
            self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=error)
            self.failure = CellFailure(shown, error.ename, error.evalue, tuple(_traceback(cell)))
            self.attempt.cell_failed(cell.id, self.failure)
            self.nb_man.save()
            return False
        except BaseException as error:
            cell.metadata.papermill["status"] = self.nb_man.FAILED
            self.nb.metadata.papermill["exception"] = True
            self.attempt.cell_failed(cell.id, CellFailure(shown, type(error).__name__, str(error)))
            if not isinstance(error, Exception):
                self._let_the_step_end()
            raise
        self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)
        duration = int((time.monotonic() - started) * 1000)
        kept = [json.loads(json.dumps(o)) for o in cell.outputs] if once else None
        self.attempt.cell_completed(cell.id, shown, duration, kept)
        return True

    def _let_the_step_end(self) -> None:
        """Interrupt the kernel and wait until no step is running, so that the log says what each one did."""
        try:
            run_sync(self.km.interrupt_kernel)()
        except (OSError, RuntimeError):
            return
        deadline = time.monotonic() + _STEP_GRACE_S
        while time.monotonic() < deadline:
            state = self.attempt.run.state()
            if not any(s.status == "started" for section in state.open_sections for s in section.steps.values()):
                return
            time.sleep(0.05)


def _traceback(cell: Any) -> Iterator[str]:
    for output in cell.outputs:
        if output.output_type == "error":
            for block in output.traceback:
                yield from block.splitlines()


def _injected_before(nb: Any) -> Any:
    """Return index → how many cells before it papermill put in, so that people hear the numbers of their own file."""
    added = [i for i, c in enumerate(nb.cells) if "injected-parameters" in c.metadata.get("tags", ())]

    def shift(index: int) -> int:
        return sum(1 for i in added if i < index)

    return shift


class ClockworkEngine(NBClientEngine):
    """Entry point ``clockwork`` of group ``papermill.engine``."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        clockwork_run: NotebookRun | None = None,
        **options: Any,
    ) -> Any:
        """Run *nb* as a job and return it executed.

        Without *clockwork_run* (plain ``papermill --engine clockwork``) a new job is made; it is continued with
        ``clockwork job resume``.

        Raises:
            ApprovalRequiredError: it stopped at a decision. AdapterFailedError and kin: a cell failed.
        """
        attempt = clockwork_run or _new_job(nb, options.get("input_path"), kernel_name)
        nb.metadata["clockwork"] = {"job": attempt.job_id}
        manager = _Manager(
            nb, output_path=output_path, progress_bar=progress_bar, log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )  # fmt: skip
        manager.notebook_start()
        failure, problem = None, None
        try:
            failure = cls._execute(manager, attempt, kernel_name, log_output=log_output, **options)
        except BaseException as error:  # noqa: BLE001 - settled below, and raised again there
            problem = error
        finally:
            manager.notebook_complete()
        import nbformat

        attempt.publish_output(nbformat.writes(manager.nb).encode())
        attempt.settle(failure, problem)
        return manager.nb

    @classmethod
    def _execute(
        cls,
        manager: _Manager,
        attempt: NotebookRun,
        kernel_name: str,
        *,
        log_output: bool = False,
        start_timeout: int = _START_TIMEOUT_S,
        execution_timeout: int | None = None,
        **_: Any,
    ) -> CellFailure | None:
        with _job_socket(attempt) as environment:
            client = _Client(
                manager, attempt, Path(environment["CW_JOB_SOCKET"]).parent, timeout=execution_timeout, startup_timeout=start_timeout, kernel_name=kernel_name,
                log_output=log_output, store_widget_state=False,
            )  # fmt: skip
            client.execute(env={**os.environ, **environment})
            return client.failure


@contextmanager
def _job_socket(attempt: NotebookRun) -> Iterator[dict[str, str]]:
    """Serve the job on a private socket and yield the variables that the kernel finds it by."""
    from clockwork_nb.store.remote import JobServer

    # Socket paths hold about 100 bytes, so it is made in the short temporary folder, 0700.
    folder = Path(tempfile.mkdtemp(prefix="cw-"))
    path = folder / f"{secrets.token_hex(4)}.sock"
    names = [*attempt.notebook.parameter_defaults, *attempt.notebook.variables]
    server = JobServer(attempt.run.handle(), path)
    try:
        yield {
            "CW_HEADLESS": "1",
            "CW_JOB_SOCKET": str(path),
            "CW_JOB_ID": attempt.job_id,
            "CW_NOTEBOOK": str(attempt.notebook.path.absolute()),
            "CW_PARAMETERS": json.dumps(sorted(set(names))),
        }
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def _new_job(nb: Any, input_path: str | None, kernel_name: str) -> NotebookRun:
    import nbformat

    settings = load_settings()
    path = Path(input_path or "notebook.ipynb")
    data = path.read_bytes() if path.is_file() else nbformat.writes(nb).encode()
    return NotebookRun.create(
        read_notebook(path, data), {}, settings=settings, out=settings.out.absolute(), kernel=kernel_name
    )
