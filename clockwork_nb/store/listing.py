"""Which jobs there are, a line each: from their short views, so that no log is taken apart where that will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.errors import ClockworkError, InvalidInputError
from clockwork_nb.fs import REAL, FileSystem
from clockwork_nb.ids import JOB_ID, check_job_id
from clockwork_nb.store.lease import lives, read_lease, this_process
from clockwork_nb.store.snapshot import read_runtime, runtime_document

__all__ = ["JobList", "JobSummary"]


class JobSummary(Struct, frozen=True):
    """One line of ``job list``. ``damaged`` is why the job could not be read, else empty; then only ``job_id`` is known.

    ``running`` says whether a live process holds the lease now.
    """

    job_id: str
    name: str = ""
    adapter: str = ""
    status: str = ""
    reason: str = ""
    created_at: str = ""
    updated_at: str = ""
    seq: int = 0
    sections: int = 0
    steps_done: int = 0
    steps_failed: int = 0
    steps_skipped: int = 0
    open_decisions: tuple[int, ...] = ()
    finished: bool = False
    tainted: bool = False
    running: bool = False
    damaged: str = ""


_SUMMARY_NAMES: Final = (
    "job_id",
    "name",
    "adapter",
    "status",
    "reason",
    "created_at",
    "updated_at",
    "seq",
    "sections",
    "steps_done",
    "steps_failed",
    "steps_skipped",
    "finished",
    "tainted",
)


class JobList:
    """The jobs below ``<home>/jobs``. Making one touches no file."""

    def __init__(self, home: Path, *, fs: FileSystem = REAL) -> None:
        self.home = home
        self._fs = fs

    def folder(self, job_id: str) -> Path:
        """Return the folder of the job, existing or not.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: not a job id.
        """
        return self.home / "jobs" / check_job_id(job_id)

    def exists(self, job_id: str) -> bool:
        """Return whether there is a job of that id; a link to a folder elsewhere is none."""
        if JOB_ID.match(job_id) is None:
            return False
        folder = self._fs.stat(self.folder(job_id))
        return folder is not None and folder.is_dir and self._fs.stat(self.folder(job_id) / "job.json") is not None

    def ids(self) -> list[str]:
        """Return the ids of all jobs, sorted."""
        jobs = self.home / "jobs"
        if self._fs.stat(jobs) is None:
            return []
        return [name for name in self._fs.list_dir(jobs) if self.exists(name)]

    def list(self) -> list[JobSummary]:
        """Return a line for every job, newest first. Cheap: reads the short view, and the log only where that is behind."""
        return sorted(
            (self.summary(job_id) for job_id in self.ids()), key=lambda s: (s.created_at, s.job_id), reverse=True
        )

    def summary(self, job_id: str) -> JobSummary:
        """Return the job's line of the list; a damaged job gets one too.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is no such job.
        """
        folder = self.existing(job_id)
        try:
            document = read_runtime(folder / "runtime_config.json", job_id, fs=self._fs)
            size = self._fs.stat(folder / "events.jsonl")
            if document is None or size is None or size.size != document["offset"]:
                document = self._from_log(job_id)
            lease = read_lease(folder / "lease.json", fs=self._fs)
            return JobSummary(
                **{name: document[name] for name in _SUMMARY_NAMES},
                open_decisions=tuple(document["open_decisions"]),
                running=lease.state == "held" and lives(lease.holder, this_process()),
            )
        except (ClockworkError, KeyError, TypeError) as error:
            return JobSummary(job_id=job_id, damaged=str(error) or type(error).__name__)

    def existing(self, job_id: str) -> Path:
        """Return the folder of a job that exists.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: there is none; the hint names the nearest ids.
        """
        if self.exists(job_id):
            return self.folder(job_id)
        import difflib

        known = self.ids()
        near = difflib.get_close_matches(job_id, known, n=3, cutoff=0.4) or known[-3:]
        raise InvalidInputError(
            f"there is no job {job_id[:80]!r} in {self.home}",
            hint=f"Nearest: {', '.join(near)}." if near else "The store is empty.",
            details={"job_id": job_id[:80], "near": near},
        )

    def _from_log(self, job_id: str) -> dict[str, Any]:
        from clockwork_nb.store.reading import JobReader

        return runtime_document(JobReader(self.home, fs=self._fs).state(job_id), 0)
