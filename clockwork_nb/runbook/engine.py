"""The papermill engine ``clockwork``: the run is a durable job and this process its only writer.

Differs from papermill's own engine where that loses the truth: cell statuses after a dead kernel, a timeout or a
Ctrl-C; saving, which replaces the file atomically; errors, which keep their class.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.util import run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager

from clockwork_nb.errors import ClockworkError
from clockwork_nb.fs import make_dirs, write_atomic
from clockwork_nb.runbook.notebook import read_notebook
from clockwork_nb.runbook.outcome import CellFailure
from clockwork_nb.runbook.run import DEFAULT_KERNEL, NotebookRun
from clockwork_nb.settings import load_settings

__all__ = ["ClockworkEngine", "execute"]

_START_TIMEOUT_S = 60
_STEP_GRACE_S = 10.0
_MAX_SAID = 2_000
_MAX_FOLDER = 60


class _Manager(NotebookExecutionManager):
    """papermill's bookkeeping, saving atomically and leaving statuses alone that it cannot know.

    ``lost`` says whether another process has taken the job over: then the file is its to write.
    """

    lost: Callable[[], bool] = staticmethod(lambda: False)

    def save(self, **_: Any) -> None:
        """Replace the output file with the notebook as it stands: readers see the old or the new one, no mixture.

        It is not forced to the disk after each cell; the log is, and tells what a lost power supply took from here.
        """
        if self.output_path and not self.lost():
            path = Path(self.output_path)
            draft = path.with_name(f".{path.name}.tmp")
            draft.write_bytes(_bytes(self.nb))
            draft.replace(path)
        self.last_save_time = self.now()

    def notebook_complete(self, **_: Any) -> None:
        """Set the end time and save for good; cells that never ran stay ``pending``."""
        self.end_time = self.now()
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        if self.start_time is not None:
            self.nb.metadata.papermill["duration"] = (self.end_time - self.start_time).total_seconds()
        self.cleanup_pbar()
        if self.output_path and not self.lost():
            write_atomic(Path(self.output_path), _bytes(self.nb), mode=0o644)


class _Client(PapermillNotebookClient):
    """Runs the cells one by one, each journaled before and after."""

    def __init__(self, manager: _Manager, attempt: NotebookRun, sockets: Path, **options: Any) -> None:
        super().__init__(manager, **options)
        self.attempt = attempt
        self.sockets = sockets
        self.failure: CellFailure | None = None
        self._running: asyncio.Future[Any] | None = None

    def create_kernel_manager(self) -> Any:
        """Return papermill's kernel manager, talking over private sockets of files: no port, no plain text on TCP."""
        manager = super().create_kernel_manager()
        manager.transport = "ipc"
        manager.ip = str(self.sockets / "k")
        manager.connection_file = str(self.sockets / "kernel.json")
        return manager

    def start_new_kernel(self, **kwargs: Any) -> None:
        """Start the kernel and tell who watches over it which process it is."""
        super().start_new_kernel(**kwargs)
        self.attempt.guard.kernel_started(getattr(self.km.provisioner, "pid", None) or 0)

    def end_kernel(self) -> None:
        """Kill a kernel that a signal left behind while it started; then nobody writes to its folder any more."""
        if self.km is not None and self.km.has_kernel:
            run_sync(self.km.shutdown_kernel)(now=True)

    def papermill_execute_cells(self) -> None:
        """Run every cell in order; stop at the first that fails."""
        # People hear the numbers of their own file, which does not have the cell that parameters are put into.
        numbers = {cell["id"]: index for index, cell in enumerate(self.attempt.notebook.cells)}
        for index, cell in enumerate(self.nb.cells):
            if cell.cell_type != "code" or not cell.source.strip():
                cell.metadata.papermill["status"] = self.nb_man.COMPLETED
            elif cell.id not in numbers:
                self.nb_man.cell_start(cell, index)
                self._carry_out(cell, index)
                self.nb_man.cell_complete(cell, cell_index=index)
            elif self.attempt.guard.reason:
                self.failure = CellFailure(numbers[cell.id], "InterruptedByUserError", "stopped before this cell")
                return
            elif not self._cell(cell, index, numbers[cell.id]):
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
            self._carry_out(cell, index)
        except CellExecutionError as error:
            self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=error)
            return self._stop(cell, CellFailure(shown, error.ename, error.evalue, tuple(_traceback(cell))))
        except BaseException as error:
            cell.metadata.papermill["status"] = self.nb_man.FAILED
            self.nb.metadata.papermill["exception"] = True
            self.attempt.cell_failed(cell.id, CellFailure(shown, type(error).__name__, str(error)))
            if not isinstance(error, Exception):
                self._let_the_step_end()
            raise
        stop = self.attempt.unsettled(cell.id, shown)
        if stop is not None:
            self.nb_man.cell_exception(cell, cell_index=index)
            return self._stop(cell, stop)
        self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)
        duration = int((time.monotonic() - started) * 1000)
        kept = [json.loads(json.dumps(o)) for o in cell.outputs] if once else None
        self.attempt.cell_completed(cell.id, shown, duration, kept)
        return True

    def _stop(self, cell: Any, failure: CellFailure) -> bool:
        self.failure = failure
        self.attempt.cell_failed(cell.id, failure)
        self.nb_man.save()
        return False

    def _carry_out(self, cell: Any, index: int) -> None:
        """Run a cell as `execute_cell` does, and remember the task: Ctrl-C leaves it without anybody to wait for it."""

        async def run() -> None:
            self._running = asyncio.ensure_future(self.async_execute_cell(cell, index))
            await asyncio.wait([self._running])

        run_sync(run)()
        assert self._running is not None
        self._running.result()

    def _let_the_step_end(self) -> None:
        """Interrupt the kernel and wait for the cell, whose steps then have ended, so that the log says how."""

        async def wait(running: asyncio.Future[Any]) -> None:
            await asyncio.wait([running], timeout=_STEP_GRACE_S)
            if not running.done():
                running.cancel()
            elif not running.cancelled():
                running.exception()  # it is known why the cell ended

        with contextlib.suppress(OSError, RuntimeError):
            run_sync(self.km.interrupt_kernel)()
        if self._running is not None:
            run_sync(wait)(self._running)


