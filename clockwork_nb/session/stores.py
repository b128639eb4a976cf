"""The store as a whole: check it, repair a job, remove what is old. Any process of the store's user may."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from clockwork_nb import __version__
from clockwork_nb.clock import Clock, SystemClock
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.fs import REAL, raise_storage_error
from clockwork_nb.ids import check_job_id
from clockwork_nb.patterns import pattern
from clockwork_nb.session.job_store import open_store
from clockwork_nb.settings import Settings, load_settings
from clockwork_nb.store.check import Finding, StoreReport, check_home, check_store, job_folders
from clockwork_nb.store.prune import Entry, age_text, choose_jobs, remove_jobs, sweep_store
from clockwork_nb.store.repair import Repair, RepairPlan, plan_repair, repair_job
from clockwork_nb.store.sweep import remove_tree

__all__ = ["CheckedStore", "Criteria", "Pruned", "Stores", "parse_age"]

_AGE: Final = pattern(r"([0-9]{1,6})(m|h|d|w)")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PACK: Final = pattern(r"jobpack_.*\.zip")
_REPORT: Final = pattern(r".*\.(html|json|md|xml)")


def parse_age(text: str) -> timedelta:
    """Return the length of time that *text* says: a whole number and ``m``, ``h``, ``d`` or ``w``.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.

    >>> parse_age("36h").days
    1
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise InvalidInputError(f"{text[:40]!r} is not a length of time", hint="For example 30d, 12h, 90m or 2w.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


class CheckedStore(Struct, frozen=True):
    """What a check found: a report for each job, and what is wrong around them."""

    home: Path
    jobs: list[StoreReport] = field(default_factory=list)
    around: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no evidence is damaged."""
        return all(report.ok for report in self.jobs) and all(finding.severity != "error" for finding in self.around)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "home": str(self.home),
            "ok": self.ok,
            "jobs": [report.to_dict() for report in self.jobs],
            "store": [finding.to_dict() for finding in self.around],
        }


class Criteria(Struct, frozen=True):
    """What counts as too old, or too much. Packs and reports are aged by their file times, jobs by their last event."""

    job_max_age: timedelta | None = None
    jobpack_max_age: timedelta | None = None
    report_max_age: timedelta | None = None
    max_jobpacks: int | None = None
    include_unexported: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing would ever match."""
        limits = (self.job_max_age, self.jobpack_max_age, self.report_max_age, self.max_jobpacks)
        return all(limit is None for limit in limits)


class Pruned(Struct, frozen=True):
    """What prune removed (or would), and what it kept although it is old enough."""

    dry_run: bool
    removed: list[Entry]
    kept: list[Entry]

    @property
    def freed(self) -> int:
        """Bytes of what was removed."""
        return sum(entry.size for entry in self.removed)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "dry_run": self.dry_run,
            "freed_bytes": self.freed,
            "removed": [entry.to_dict() for entry in self.removed],
            "kept": [entry.to_dict() for entry in self.kept],
        }


