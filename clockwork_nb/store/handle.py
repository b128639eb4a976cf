"""The owner's handle on a job: thread-safe appends with group commit, the lease's heartbeat, and the caches.

One thread a handle does everything that touches the log. It has no timer for grouping: when the disk is free it commits
whatever has gathered meanwhile, so a slow disk makes larger groups by itself. And no Ctrl-C ever lands in the middle of
a commit, because signals reach the main thread only.

An owner that could not renew its lease for half of its ttl gives the job up by itself, whatever keeps its disk: others
may take it after two ttls, and all that it runs is gone long before.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

from clockwork_nb.errors import ClockworkError, LeaseLostError, StateLockedError, StoreCorruptError, StoreIOError
from clockwork_nb.fs import FileSystem
from clockwork_nb.jobs.events import Event
from clockwork_nb.ports import Draft
from clockwork_nb.store.blobs import BlobStore
from clockwork_nb.store.journal import Batch, Journal
from clockwork_nb.store.lease import LeaseFile, read_lease, write_lease
from clockwork_nb.store.lock import FileLock, hold
from clockwork_nb.store.snapshot import due, write_caches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from clockwork_nb.clock import Clock
    from clockwork_nb.jobs.model import JobState

__all__ = ["JobHandle"]

_LOOK_S: Final = 0.25
_QUICK_S: Final = 1.5
"""How long somebody who asks whether to stop is kept waiting; a disk that needs longer is as good as none."""
_END_S: Final = 5.0
_SNAPSHOT_AFTER: Final = frozenset({"job.status", "job.finished", "lease.released", "section.closed"})


class _Call:
    """Something the writer thread does for another thread."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._do = run
        self.done = threading.Event()
        self.error: ClockworkError | None = None

    def answer(self) -> None:
        """Do it and wake the asking thread."""
        try:
            self._do()
        except ClockworkError as error:
            self.error = error
        self.done.set()

    def refuse(self, error: ClockworkError | None) -> None:
        """Wake the asking thread without having done it."""
        if not self.done.is_set():
            self.error = error
            self.done.set()