def _traceback(cell: Any) -> Iterator[str]:
    for output in cell.outputs:
        if output.output_type == "error":
            for block in output.traceback:
                yield from block.splitlines()


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
        attempt = clockwork_run or _new_job(nb, options.get("input_path"), output_path, kernel_name)
        nb.metadata["clockwork"] = {"job": attempt.job_id}
        nb.metadata.pop("widgets", None)  # of an earlier, live run
        manager = _Manager(
            nb, output_path=output_path, progress_bar=progress_bar, log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )  # fmt: skip
        manager.lost = lambda: attempt.run.writer.stop_requested() == "lost"
        failure, problem = None, None
        try:
            manager.notebook_start()
            try:
                failure = cls._execute(manager, attempt, kernel_name, log_output=log_output, **options)
            finally:
                manager.notebook_complete()
            attempt.publish_output(_bytes(manager.nb))
        except BaseException as error:  # noqa: BLE001 - settled below, and raised again there
            problem = error
        try:
            attempt.settle(failure, problem)
        except ClockworkError as error:
            if clockwork_run is None and error.hint:
                error.add_note(error.hint)  # papermill shows a traceback, which has room for it there
            raise
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
        with _own_folder(attempt.job_id) as folder, _job_socket(attempt, folder) as environment:
            client = _Client(
                manager, attempt, folder, timeout=execution_timeout, startup_timeout=start_timeout,
                kernel_name=kernel_name, log_output=log_output, store_widget_state=False,
            )  # fmt: skip
            said = folder / "kernel.log"
            with said.open("wb") as log, attempt.guard:
                try:
                    client.execute(
                        env={**os.environ, **environment}, cwd=str(attempt.cwd), stdout=log, stderr=subprocess.STDOUT
                    )
                except (RuntimeError, DeadKernelError) as error:  # the kernel did not start, or died
                    error.add_note(_tail(said))
                    raise
                finally:
                    client.end_kernel()
            return client.failure


def _tail(path: Path) -> str:
    return path.read_bytes()[-_MAX_SAID:].decode("utf-8", "replace").strip()


