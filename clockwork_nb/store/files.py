"""The job store on local files: one folder a job, its log the truth, everything else derived from it."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import canonical_json
from clockwork_nb.clock import Clock, SystemClock, rfc3339
from clockwork_nb.errors import (
    InvalidInputError,
    LeaseConflictError,
    StoreIOError,
    UnsafeOperationError,
    UnsupportedFileSystemError,
)
from clockwork_nb.fs import (
    REAL,
    FileSystem,
    is_network_fs,
    make_dirs,
    raise_storage_error,
    sync_dir,
    write_atomic,
)
from clockwork_nb.ids import check_job_id, new_job_id
from clockwork_nb.jobs.events import CONTROL_TYPES, Event, genesis_document
from clockwork_nb.ports import Draft
from clockwork_nb.store.handle import JobHandle
from clockwork_nb.store.journal import Batch, Journal, open_journal
from clockwork_nb.store.lease import TTL_MS, Holder, LeaseFile, lives, read_lease, this_process, write_lease
from clockwork_nb.store.lock import FileLock, hold
from clockwork_nb.store.log import LogScan, scan
from clockwork_nb.store.reading import JobReader, JobSummary, JobView, check_snapshot, highest_mark
from clockwork_nb.store.snapshot import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JobStore", "JobSummary", "JobView"]


class JobStore(JobReader):
    """All jobs below ``<home>/jobs``. Making one touches no file."""

    def __init__(
        self,
        home: Path,
        *,
        tool_version: str,
        fs: FileSystem = REAL,
        clock: Clock | None = None,
        ttl_ms: int = TTL_MS,
        heartbeat: bool = True,
        allow_network_fs: bool = False,
    ) -> None:
        super().__init__(home, fs=fs)
        self._version = tool_version
        self._clock = clock or SystemClock()
        self._ttl_ms = ttl_ms
        self._heartbeat = heartbeat
        self._allow_network = allow_network_fs

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
    ) -> JobHandle:
        """Make a new job, durably, and return the handle of its owner; its status is ``queued``.

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
        holder = this_process()
        first = [
            Draft(
                "job.created",
                {"name": name, "adapter": adapter, "objective": objective, "spec": canonical_json(dict(spec)).decode()},
            ),
            self._lease_taken(holder, takeover=False),
        ]
        # Everything is made under a name that is no job id, then appears as a job in one step.
        draft_folder = target.with_name(f".new-{identity}-{os.urandom(4).hex()}")
        lock, journal, lease = self._build(draft_folder, genesis, holder, first, stamp)
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
        journal.folder, lock.path = target, target / "owner.lock"
        return self._handle(journal, lease, lock)

    def _build(
        self, folder: Path, genesis: Mapping[str, Any], holder: Holder, first: list[Draft], stamp: str
    ) -> tuple[FileLock, Journal, LeaseFile]:
        make_dirs(folder / "blobs" / "sha256", fs=self._fs)
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
                    genesis["job_id"], 1, "held", holder, 0, self._ttl_ms, journal.watermark, acquired_at=stamp
                )
                write_lease(folder / "lease.json", lease, fs=self._fs)  # syncs the folder, and so every name in it
            except BaseException:
                journal.close()
                raise
        except BaseException:
            lock.release()
            raise
        return lock, journal, lease

    def open(self, job_id: str, *, take_over: bool = False) -> JobHandle:
        """Become the owner of a job: check its whole log, heal a torn tail, begin a new epoch.

        A dead owner on this machine is replaced at once. A living one is replaced only with *take_over*: from then on
        its appends are refused, and it stops.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
            LeaseConflictError: E_LEASE_CONFLICT: somebody else owns it; the message names the process and host.
            StoreCorruptError: E_STORE_CORRUPT: the log is damaged; nothing was changed.
            UnsupportedFileSystemError, UnsafeOperationError, StoreFullError, StoreIOError.
        """
        self._ready()
        folder = self.existing(job_id)
        genesis = self.genesis(job_id)
        lock = FileLock(folder / "owner.lock", fs=self._fs)
        owner_gone = lock.try_acquire()
        try:
            if not owner_gone and not take_over:
                raise _conflict(job_id, read_lease(folder / "lease.json", fs=self._fs).holder)
            with hold(folder / "append.lock", fs=self._fs):
                before = read_lease(folder / "lease.json", fs=self._fs)
                holder = this_process()
                if owner_gone and not take_over and _may_live(before, holder):
                    raise _conflict(job_id, before.holder)
                journal, lease = self._take(folder, genesis, before, holder, takeover=not owner_gone)
                self._sweep(folder)
        except BaseException:
            lock.release()
            raise
        return self._handle(journal, lease, lock)

    def _take(
        self, folder: Path, genesis: Mapping[str, Any], before: LeaseFile, holder: Holder, *, takeover: bool
    ) -> tuple[Journal, LeaseFile]:
        snapshot = read_snapshot(folder / "snapshot.json", genesis["job_id"], fs=self._fs)
        journal, scanned = open_journal(
            folder, genesis, watermark=highest_mark(before, snapshot), fs=self._fs, clock=self._clock
        )
        try:
            check_snapshot(folder, scanned, snapshot)
            if scanned.tail:
                journal.heal(scanned)
            epoch = max(before.epoch, journal.state.epoch) + 1
            stamp = rfc3339(self._clock.now())
            lease = LeaseFile(
                genesis["job_id"], epoch, "held", holder, before.beat + 1, self._ttl_ms, journal.watermark, stamp
            )
            write_lease(folder / "lease.json", lease, fs=self._fs)
            batch = Batch([self._lease_taken(holder, takeover=takeover)], epoch)
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

    def _lease_taken(self, holder: Holder, *, takeover: bool) -> Draft:
        return Draft(
            "lease.taken",
            {
                "runner_id": holder.runner_id,
                "host_id": holder.host_id,
                "ttl_ms": self._ttl_ms,
                "tool_version": f"clockwork_nb {self._version}",
                "takeover": takeover,
            },
        )

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
            return open_journal(folder, genesis, watermark=lease.watermark, fs=self._fs, clock=self._clock)
        try:
            file = self._fs.open_append(folder / "events.jsonl")
        except OSError as error:
            raise_storage_error(error, folder / "events.jsonl", "opening")
        return Journal(folder, genesis, file, quick, fs=self._fs, clock=self._clock, whole=False), quick

    # --- inside ---

    def _ready(self) -> None:
        if self._fs is REAL and not self._allow_network:
            kind = is_network_fs(self.home)
            if kind:
                raise UnsupportedFileSystemError(
                    f"the job store {self.home} would lie on a network file system ({kind}), whose locks cannot be trusted",
                    hint="Set CLOCKWORK_HOME to a folder on a local disk.",
                    details={"path": str(self.home), "kind": kind},
                )
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

    def _sweep(self, folder: Path) -> None:
        # Half-written files of a crash. Only the owner comes here, and under the append lock.
        for name in self._fs.list_dir(folder):
            if name.startswith(".") and name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    self._fs.unlink(folder / name)


def _may_live(lease: LeaseFile, here: Holder) -> bool:
    # Having the owner's lock proves the owner dead, with two exceptions: a process that took the job over from a living
    # one does not have the lock before that one ends, and a lock says nothing about other machines.
    if lease.state != "held" or lease.holder.pid == here.pid:
        return False
    if lease.holder.host_id != here.host_id and lease.holder.boot_id != here.boot_id:
        return True
    return lives(lease.holder, here)


def _conflict(job_id: str, holder: Holder) -> LeaseConflictError:
    return LeaseConflictError(
        f"job {job_id} is owned by {holder}",
        hint="Wait for it, ask it to stop (clockwork job cancel), or replace it with --take-over.",
        details={"job_id": job_id, "pid": holder.pid, "host": holder.host, "runner_id": holder.runner_id},
    )


def _taken(job_id: str) -> InvalidInputError:
    return InvalidInputError(
        f"the job id {job_id!r} is taken", hint="Choose another, or leave it out to get a new one."
    )