class JobHandle:
    """The one owner of a job's log; a `clockwork_nb.ports.JobWriter`. Made by `clockwork_nb.store.files.JobStore`.

    Usable as a context manager; leaving it releases the lease.
    """

    def __init__(
        self,
        journal: Journal,
        lease: LeaseFile,
        owner_lock: FileLock,
        *,
        fs: FileSystem,
        clock: Clock,
        tool_version: str,
        heartbeat: bool = True,
    ) -> None:
        self.folder: Path = journal.folder
        self._lock_path = self.folder / "append.lock"
        self._lease_path = self.folder / "lease.json"
        self.blobs = BlobStore(self.folder / "blobs", fs=fs)
        self._journal = journal
        self._lease = lease
        self._owner_lock = owner_lock
        self._fs = fs
        self._clock = clock
        self._version = tool_version
        self.ttl_s = lease.ttl_ms / 1000
        self._beat_every_s = self.ttl_s / 6 if heartbeat else None
        self._work = threading.Condition()
        self._batches: list[Batch] = []
        self._calls: list[_Call] = []
        self._stopping = False
        self._ended = False
        self._closed = False
        self._failed: ClockworkError | None = None
        self._gave_up = False
        self._trouble = ""
        self._snapshot_seq = 0
        self._last_beat = self._last_try = self._last_look = clock.boottime()
        self._pid = os.getpid()
        self._writer = threading.Thread(target=self._run, name=f"clockwork-log-{self.job_id}", daemon=True)
        self._writer.start()

    # --- what it is ---

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._lease.job_id

    @property
    def epoch(self) -> int:
        """The fencing token of this lease."""
        return self._lease.epoch

    @property
    def runner_id(self) -> str:
        """The id under which this process runs the job."""
        return self._lease.holder.runner_id

    @property
    def genesis(self) -> Mapping[str, Any]:
        """The job's header, ``job.json``."""
        return self._journal.genesis

    @property
    def state(self) -> JobState:
        """What the durable events add up to; a copy of your own."""
        copies: list[JobState] = []
        self._call(lambda: copies.append(self._journal.state.copy()))
        return copies[0]

    # --- JobWriter ---

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Make *drafts* durable as one unit and return them as written. Thread-safe.

        Raises:
            LeaseLostError: E_LEASE_LOST: somebody else owns the job now.
            InvalidInputError: E_INVALID_INPUT_SCHEMA: a payload does not fit its type; nothing of the batch was written.
            InvalidTransitionError: E_INVALID_STATE_TRANSITION: an event cannot follow the ones before; nothing written.
            JobLimitError: E_JOB_LIMIT; nothing written.
            StoreFullError, StoreIOError: not durable; this handle refuses everything from now on.
        """
        if not drafts:
            return []
        batch = Batch(tuple(drafts), self.epoch)
        with self._work:
            self._check_writer()
            self._check_usable()
            self._batches.append(batch)
            self._work.notify()
        self._await(batch.done)
        if batch.error is not None:
            raise batch.error
        return batch.events

    def put_blob(self, data: bytes) -> str:
        """Make *data* durable under its SHA-256 and return that (64 hex). Thread-safe.

        Raises:
            StoreFullError, StoreIOError: this handle refuses everything from now on.
        """
        return self.put_blobs([data])[0]

    def put_blobs(self, contents: Sequence[bytes]) -> list[str]:
        """Make each of *contents* durable, with fewer waits for the disk than one by one; return the digests in order.

        Raises:
            StoreFullError, StoreIOError: this handle refuses everything from now on.
        """
        self._check_usable()
        try:
            return self.blobs.put_all(contents)
        except StoreIOError as error:
            self._poison(error)
            raise

    def get_blob(self, sha256: str) -> bytes:
        """Return the bytes named *sha256*.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT: missing, or the content does not have that digest.
        """
        return self.blobs.get(sha256)

    def events(self) -> list[Event]:
        """Return every event so far, control events of other processes included."""
        return self.events_after(0)

    def events_after(self, seq: int) -> list[Event]:
        """Return the durable events with a larger seq than *seq*."""
        if self._failed is None and self._journal.longer():
            self._call(self._look)
        return self._journal.events[seq:]

    def limits(self) -> dict[str, str]:
        """Return budget dimension → limit; what another process raised is seen with the next look at the log."""
        return dict(self._journal.state.limits)

    def stop_requested(self) -> str:
        """Return ``"cancel"``, ``"pause"``, ``"drain"``, ``"lost"`` when the run must stop, else ``""``.

        Cheap; looks every 250 ms, and blocks for 1.5 seconds at most. ``lost`` also when the lease could not be renewed for
        half of its ttl: then this handle refuses everything from now on.
        """
        now = self._clock.boottime()
        answers = True
        if self._failed is None and now - self._last_look >= _LOOK_S:
            self._last_look = now
            if self._journal.longer():
                answers = self._quickly(self._look)
        if self._overdue():
            # The machine slept, or the disk hangs. Only a beat that goes through proves that the job is still ours.
            if answers:
                self._quickly(self._beat)
            if self._overdue():
                self._give_up()
        return "lost" if self._failed is not None else self._journal.state.stop

    def await_predecessor(self, wait_s: float) -> bool:
        """Return whether the process that the job was taken from has let go of it, waiting for that up to *wait_s* seconds.

        It lets go when all that it ran has ended. Always true for an owner that took over from nobody.

        Raises:
            LeaseLostError, StoreIOError, StoreCorruptError: the job is not ours any more.
        """
        until = self._clock.boottime() + wait_s
        while True:
            self._call(self._beat)
            if self._owner_lock.held or self._clock.boottime() >= until:
                return self._owner_lock.held
            time.sleep(_LOOK_S / 5)

    # --- the end ---

    def close(self, outcome: str = "released") -> None:
        """Release the lease with *outcome*, write the final caches and give everything back. Calling it again is harmless.

        Raises:
            StoreFullError, StoreIOError: the release could not be written; the job can be taken over all the same.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._failed is None:
                with contextlib.suppress(LeaseLostError):
                    self.append([Draft("lease.released", {"runner_id": self.runner_id, "outcome": outcome})])
                    self._call(self._free_lease)
            elif isinstance(self._failed, StoreIOError):
                # The log is not touched any more, but others need not wait for this process to end.
                with contextlib.suppress(ClockworkError):
                    self._call(self._free_lease)
        finally:
            self._poison(StoreIOError(f"the handle on job {self.job_id} is closed"))
            with self._work:
                self._stopping = True
                self._work.notify()
            self._writer.join(_END_S)
            if not self._writer.is_alive():
                self._journal.close()
            # A writer that hangs in the disk has the append lock, so whoever comes next waits for its last write.
            self._owner_lock.release()

    def __enter__(self) -> Self:
        """Return the handle itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lease."""
        if kind is None:
            self.close()
            return
        with contextlib.suppress(ClockworkError):  # the first error is the one to see
            self.close("failed")

    # --- asking the writer thread ---

    def _check_writer(self) -> None:
        if os.getpid() != self._pid:
            raise LeaseLostError(f"job {self.job_id} belongs to process {self._pid}, which this one was forked from")
        if self._ended:
            self._check_usable()
            raise StoreIOError(f"the writer of job {self.job_id} has ended")

    def _call(self, run: Callable[[], None]) -> None:
        call = self._ask(run)
        self._await(call.done)
        if call.error is not None:
            raise call.error

    def _quickly(self, run: Callable[[], None]) -> bool:
        # Whether the writer thread answered. A failure that matters is remembered: it poisons the handle.
        try:
            return self._ask(run).done.wait(_QUICK_S)
        except ClockworkError:
            return False

    def _ask(self, run: Callable[[], None]) -> _Call:
        call = _Call(run)
        with self._work:
            self._check_writer()
            self._calls.append(call)
            self._work.notify()
        return call

    def _await(self, done: threading.Event) -> None:
        # The writer thread may hang in a disk for ever. Nobody waits for it longer than the job is ours.
        while not done.wait(_QUICK_S):
            if self._gave_up or (self._silent() and not done.wait(_QUICK_S)):
                self._give_up()

    # --- giving the job up ---

    def _silent(self) -> bool:
        return self._clock.boottime() - self._last_beat > self.ttl_s / 2

    def _overdue(self) -> bool:
        return self._failed is None and self._silent()

    def _give_up(self) -> None:
        self._gave_up = True
        self._poison(
            LeaseLostError(
                f"the lease of job {self.job_id} could not be renewed for {self.ttl_s / 2:g} s"
                + (f": {self._trouble}" if self._trouble else ""),
                hint="The machine slept, or the disk of the job store does not answer. What was confirmed is saved: "
                f"clockwork job resume {self.job_id}",
                details={"job_id": self.job_id, "epoch": self.epoch},
            )
        )
        with self._work:
            for batch in self._batches:
                if not batch.done.is_set():
                    batch.error = self._failed
                    batch.done.set()
            for call in self._calls:
                call.refuse(self._failed)

    # --- the writer thread ---

    def _run(self) -> None:
        try:
            while self._serve():
                pass
        finally:  # whatever happened, nobody may wait for ever
            with self._work:
                self._ended = True
                self._poison(StoreIOError(f"the writer of job {self.job_id} has ended"))
                batches, calls = self._batches, self._calls
            self._settle(batches, self._failed)
            for call in calls:
                call.refuse(self._failed)

    def _serve(self) -> bool:
        with self._work:
            self._work.wait_for(lambda: self._batches or self._calls or self._stopping, timeout=self._until_beat())
        time.sleep(0)  # whoever is about to append shares the sync
        with self._work:
            batches, calls = tuple(self._batches), tuple(self._calls)
            if self._stopping and not batches and not calls:
                return False
        if batches:
            self._commit(batches)
        for call in calls:
            call.answer()
        with self._work:
            # They stay in the lists until they are answered, so that an unexpected end answers them too.
            self._batches = self._batches[len(batches) :]
            self._calls = self._calls[len(calls) :]
        if self._until_beat() == 0:
            with contextlib.suppress(ClockworkError):  # remembered; the run is told to stop
                self._beat()
        return True

    def _until_beat(self) -> float | None:
        if self._beat_every_s is None or self._failed is not None:
            return None
        return max(0.0, self._last_try + self._beat_every_s - self._clock.boottime())

    def _commit(self, batches: Sequence[Batch]) -> None:
        error: ClockworkError | None = None
        try:
            with self._fenced():
                self._journal.refresh()
                self._journal.commit(batches)
                self._settle(batches, None)
                self._cache(batches)
        except ClockworkError as failure:
            error = failure
        self._settle(batches, error)

    def _settle(self, batches: Sequence[Batch], error: ClockworkError | None) -> None:
        for batch in batches:
            if not batch.done.is_set():
                if batch.error is None and not batch.events:
                    batch.error = error
                batch.done.set()

    @contextlib.contextmanager
    def _fenced(self) -> Iterator[LeaseFile]:
        self._check_usable()
        with self._unchecked() as lease:
            yield lease

    @contextlib.contextmanager
    def _unchecked(self) -> Iterator[LeaseFile]:
        # The append lock, and the proof that no other epoch has begun.
        try:
            with hold(self._lock_path, fs=self._fs):
                yield self._own_lease()
        except (LeaseLostError, StoreIOError, StoreCorruptError) as error:
            self._poison(error)
            raise

    def _own_lease(self) -> LeaseFile:
        # The caller holds the append lock. The epoch is the proof; no clock and no process number is asked.
        try:
            lease = read_lease(self._lease_path, fs=self._fs)
            if lease.epoch != self.epoch or lease.holder.runner_id != self.runner_id:
                raise LeaseLostError(
                    f"job {self.job_id} was taken over by {lease.holder} (epoch {lease.epoch}, ours was {self.epoch})",
                    hint="Nothing more is written from here; look at the job with: clockwork job show",
                    details={"job_id": self.job_id, "epoch": lease.epoch, "ours": self.epoch},
                )
        except (LeaseLostError, StoreCorruptError) as error:
            self._poison(error)
            raise
        return lease

    def _poison(self, error: ClockworkError) -> None:
        if self._failed is None:
            self._failed = error

    def _check_usable(self) -> None:
        failed = self._failed
        if failed is not None:
            raise type(failed)(failed.message, hint=failed.hint, details=failed.details) from failed

    def _look(self) -> None:
        with self._fenced():
            self._journal.refresh()

    def _beat(self) -> None:
        # Others count from when they see it, which is not before it is begun: so that is when ours is counted from.
        began = self._last_try = self._clock.boottime()
        self._check_usable()
        self._owner_lock.try_acquire()  # not held yet when the job was taken from a process that still lives
        # Failing to beat once is no error; failing for half a ttl is (`stop_requested`).
        try:
            with hold(self._lock_path, fs=self._fs, wait_s=1.0):
                lease = self._own_lease()
                beaten = lease.beaten(self._journal.watermark, locked=self._owner_lock.held)
                write_lease(self._lease_path, beaten, fs=self._fs)
            self._last_beat = began
        except (StoreIOError, StateLockedError) as error:
            self._trouble = error.message

    def _free_lease(self) -> None:
        with self._unchecked() as lease:
            write_lease(self._lease_path, lease.freed(self._journal.watermark), fs=self._fs)

    def _cache(self, batches: Sequence[Batch]) -> None:
        state, offset = self._journal.state, self._journal.offset
        telling = any(event.type in _SNAPSHOT_AFTER for batch in batches for event in batch.events)
        if telling or due(state.seq, self._snapshot_seq):
            digest = self._journal.log_sha256
            write_caches(self.folder, state, offset, version=self._version, log_sha256=digest, fs=self._fs)
            self._snapshot_seq = state.seq