@contextmanager
def _own_folder(job_id: str) -> Iterator[Path]:
    """Yield a new folder, 0700, whose name is short enough for sockets in it: they hold about 100 bytes.

    Those that killed attempts at the same job left are removed; the job is ours, so nobody uses them.
    """
    long = len(os.fsencode(tempfile.gettempdir())) > _MAX_FOLDER
    base = Path("/tmp" if long else tempfile.gettempdir())  # noqa: S108
    for left in base.glob("cw-*"):
        with contextlib.suppress(OSError):
            if left.lstat().st_uid == os.getuid() and (left / "job").read_text() == job_id:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="cw-", dir=base))
    try:
        (folder / "job").write_text(job_id)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _job_socket(attempt: NotebookRun, folder: Path) -> Iterator[dict[str, str]]:
    """Serve the job on a private socket in *folder*; yield the variables that the kernel finds the job by."""
    from clockwork_nb.store.remote import JobServer

    path = folder / f"{secrets.token_hex(4)}.sock"
    names = {*attempt.notebook.parameter_defaults, *attempt.parameters}
    with JobServer(attempt.run.handle(), path):
        yield {
            "CW_HEADLESS": "1",
            "CW_JOB_SOCKET": str(path),
            "CW_JOB_ID": attempt.job_id,
            "CW_NOTEBOOK": str(attempt.notebook.path.absolute()),
            "CW_PARAMETERS": json.dumps(sorted(names)),
        }


def _bytes(nb: Any) -> bytes:
    import nbformat

    return bytes(nbformat.writes(nb).encode())


def _new_job(nb: Any, input_path: str | None, output_path: str | None, kernel_name: str) -> NotebookRun:
    """Return the job of a plain ``papermill`` run, which is to be continued with what papermill was told."""
    settings = load_settings()
    path = Path(input_path or "notebook.ipynb")
    notebook = read_notebook(path, path.read_bytes() if path.is_file() else _bytes(nb))
    parameters = notebook.check_values(dict(nb.metadata.papermill.get("parameters") or {}))
    here = output_path is not None and "://" not in output_path and output_path != "-"
    attempt = NotebookRun.create(
        notebook, parameters, settings=settings, out=settings.out, kernel=kernel_name, cwd=Path.cwd(),
        output=Path(str(output_path)) if here else None,
    )  # fmt: skip
    logging.getLogger("papermill").info("Clockwork job:    %s", attempt.job_id)
    return attempt


def _node(data: bytes) -> Any:
    """Return the notebook in *data* with the metadata that papermill's functions expect, those of earlier runs gone."""
    import nbformat
    from papermill.version import version

    nb = nbformat.v4.upgrade(nbformat.reads(data.decode(), as_version=4))
    empty: dict[str, Any] = {"default_parameters": {}, "parameters": {}, "environment_variables": {}}
    nb.metadata["papermill"] = nbformat.from_dict({**empty, "version": version})
    for cell in nb.cells:
        cell.metadata.setdefault("tags", [])
        cell.metadata["papermill"] = nbformat.from_dict({})
    return nb


def execute(attempt: NotebookRun) -> None:
    """Run *attempt* from the notebook's first cell to its end, or to where it stops.

    papermill's own ``execute_notebook`` is not used: it reads the outputs after the job has ended and takes a cell that
    may raise (tag ``raises-exception``) for a failure, and it saves without replacing the file at once.

    Raises:
        ClockworkError: as `NotebookRun.settle`.
    """
    from papermill.execute import prepare_notebook_metadata, remove_error_markers
    from papermill.parameterize import parameterize_notebook

    kernel = attempt.kernel or DEFAULT_KERNEL
    logging.getLogger("papermill").setLevel(logging.ERROR)
    make_dirs(attempt.output_path.parent)
    nb = _node(attempt.notebook.data)
    if attempt.parameters:
        nb = parameterize_notebook(nb, attempt.parameters, kernel_name=kernel, language="python")
    nb = prepare_notebook_metadata(nb, str(attempt.notebook.path.absolute()), str(attempt.output_path))
    ClockworkEngine.execute_notebook(
        remove_error_markers(nb),
        kernel,
        output_path=str(attempt.output_path),
        progress_bar=False,
        clockwork_run=attempt,
    )
