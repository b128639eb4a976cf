"""The job store on local files: one folder a job, its log the truth, everything else derived from it."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clockwork_nb.canonical import canonical_json
from clockwork_nb.clock import Clock, SystemClock, rfc3339
from clockwork_nb.errors import (
    InvalidInputError,
    InvalidTransitionError,
    StateLockedError,
    StoreIOError,
    UnsafeOperationError,
)
from clockwork_nb.fs import REAL, FileSystem, make_dirs, raise_storage_error, sync_dir, write_atomic
from clockwork_nb.ids import check_job_id, new_job_id
from clockwork_nb.jobs.events import CONTROL_TYPES, Event, genesis_document
from clockwork_nb.jobs.fields import clip
from clockwork_nb.mounts import require_locks
from clockwork_nb.notices import log
from clockwork_nb.ports import Draft
from clockwork_nb.store.blobs import BlobStore
from clockwork_nb.store.handle import JobHandle
from clockwork_nb.store.journal import Batch, Journal, open_journal
from clockwork_nb.store.lease import TTL_MS, Holder, LeaseFile, read_lease, this_process, write_lease
from clockwork_nb.store.listing import JobSummary
from clockwork_nb.store.lock import FileLock, hold
from clockwork_nb.store.log import LogScan, scan
from clockwork_nb.store.ownership import BeatWatch, TakeOver, Verdict, Waiting, conflict, judge, limit_s, wake
from clockwork_nb.store.reading import JobReader, JobView, check_snapshot, highest_mark
from clockwork_nb.store.snapshot import read_snapshot
from clockwork_nb.store.sweep import sweep_drafts, sweep_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["JobStore", "JobSummary", "JobView", "TakeOver", "Waiting", "may_live"]

_LOOK_S: Final = 0.5
_STUCK_S: Final = 1.0
_told: set[str] = set()


class JobStore(JobReader):
    """All jobs below ``<home>/jobs``. Making one touches no file.

    Args:
        ttl_ms: of new leases. The heartbeat comes every sixth of it; an owner stops when it had none for half of it; an
            owner on another machine is given up after two of it.
        single_host: the user vouches that no other machine uses *home*, whatever it lies on.
        holder: says who the calling process is; the process itself by default.
    """

    def __init__(
        self,
        home: Path,
        *,
        tool_version: str,
        fs: FileSystem = REAL,
        clock: Clock | None = None,
        ttl_ms: int = TTL_MS,
        heartbeat: bool = True,
        single_host: bool = False,
        holder: Callable[[], Holder] = this_process,
    ) -> None:
        super().__init__(home, fs=fs)
        self._version = tool_version
        self._clock = clock or SystemClock()
        self._ttl_ms = ttl_ms
        self._heartbeat = heartbeat
        self._single_host = single_host
        self._holder = holder

    # --- making and owning ---

    def create(
        self,
        *,
        name: str,
        adapter: str,
        lineage: str,
        spec: Mapping[str, Any],
        objective: str = "",
        job_id: str | None = None,
        blobs: Sequence[bytes] = (),
        drafts: Sequence[Draft] = (),
    ) -> JobHandle:
        """Make a new job, durably, and return the handle of its owner; its status is ``queued``.

        Args:
            blobs: contents that the job cannot do without; they are there as soon as the job is.
            drafts: events that follow ``job.created`` and ``lease.taken``, in one step with the job itself.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: the id is taken or malformed, or a field does not fit.
            UnsupportedFileSystemError: E_UNSUPPORTED_FS: the store would lie on a network file system.
            UnsafeOperationError: E_UNSAFE_OPERATION: the store's folder belongs to, or can be written by, others.
            StoreFullError, StoreIOError.
        """
        self._ready()
        identity = check_job_id(job_id) if job_id is not None else new_job_id()
        target = self.folder(identity)
        if self._fs.stat(target) is not None:
            raise _taken(identity)
        stamp = rfc3339(self._clock.now())
        genesis = genesis_document(
            job_id=identity,
            name=name,
            adapter=adapter,
            lineage=lineage,
            created_at=stamp,
            producer_version=f"clockwork_nb {self._version}",
        )
        holder = self._holder()
        first = [
            Draft(
                "job.created",
                {"name": name, "adapter": adapter, "objective": objective, "spec": canonical_json(dict(spec)).decode()},
            ),
            self._lease_taken(holder),
            *drafts,
        ]
        # Everything is made under a name that is no job id, then appears as a job in one step.
        draft_folder = target.with_name(f".new-{identity}-{os.urandom(4).hex()}")
        lock, journal, lease = self._build(draft_folder, genesis, holder, first, stamp, blobs)
        try:
            self._fs.rename(draft_folder, target)
            sync_dir(target.parent, fs=self._fs)
        except (OSError, StoreIOError) as error:
            journal.close()
            lock.release()
            if isinstance(error, StoreIOError):
                raise
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise _taken(identity) from None
            raise_storage_error(error, target, "making the job")
        journal.move(target)
        lock.path = target / "owner.lock"
        return self._handle(journal, lease, lock)

    def _build(
        self,
        folder: Path,
        genesis: Mapping[str, Any],
        holder: Holder,
        first: list[Draft],
        stamp: str,
        blobs: Sequence[bytes],
    ) -> tuple[FileLock, Journal, LeaseFile]:
        make_dirs(folder / "blobs" / "sha256", fs=self._fs)
        kept = BlobStore(folder / "blobs", fs=self._fs)
        kept.put_all(blobs)
        write_atomic(folder / "job.json", canonical_json(dict(genesis)), fs=self._fs)
        lock = FileLock(folder / "owner.lock", fs=self._fs)
        lock.try_acquire()
        try:
            try:
                self._fs.close(self._fs.open_lock(folder / "append.lock"))
                self._fs.close(self._fs.create(folder / "events.jsonl", 0o600))
                file = self._fs.open_append(folder / "events.jsonl")
            except OSError as error:
                raise_storage_error(error, folder, "making the files of")
            scanned = scan(b"", genesis)
            journal = Journal(folder, genesis, file, scanned, fs=self._fs, clock=self._clock)
            batch = Batch(first, 1)
            try:
                journal.commit([batch])
                if batch.error is not None:
                    raise batch.error
                lease = LeaseFile(
                    genesis["job_id"], 1, "held", holder, 0, self._ttl_ms, journal.watermark, stamp, locked=lock.held
                )
                write_lease(folder / "lease.json", lease, fs=self._fs)  # syncs the folder, and so every name in it
            except BaseException:
                journal.close()
                raise
        except BaseException:
            lock.release()
            raise
        return lock, journal, lease

    def open(
        self,
        job_id: str,
        *,
        take_over: TakeOver | None = None,
        wait_s: float = 0.0,
        on_wait: Callable[[Waiting], None] | None = None,
        unfinished: bool = False,
    ) -> JobHandle:
        """Become the owner of a job: check its whole log, heal a torn tail, begin a new epoch.

        An owner of this machine that died is replaced at once. One of another machine (or whose machine cannot be told)
        is replaced when its heartbeat stood still for two ttls before our eyes. A living one is replaced only with
        *take_over*: from then on its appends are refused; should it be stopped (SIGSTOP), it is woken to hear so, and
        ends what it runs.

        Args:
            take_over: who replaces a living owner, and why; written to the log.
            wait_s: how long to wait for the owner's end, or its silence.
            on_wait: told what is seen at each look, about twice a second.
            unfinished: leave a job alone that has ended, maybe while we waited.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
            InvalidTransitionError: E_INVALID_STATE_TRANSITION: it has ended, and *unfinished* is asked for.
            LeaseConflictError: E_LEASE_CONFLICT: somebody else owns it; the message names the process and host.
            StateLockedError: E_STATE_LOCKED: a process hangs in the middle of a write.
            StoreCorruptError: E_STORE_CORRUPT: the log is damaged; nothing was changed.
            UnsupportedFileSystemError, UnsafeOperationError, StoreFullError, StoreIOError.
        """
        self._ready()
        folder = self.existing(job_id)
        genesis = self.genesis(job_id)
        here = self._holder()
        watch = BeatWatch(self._clock)
        until = self._clock.boottime() + wait_s
        while True:
            lock = FileLock(folder / "owner.lock", fs=self._fs)
            lock.try_acquire()
            try:
                lease = read_lease(folder / "lease.json", fs=self._fs)
                verdict = self._verdict(lease, here, watch, lock)
                if verdict == "gone" or take_over is not None:
                    with self._append_lock(folder, lease, here, take_over):
                        lease = read_lease(folder / "lease.json", fs=self._fs)
                        verdict = self._verdict(lease, here, watch, lock)
                        if verdict == "gone" or take_over is not None:
                            order = None if verdict == "gone" else take_over
                            return self._become_owner(folder, genesis, lease, here, order, lock, unfinished)
            except BaseException:
                lock.release()
                raise
            lock.release()  # while we wait, a process that took the job over may get it
            left = until - self._clock.boottime()
            if left <= 0:
                raise conflict(job_id, lease, here, verdict)
            if on_wait is not None:
                limit = limit_s(lease) if verdict == "unsure" else 0.0
                on_wait(Waiting(lease.holder, lease.beat, watch.see(lease), limit))
            time.sleep(min(_LOOK_S, lease.ttl_ms / 12_000, left))

    def _verdict(self, lease: LeaseFile, here: Holder, watch: BeatWatch, lock: FileLock) -> Verdict:
        verdict = judge(lease, here, lock_is_ours=lock.held)
        return "gone" if verdict == "unsure" and watch.is_silent(lease) else verdict

    @contextlib.contextmanager
    def _append_lock(self, folder: Path, lease: LeaseFile, here: Holder, take_over: TakeOver | None) -> Iterator[None]:
        lock = FileLock(folder / "append.lock", fs=self._fs)
        try:
            lock.acquire(wait_s=_STUCK_S)
        except StateLockedError:
            if take_over is not None:
                wake(lease.holder, here)  # it was stopped in the middle of a write
            lock.acquire(wait_s=10 - _STUCK_S)
        try:
            yield
        finally:
            lock.release()

    def _become_owner(
        self,
        folder: Path,
        genesis: Mapping[str, Any],
        before: LeaseFile,
        here: Holder,
        take_over: TakeOver | None,
        lock: FileLock,
        unfinished: bool,
    ) -> JobHandle:
        journal, lease = self._take(folder, genesis, before, here, take_over, locked=lock.held, unfinished=unfinished)
        try:
            self._sweep(folder)
        except BaseException:
            journal.close()
            raise
        if take_over is not None:
            wake(before.holder, here)
        return self._handle(journal, lease, lock)

    def _take(
        self,
        folder: Path,
        genesis: Mapping[str, Any],
        before: LeaseFile,
        holder: Holder,
        take_over: TakeOver | None,
        *,
        locked: bool,
        unfinished: bool,
    ) -> tuple[Journal, LeaseFile]:
        snapshot = read_snapshot(folder / "snapshot.json", genesis["job_id"], fs=self._fs)
        journal, scanned = open_journal(
            folder, genesis, watermark=highest_mark(before, snapshot, genesis["job_id"]), fs=self._fs, clock=self._clock
        )
        try:
            check_snapshot(folder, scanned, snapshot)
            if unfinished and journal.state.final:
                raise InvalidTransitionError(
                    f"job {genesis['job_id']} is {journal.state.status}; there is nothing to resume",
                    hint=f"clockwork jobpack export {genesis['job_id']}",
                )
            if scanned.tail:
                journal.heal(scanned)
            epoch = max(before.epoch, journal.state.epoch) + 1
            stamp = rfc3339(self._clock.now())
            lease = LeaseFile(
                genesis["job_id"],
                epoch,
                "held",
                holder,
                before.beat + 1,
                self._ttl_ms,
                journal.watermark,
                stamp,
                locked,
            )
            write_lease(folder / "lease.json", lease, fs=self._fs)
            batch = Batch([self._lease_taken(holder, take_over)], epoch)
            journal.commit([batch])
            if batch.error is not None:
                raise batch.error
        except BaseException:
            journal.close()
            raise
        return journal, lease

    def _handle(self, journal: Journal, lease: LeaseFile, lock: FileLock) -> JobHandle:
        return JobHandle(
            journal,
            lease,
            lock,
            fs=self._fs,
            clock=self._clock,
            tool_version=self._version,
            heartbeat=self._heartbeat,
        )

    def _lease_taken(self, holder: Holder, take_over: TakeOver | None = None) -> Draft:
        payload: dict[str, Any] = {
            "runner_id": holder.runner_id,
            "host_id": holder.host_id,
            "ttl_ms": self._ttl_ms,
            "tool_version": f"clockwork_nb {self._version}",
            "takeover": take_over is not None,
        }
        if take_over is not None:
            payload |= {"by": clip(take_over.by, 512), "reason": clip(take_over.reason, 4096)}
        return Draft("lease.taken", payload)

    # --- control events of anybody ---

    def append_control(self, job_id: str, draft: Draft) -> Event:
        """Append a control event, whoever owns the job, and return it as written.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: no such job, not a control event, or a malformed payload.
            InvalidTransitionError: E_INVALID_STATE_TRANSITION: the job's state does not allow it (any more).
            StoreCorruptError, StoreFullError, StoreIOError.
        """
        if draft.type not in CONTROL_TYPES:
            raise InvalidInputError(f"{draft.type} is not a control event; only the owner of the job may write it")
        self._ready()
        folder = self.existing(job_id)
        with hold(folder / "append.lock", fs=self._fs):
            journal, scanned = self._control_journal(folder, self.genesis(job_id))
            try:
                if scanned.tail:
                    journal.heal(scanned)
                batch = Batch([draft], None)
                journal.commit([batch])
            finally:
                journal.close()
        if batch.error is not None:
            raise batch.error
        return batch.events[0]

    def _control_journal(self, folder: Path, genesis: Mapping[str, Any]) -> tuple[Journal, LogScan]:
        quick = self.from_snapshot(folder, genesis)
        if quick is None:
            lease = read_lease(folder / "lease.json", fs=self._fs)
            snapshot = read_snapshot(folder / "snapshot.json", genesis["job_id"], fs=self._fs)
            mark = highest_mark(lease, snapshot, genesis["job_id"])
            journal, scanned = open_journal(folder, genesis, watermark=mark, fs=self._fs, clock=self._clock)
            try:
                check_snapshot(folder, scanned, snapshot)
            except BaseException:
                journal.close()
                raise
            return journal, scanned
        try:
            file = self._fs.open_append(folder / "events.jsonl")
        except OSError as error:
            raise_storage_error(error, folder / "events.jsonl", "opening")
        return Journal(folder, genesis, file, quick, fs=self._fs, clock=self._clock, whole=False), quick

    # --- inside ---

    def _ready(self) -> None:
        make_dirs(self.home / "jobs", fs=self._fs)
        for folder in (self.home, self.home / "jobs"):
            found = self._fs.stat(folder)
            if found is None or not found.is_dir:
                continue  # a link to a folder: the person who made it vouches for where it leads
            if found.uid != os.geteuid() or found.mode & 0o022:
                whose = "belongs to another user" if found.uid != os.geteuid() else "can be written by other users"
                raise UnsafeOperationError(
                    f"the job store {folder} {whose}",
                    hint=f"chmod go-w {folder}, or set CLOCKWORK_HOME to a folder of your own.",
                    details={"path": str(folder)},
                )
        if self._fs is REAL:
            notice = require_locks(self.home, single_host=self._single_host)
            if notice and notice not in _told:
                _told.add(notice)
                log(__name__).warning("%s", notice)

    def _sweep(self, folder: Path) -> None:
        now = self._clock.now().timestamp()
        sweep_job(folder, fs=self._fs, now=now)
        sweep_drafts(self.home, fs=self._fs, now=now)


def may_live(lease: LeaseFile, here: Holder) -> bool:
    """Return whether the holder of *lease* may be alive although the process *here* got the owner's lock.

    Having the lock proves the owner dead, with two exceptions: a process that took the job over from a living one does
    not have the lock before that one ends, and a lock says nothing about other machines.
    """
    return judge(lease, here, lock_is_ours=True) != "gone"


def _taken(job_id: str) -> InvalidInputError:
    return InvalidInputError(
        f"the job id {job_id!r} is taken", hint="Choose another, or leave it out to get a new one."
    )
