"""One job this process writes to: its own, or the notebook run's through the engine's socket."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb import __version__
from clockwork_nb.canonical import digest
from clockwork_nb.errors import ClockworkError, InterruptedByUserError, InvalidInputError, InvalidTransitionError
from clockwork_nb.ports import Draft

if TYPE_CHECKING:
    from clockwork_nb.jobs.state import JobState
    from clockwork_nb.ports import JobWriter
    from clockwork_nb.settings import Settings
    from clockwork_nb.store.files import JobStore
    from clockwork_nb.store.handle import JobHandle

__all__ = ["TOOL_VERSION", "JobRun", "environment_rules", "open_store"]

TOOL_VERSION = f"clockwork_nb {__version__}"


def open_store(settings: Settings) -> JobStore:
    """Return the job store that *settings* name; a network file system is left for a local folder, with a notice.

    Raises:
        InvalidInputError: there is something else in its place.
    """
    from clockwork_nb.fs import is_network_fs
    from clockwork_nb.store.files import JobStore

    home = settings.home
    if home.exists() and not home.is_dir():
        raise InvalidInputError(f"the job store {home} is not a folder", hint="Set CLOCKWORK_HOME to a folder.")
    if not settings.home_chosen and is_network_fs(home if home.exists() else home.parent):
        import logging
        import os

        home = Path(f"/var/tmp/clockwork-{os.getuid()}")  # noqa: S108 - 0700 and checked by the store
        logging.getLogger(__name__).warning("%s is on a network file system; the job store is %s", settings.home, home)
    return JobStore(home, tool_version=__version__)


def environment_rules() -> tuple[list[dict[str, str]], str]:
    """Return the environment's fingerprint: rules with values, and their digest."""
    from clockwork_nb.jobs.fingerprint import fingerprint_hash
    from clockwork_nb.session.environment import collect

    rules = collect()
    return rules, fingerprint_hash(rules)


class JobRun:
    """A job and the way to write to it.

    ``own`` is True when this process holds the job's lease: then it also moves the job's status. In a notebook engine
    run the engine owns the job, and this is the kernel's end of its socket.
    """

    def __init__(self, writer: JobWriter, *, own: bool) -> None:
        self.writer = writer
        self.own = own
        self._left: JobState | None = None

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.writer.job_id

    def state(self) -> JobState:
        """Return the job folded from its events; after `close`, as this process left it (a view may ask late)."""
        if self._left is not None:
            return self._left
        state: JobState = self.writer.state  # type: ignore[attr-defined] # both ends of a job keep its fold
        return state

    def handle(self) -> JobHandle:
        """Return the owner's handle.

        Raises:
            InvalidTransitionError: this is not the owner's end.
        """
        from clockwork_nb.store.handle import JobHandle

        if not isinstance(self.writer, JobHandle):
            raise InvalidTransitionError("only the owner of a job can serve it")
        return self.writer

    def status(self, to: str, reason: str = "") -> None:
        """Move the job to status *to*, if it is ours to move and not there yet."""
        if not self.own:
            return
        current = self.state().status
        if current != to:
            payload: dict[str, Any] = {"from": current, "to": to}
            if reason:
                payload["reason"] = reason
            self.writer.append([Draft("job.status", payload)])

    def finish(self, status: str, summary: str) -> None:
        """End the job with *status* (``completed`` or ``canceled``) and give the lease back."""
        if not self.own:
            return
        if status == "completed":
            self.writer.append([Draft("checkpoint", {"kind": "completed", "summary": summary, "reason_codes": []})])
        self.status(status)
        self.writer.append([Draft("job.finished", {"status": status, "reason_codes": []})])
        self.close(status)

    def close(self, outcome: str) -> None:
        """Give the lease back; the job can be resumed by anybody."""
        if self.own:
            with contextlib.suppress(ClockworkError):  # a broken writer keeps nothing; it is closed all the same
                self._left = self.state()
            self.handle().close(outcome)

    def break_off(self, error: BaseException, *, section: int = 0, status: str = "blocked_error") -> None:
        """Leave an own job where it can be resumed, with *error* as the reason, and give the lease back.

        What cannot be written any more is left out: *error* is the one to see.
        """
        if not self.own:
            return
        from clockwork_nb.jobs.commands import checkpoint

        code, message = _reason(error)
        with contextlib.suppress(ClockworkError):
            self.writer.append([checkpoint("blocked", message, reason_codes=[code], section=section)])
            self.status(status, code)
        with contextlib.suppress(ClockworkError):
            self.close(status)

    @classmethod
    def create(
        cls,
        store: JobStore,
        *,
        name: str,
        adapter: str,
        lineage: str,
        spec: Mapping[str, Any],
        blobs: Sequence[bytes] = (),
    ) -> JobRun:
        """Create a job owned by this process, running, with its environment and *blobs* recorded."""
        handle = store.create(name=name, adapter=adapter, lineage=lineage, spec=spec)
        run = cls(handle, own=True)
        try:
            for blob in blobs:
                handle.put_blob(blob)
            run._capture_environment()
            run.status("running")
        except BaseException as error:
            run.break_off(error)
            raise
        return run

    @classmethod
    def take(cls, store: JobStore, job_id: str) -> JobRun:
        """Take over an existing job that nobody runs; its environment must be the recorded one.

        Raises:
            LeaseConflictError: somebody runs it. InvalidTransitionError: it is at its end.
            EnvironmentMismatchError: this is not the environment it started in.
        """
        from clockwork_nb.jobs.fingerprint import check_environment

        run = cls(store.open(job_id), own=True)
        try:
            if run.state().env_hash:
                check_environment(run.state(), environment_rules()[0])
            else:
                run._capture_environment()  # its first process died before it came to that
        except BaseException:
            run.close("refused")
            raise
        return run

    def _capture_environment(self) -> None:
        rules, fingerprint = environment_rules()
        self.writer.append([Draft("env.captured", {"rules": rules, "hash": fingerprint})])

    @classmethod
    def remote(cls, settings: Settings) -> JobRun:
        """Return the kernel's end of the engine's job."""
        from clockwork_nb.store.remote import RemoteJob

        return cls(RemoteJob(Path(settings.job_socket)), own=False)


def _reason(error: BaseException) -> tuple[str, str]:
    """Return the code and the sentence that say why a run ended."""
    if isinstance(error, ClockworkError):
        return error.code, error.message
    if isinstance(error, Exception):
        return ClockworkError.code, f"{type(error).__name__}: {error}"
    return InterruptedByUserError.code, "the run was stopped"


POLICY_DIGEST = digest({})
"""Digest of the operator policy in force: none is read yet, so it is that of the empty policy."""