class Stores:
    """The job store, and the packs and reports below one output root.

    Args:
        settings: default: from the environment.
        out: output root; default: the settings' one, relative to the current folder.
        clock: default: the machine's.
    """

    def __init__(
        self, settings: Settings | None = None, *, out: Path | None = None, clock: Clock | None = None
    ) -> None:
        self.settings = settings or load_settings()
        self.store = open_store(self.settings)
        self.out = (out or self.settings.out).expanduser().absolute()
        self.clock = clock or SystemClock()

    def check(self, jobs: Sequence[str] = ()) -> CheckedStore:
        """Return what is wrong with *jobs*, or with every job and the store around them. Changes nothing.

        Raises:
            InvalidInputError: there is no such job.
        """
        names = [check_job_id(job) for job in jobs] or job_folders(self.store.home)
        reports = [check_store(self.store, job) for job in names]
        return CheckedStore(self.store.home, reports, [] if jobs else check_home(self.store))

    def plan_repair(self, job_id: str, *, truncate_at: int | None = None, to_last_valid: bool = False) -> RepairPlan:
        """Return what repairing the job would do; see `clockwork_nb.store.repair.plan_repair`."""
        return plan_repair(self.store, check_job_id(job_id), truncate_at=truncate_at, to_last_valid=to_last_valid)

    def repair(self, plan: RepairPlan, *, reason: str) -> Repair:
        """Carry out *plan*; see `clockwork_nb.store.repair.repair_job`. The reason names who decided."""
        return repair_job(
            self.store, plan, reason=f"{reason} (by {self.settings.user})", tool_version=__version__, clock=self.clock
        )

    def prune(self, criteria: Criteria, *, dry_run: bool = False) -> Pruned:
        """Remove what *criteria* match and what crashes left behind; with *dry_run* only say what would go.

        Raises:
            InvalidInputError: there is no criterion. StoreFullError, StoreIOError: what went before is gone.
        """
        if criteria.empty:
            raise InvalidInputError(
                "prune needs to know what is too old",
                hint="Give --job-max-age, --jobpack-max-age, --report-max-age or --max-jobpacks.",
            )
        now = self.clock.now()
        entries = sweep_store(self.store, dry_run=dry_run, clock=self.clock)
        if criteria.job_max_age is not None:
            jobs = choose_jobs(
                self.store, max_age=criteria.job_max_age, now=now, include_unexported=criteria.include_unexported
            )
            if not dry_run and jobs:
                why = f"last event more than {age_text(criteria.job_max_age)} ago (by {self.settings.user})"
                jobs = remove_jobs(
                    self.store, jobs, why=why, include_unexported=criteria.include_unexported, clock=self.clock
                )
                for entry in jobs:
                    if not entry.kept:  # the scripts and logs of a job made of commands; the evidence went with the job
                        _remove_work(self.settings.work_folder(entry.job_id))
            entries += jobs
        entries += self._packs(criteria, now, dry_run=dry_run)
        if criteria.report_max_age is not None:
            reports = _files(self.out / "reports", "report", _REPORT)
            entries += _remove(_aged(reports, criteria.report_max_age, now), dry_run=dry_run)
        return Pruned(dry_run, [e for e in entries if not e.kept], [e for e in entries if e.kept])

    def _packs(self, criteria: Criteria, now: datetime, *, dry_run: bool) -> list[Entry]:
        packs = _files(self.out / "jobpacks", "jobpack", _PACK)
        chosen: list[Entry] = []
        if criteria.jobpack_max_age is not None:
            chosen = _aged(packs, criteria.jobpack_max_age, now)
        if criteria.max_jobpacks is not None:
            old = {entry.path for entry in chosen}
            over = sorted(packs, key=lambda item: (-item[1], item[0].path.name))[criteria.max_jobpacks :]
            chosen += [
                _because(entry, f"more than {criteria.max_jobpacks} packs")
                for entry, _ in over
                if entry.path not in old
            ]
        return _remove(chosen, dry_run=dry_run)


def _remove_work(folder: Path) -> None:
    if REAL.stat(folder) is None:
        return
    try:
        remove_tree(folder)
    except OSError as error:
        raise_storage_error(error, folder, "removing")


_Aged = tuple[Entry, float]


def _files(folder: Path, kind: str, pattern: re.Pattern[str]) -> list[_Aged]:
    """Return the plain files of *folder* whose name fits, each with its time; links and other things are left out."""
    if REAL.stat(folder) is None:
        return []
    found = []
    for name in REAL.list_dir(folder):
        known = REAL.stat(folder / name)
        if known is not None and known.is_file and pattern.fullmatch(name):
            found.append((Entry(kind, folder / name, known.size, ""), known.modified))
    return found


def _aged(files: Sequence[_Aged], most: timedelta, now: datetime) -> list[Entry]:
    chosen = []
    for entry, modified in files:
        age = now - datetime.fromtimestamp(modified, UTC)
        if age >= most:
            chosen.append(_because(entry, f"written {age_text(age)} ago"))
    return chosen


def _because(entry: Entry, reason: str) -> Entry:
    return replace(entry, reason=reason)


def _remove(entries: Sequence[Entry], *, dry_run: bool) -> list[Entry]:
    for entry in entries if not dry_run else ():
        try:
            REAL.unlink(entry.path)
        except FileNotFoundError:
            continue  # somebody else removed it meanwhile
        except OSError as error:
            raise_storage_error(error, entry.path, "removing")
    return list(entries)
