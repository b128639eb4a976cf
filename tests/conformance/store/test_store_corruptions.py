"""Every damaged store ends as its case says: refused with that code and reason, unchanged, and named by the check."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from clockwork_nb.errors import ClockworkError
from clockwork_nb.ports import Draft
from clockwork_nb.store.check import check_home, check_store
from clockwork_nb.store.files import JobStore
from clockwork_nb.testing import ManualClock
from tests.conformance.store.corpus import CORRUPT, IO, Case, corpus

with tempfile.TemporaryDirectory() as _place:
    CASES = corpus(Path(_place))
PAUSE = Draft("control.requested", {"action": "pause", "by": "ann", "reason": ""})


def contents(home: Path) -> dict[str, object]:
    """Return everything below *home*: content, kind and permissions by name; lock files by their kind only."""
    found: dict[str, object] = {}
    for root, folders, names in os.walk(home):
        for name in [*folders, *names]:
            path = Path(root) / name
            known = path.lstat()
            data: object = (
                path.read_bytes() if stat.S_ISREG(known.st_mode) else os.readlink(path) if path.is_symlink() else ""
            )
            if name not in {".lock-probe"}:
                found[str(path.relative_to(home))] = (known.st_mode, data)
    return found


def outcome(run: object) -> tuple[str, str]:
    """Return code and reason of the error that calling *run* ends with, empty when it ends well."""
    try:
        run()  # type: ignore[operator]
    except ClockworkError as error:
        return error.code, str(error.details.get("reason", ""))
    return "", ""


def test_the_corpus_is_as_large_as_promised_and_every_name_is_unique() -> None:
    assert len(CASES) >= 84
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_damaged_store_ends_as_expected(case: Case, tmp_path: Path) -> None:
    home = tmp_path / "home"
    case.folder.write(home)
    store = JobStore(home, tool_version="0.1.0", clock=ManualClock(), heartbeat=False)
    before = contents(home)

    report = check_store(store, case.folder.job_id)
    named = {(finding.severity, finding.reason) for finding in report.findings}
    assert case.check <= named, named
    assert report.ok == (not any(severity == "error" for severity, _ in named))
    if case.code == CORRUPT:
        assert not report.ok
    assert contents(home) == before, "the check changed something"

    if case.name == "header-missing-is-no-job":  # there is nothing that could be opened
        assert outcome(lambda: store.read("job_a"))[0] == "E_INVALID_INPUT_SCHEMA"
        return
    assert outcome(lambda: store.read("job_a")) == (case.code, case.reason)
    assert outcome(lambda: store.state("job_a")) == (case.code, case.reason)
    summary = store.summary("job_a")  # the list shows a damaged job too
    assert summary.job_id == "job_a"
    assert contents(home) == before, "reading changed something"

    if case.owner_code:
        code, reason = outcome(lambda: store.open("job_a").close())
        assert (code, reason) == (case.owner_code, case.reason)
        assert contents(home) == before, "a refusal changed something"
        code, reason = outcome(lambda: store.append_control("job_a", PAUSE))
        assert (code, reason) == (case.control_code, case.reason)
        assert (contents(home) == before) == bool(case.control_code), "a refusal changed something"
        return
    store.append_control("job_a", PAUSE)
    with store.open("job_a") as job:
        job.append([Draft("cell.started", {"cell": "after", "index": 1})])
    view = store.read("job_a")
    assert view.torn == 0
    assert view.state.stop == "pause"
    assert view.state == store.state("job_a")
    repaired = check_store(store, "job_a")
    assert {f.reason for f in repaired.findings if f.severity == "error"} <= {"missing", "digest", "not_a_file"}


def test_the_check_of_the_whole_store_names_what_does_not_belong_there(tmp_path: Path) -> None:
    home = tmp_path / "home"
    CASES[0].folder.write(home)
    store = JobStore(home, tool_version="0.1.0")
    (home / "work").mkdir()  # where the commands of a job spec's jobs have their scripts
    assert check_home(store) == []
    (home / "jobs" / ".new-job_x-12345678").mkdir()
    (home / "jobs" / ".gone-job_x-12345678").mkdir()
    (home / "jobs" / "Not a job").mkdir()
    (home / ".pruned.jsonl.1.tmp").write_bytes(b"")
    (home / "letter.txt").write_bytes(b"")
    (home / "jobs").chmod(0o777)
    found = {(finding.severity, finding.where, finding.reason) for finding in check_home(store)}
    assert found == {
        ("note", "jobs/.new-job_x-12345678", "leftover"),
        ("note", "jobs/.gone-job_x-12345678", "leftover"),
        ("warning", "jobs/Not a job", "unknown_file"),
        ("note", ".pruned.jsonl.1.tmp", "leftover"),
        ("note", "letter.txt", "unknown_file"),
        ("warning", "jobs", "permissions"),
    }


def test_a_link_in_place_of_a_jobs_folder_is_no_job(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = CASES[0].folder.write(home)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    store = JobStore(home, tool_version="0.1.0")
    assert store.ids() == []
    assert outcome(lambda: store.read("job_a"))[0] == "E_INVALID_INPUT_SCHEMA"
    assert [finding.reason for finding in check_store(store, "job_a").findings] == ["not_a_file"]


def test_a_read_only_store_can_be_read_and_nothing_else(tmp_path: Path) -> None:
    import errno

    from clockwork_nb.fs import REAL
    from clockwork_nb.testing import Fault, FaultFs, FaultPlan

    home = tmp_path / "home"
    CASES[0].folder.write(home)
    before = contents(home)
    disk = FaultFs(REAL, FaultPlan((Fault("*", error=errno.EROFS),)))
    store = JobStore(home, tool_version="0.1.0", fs=disk, clock=ManualClock(), heartbeat=False)
    assert outcome(lambda: store.read("job_a")) == ("", "")
    assert outcome(lambda: store.open("job_a").close())[0] == IO
    assert outcome(lambda: store.append_control("job_a", PAUSE))[0] == IO
    assert check_store(store, "job_a", fs=disk).ok
    assert contents(home) == before
