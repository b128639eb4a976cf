"""One job this process writes to: its own, or the notebook run's through the engine's socket."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import (
    ClockworkError,
    EnvironmentMismatchError,
    InterruptedByUserError,
    InvalidTransitionError,
)
from clockwork_nb.ports import Draft

if TYPE_CHECKING:
    from clockwork_nb.jobs.state import JobState
    from clockwork_nb.ports import JobWriter
    from clockwork_nb.session.environment import Override
    from clockwork_nb.settings import Settings
    from clockwork_nb.store.files import JobStore, TakeOver, Waiting
    from clockwork_nb.store.handle import JobHandle

__all__ = ["Claim", "JobRun"]

_LETTING_GO_S = 10.0


class Claim(Struct, frozen=True):
    """What a process does to get a job that somebody may be running: nothing, wait for it, or replace its owner.

    See `clockwork_nb.store.files.JobStore.open` for the three. With ``override`` another environment than the recorded
    one will do this time.
    """

    take_over: TakeOver | None = None
    wait_s: float = 0.0
    on_wait: Callable[[Waiting], None] | None = None
    override: Override | None = None


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
        drafts = []
        if status == "completed":
            drafts.append(Draft("checkpoint", {"kind": "completed", "summary": summary, "reason_codes": []}))
        before = self.state().status
        if before != status:
            drafts.append(Draft("job.status", {"from": before, "to": status}))
        # One append: a crash must not leave a job that is at its end, so cannot be resumed, and never finished.
        self.writer.append([*drafts, Draft("job.finished", {"status": status, "reason_codes": []})])
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
        objective: str = "",
        job_id: str | None = None,
        environment: Sequence[str] = (),
        start: bool = True,
        drafts: Sequence[Draft] = (),
    ) -> JobRun:
        """Create a job owned by this process, with its environment and *blobs* recorded; running, or queued still.

        *environment* are the rules of its fingerprint, by default the usual ones. *blobs* and the events *drafts* are
        there as soon as the job is, so that no crash leaves a job without what it needs.

        Raises:
            InvalidInputError: a rule does not exist or cannot be answered here; then there is no job.
        """
        from clockwork_nb.jobs.fingerprint import captured_draft
        from clockwork_nb.session.environment import collect, place_of

        rules = collect(environment, place_of(spec, lambda: _store_key(store)))
        handle = store.create(
            name=name, adapter=adapter, lineage=lineage, spec=spec, objective=objective, job_id=job_id,
            blobs=[*blobs, *_lists_behind(rules)], drafts=[captured_draft(rules), *drafts],
        )  # fmt: skip
        run = cls(handle, own=True)
        try:
            if start:
                run.status("running")
        except BaseException as error:
            run.break_off(error)
            raise
        return run

    @classmethod
    def take(cls, store: JobStore, job_id: str, *, claim: Claim | None = None) -> JobRun:
        """Take over an existing job that nobody runs; its environment must be the recorded one.

        *claim* says what to do when somebody runs it, and may accept another environment, which is recorded. Whoever is
        replaced gets some seconds to end what it runs.

        Raises:
            LeaseConflictError: somebody runs it. InvalidTransitionError: it is at its end.
            EnvironmentMismatchError: this is not the environment it started in; the job is left at ``blocked_error``.
        """
        claim = claim or Claim()
        handle = store.open(
            job_id, take_over=claim.take_over, wait_s=claim.wait_s, on_wait=claim.on_wait, unfinished=True
        )
        run = cls(handle, own=True)
        try:
            if claim.take_over is not None:
                handle.await_predecessor(_LETTING_GO_S)
            run._check_environment(store, claim.override)
        except EnvironmentMismatchError as error:
            run.break_off(error)
            raise
        except BaseException:
            run.close("refused")
            raise
        return run

    def _check_environment(self, store: JobStore, override: Override | None) -> None:
        from clockwork_nb.jobs.fingerprint import captured_draft, check_environment, compare, override_draft
        from clockwork_nb.session.environment import collect, place_of

        state = self.state()
        place = place_of(parse_json(state.spec) if state.spec else None, lambda: _store_key(store))
        current = collect((item["rule"] for item in state.env_rules), place)
        if not state.env_hash:  # a job of an earlier version, whose first process died before it came to that
            self.writer.append([captured_draft(current)])
        elif override is not None and compare(state.env_rules, current):
            self.writer.append([override_draft(state, current, by=override.by, reason=override.reason)])
        else:
            check_environment(state, current, more=self._more_about(state, current))

    def _more_about(self, state: JobState, current: Sequence[Mapping[str, str]]) -> Mapping[str, Sequence[str]]:
        """Return which packages differ, when the list is still there that the job's digest was made of."""
        values = {item["rule"]: item["value"] for item in state.env_rules}
        before = values.get("packages", "")
        if not before or before in {item["value"] for item in current}:
            return {}
        from clockwork_nb.session.environment import installed_packages, package_changes

        with contextlib.suppress(ClockworkError):
            text = self.writer.get_blob(before).decode("utf-8", "replace")
            return {"packages": [f"  {line}" for line in package_changes(text, installed_packages())]}
        return {}

    @classmethod
    def remote(cls, settings: Settings) -> JobRun:
        """Return the kernel's end of the engine's job."""
        from pathlib import Path

        from clockwork_nb.store.remote import RemoteJob

        return cls(RemoteJob(Path(settings.job_socket)), own=False)


def _lists_behind(rules: Sequence[Mapping[str, str]]) -> list[bytes]:
    """Return the lists whose digests are values of *rules*, so that a later difference can be told line by line."""
    from clockwork_nb.session.environment import installed_packages

    return [installed_packages().encode()] if any(item["rule"] == "packages" for item in rules) else []


def _store_key(store: JobStore) -> bytes:
    """Return the key under which the store's jobs record what environment variables hold; made when first needed."""
    from clockwork_nb.forge.state import secret_key

    return secret_key(store.home)


def _reason(error: BaseException) -> tuple[str, str]:
    """Return the code and the sentence that say why a run ended."""
    if isinstance(error, ClockworkError):
        return error.code, error.message
    if isinstance(error, Exception):
        return ClockworkError.code, f"{type(error).__name__}: {error}"
    return InterruptedByUserError.code, "the run was stopped"
