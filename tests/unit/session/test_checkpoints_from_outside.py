"""Checkpoints are listed as a jobpack has them, and added only where that can do no harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError, InvalidTransitionError, LeaseConflictError
from clockwork_nb.jobs import commands
from clockwork_nb.session.checkpoints import emit, find, records
from clockwork_nb.settings import Settings
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.remote import JobServer

JOB = "job_a"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", home_chosen=True, out=tmp_path, config=tmp_path / "config", user="ann")


@pytest.fixture
def store(settings: Settings) -> JobStore:
    made = JobStore(settings.home, tool_version="0.1.0")
    with made.create(name="a", adapter="steps", lineage="", spec={}, job_id=JOB) as handle:
        handle.append([commands.move(handle.state, "running"), commands.checkpoint("plan", "three steps")])
    return made


def test_a_checkpoint_is_told_as_a_pack_has_it(store: JobStore, settings: Settings) -> None:
    made = emit(store, settings, JOB, "progress", " half way ", reason_codes=["X"])
    assert made["schema_id"] == "wrkr.checkpoint"
    assert (made["type"], made["summary"], made["status"]) == ("progress", "half way", "running")
    assert made["reason_codes"] == ["by:ann", "X"]
    assert [r["type"] for r in records(store, JOB)] == ["plan", "progress"]
    assert records(store, JOB, kind="progress") == [made]
    assert find(store, JOB, made["checkpoint_id"]) == find(store, JOB, made["checkpoint_id"][3:]) == made


def test_every_checkpoint_of_a_kind_is_listed(store: JobStore, settings: Settings) -> None:
    for text in ("one", "two", "three"):
        emit(store, settings, JOB, "progress", text)
    assert [r["summary"] for r in records(store, JOB, kind="progress")] == ["one", "two", "three"]


def test_adding_one_changes_nothing_else(store: JobStore, settings: Settings) -> None:
    before = store.state(JOB)
    emit(store, settings, JOB, "blocked", "waits for the disk")
    after = store.state(JOB)
    assert (after.status, after.decisions, after.lease) == (before.status, before.decisions, None)


def test_a_long_summary_is_cut_and_marked(store: JobStore, settings: Settings) -> None:
    exact = emit(store, settings, JOB, "progress", "é" * 1000)
    assert exact["summary"] == "é" * 1000
    cut = emit(store, settings, JOB, "progress", "é" * 1001)
    assert cut["summary"].endswith(" … [cut]")
    assert 1990 < len(cut["summary"].encode()) <= 2000


@pytest.mark.parametrize(
    ("kind", "summary", "says"),
    [
        ("decision-needed", "approve this", "not made by hand"),
        ("completed", "done", "at its end"),
        ("done", "done", "no type"),
        ("progress", " \n ", "something to say"),
    ],
)
def test_what_cannot_be_added(store: JobStore, settings: Settings, kind: str, summary: str, says: str) -> None:
    seq = store.state(JOB).seq
    with pytest.raises(InvalidInputError, match=says):
        emit(store, settings, JOB, kind, summary)
    assert store.state(JOB).seq == seq


def test_nothing_is_added_to_a_finished_job(store: JobStore, settings: Settings) -> None:
    with store.open(JOB) as handle:
        handle.append(commands.finish(handle.state, "completed"))
    with pytest.raises(InvalidTransitionError, match="nothing is added"):
        emit(store, settings, JOB, "progress", "late")


def test_only_the_runner_speaks_for_a_running_job(store: JobStore, settings: Settings) -> None:
    with store.open(JOB), pytest.raises(LeaseConflictError, match="only its runner"):
        emit(store, settings, JOB, "progress", "from aside")


def test_inside_a_notebook_run_the_engine_writes_it(store: JobStore, settings: Settings, tmp_path: Path) -> None:
    inside = Settings(
        home=settings.home, home_chosen=True, out=tmp_path, config=tmp_path, user="ann", job_id=JOB,
        job_socket=str(tmp_path / "s"),
    )  # fmt: skip
    with store.open(JOB) as handle:
        server = JobServer(handle, tmp_path / "s")
        try:
            made = emit(store, inside, JOB, "progress", "from the kernel")
        finally:
            server.close()
    assert find(store, JOB, made["checkpoint_id"]) == made


def test_what_is_asked_for_must_be_there(store: JobStore) -> None:
    with pytest.raises(InvalidInputError, match="no checkpoint 'cp_99'") as caught:
        find(store, JOB, "cp_99")
    assert "cp_" in caught.value.hint
    with pytest.raises(InvalidInputError, match="no type"):
        records(store, JOB, kind="done")
    with pytest.raises(InvalidInputError, match="there is no job"):
        records(store, "job_b")
