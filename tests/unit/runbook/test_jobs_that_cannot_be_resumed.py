"""What `resume_notebook` refuses before it starts a kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError, InvalidTransitionError, LeaseConflictError, PlanStaleError
from clockwork_nb.runbook.notebook import read_notebook
from clockwork_nb.runbook.run import NotebookRun, resume_notebook
from clockwork_nb.session.job_store import open_store
from clockwork_nb.session.runs import JobRun
from clockwork_nb.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = {
        "HOME": str(tmp_path),
        "CLOCKWORK_HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    return load_settings({**home, "CLOCKWORK_OUT": str(tmp_path / "out")})


def written(folder: Path, source: str = "x = 1") -> Path:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }
    path = folder / "run.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def stopped(folder: Path, settings: Settings) -> NotebookRun:
    """Return a run whose process is gone before its first cell."""
    attempt = NotebookRun.create(read_notebook(written(folder)), {}, settings=settings, out=settings.out)
    attempt.run.close("stopped")
    return attempt


def test_a_job_that_was_killed_before_it_took_in_its_notebook(tmp_path: Path, settings: Settings) -> None:
    spec = {"notebook": str(tmp_path / "run.ipynb"), "parameters": [], "out": "", "cwd": "", "output": "", "kernel": ""}
    run = JobRun.create(open_store(settings), name="run.ipynb", adapter="notebook", lineage="", spec=spec)
    run.close("stopped")
    with pytest.raises(InvalidInputError, match="before it had taken in its notebook") as caught:
        resume_notebook(run.job_id, settings=settings)
    assert "clockwork runbook run" in caught.value.hint


def test_a_notebook_that_was_changed_shows_the_difference_and_writes_nothing(
    tmp_path: Path, settings: Settings
) -> None:
    attempt = stopped(tmp_path, settings)
    before = len(open_store(settings).read(attempt.job_id).events)
    written(tmp_path, "x = 2")
    with pytest.raises(PlanStaleError) as caught:
        resume_notebook(attempt.job_id, settings=settings)
    assert caught.value.exit_code == 13
    assert "-x = 1\n+x = 2" in caught.value.hint
    assert len(open_store(settings).read(attempt.job_id).events) == before


def test_a_job_that_somebody_runs(tmp_path: Path, settings: Settings) -> None:
    attempt = NotebookRun.create(read_notebook(written(tmp_path)), {}, settings=settings, out=settings.out)
    try:
        with pytest.raises(LeaseConflictError):
            resume_notebook(attempt.job_id, settings=settings)
    finally:
        attempt.run.close("stopped")


def test_a_job_at_its_end(tmp_path: Path, settings: Settings) -> None:
    attempt = NotebookRun.create(read_notebook(written(tmp_path)), {}, settings=settings, out=settings.out)
    attempt.settle(None, None)
    assert attempt.result is not None
    assert attempt.result.pack.final
    with pytest.raises(InvalidTransitionError, match="is completed; there is nothing to resume"):
        resume_notebook(attempt.job_id, settings=settings)


def test_an_end_is_settled_once(tmp_path: Path, settings: Settings) -> None:
    attempt = NotebookRun.create(read_notebook(written(tmp_path)), {}, settings=settings, out=settings.out)
    with pytest.raises(KeyboardInterrupt):
        attempt.settle(None, KeyboardInterrupt())
    state = open_store(settings).read(attempt.job_id).state
    assert (state.status, state.reason) == ("blocked_error", "interrupted")
    attempt.settle(None, ValueError("later"))
    assert open_store(settings).read(attempt.job_id).state.seq == state.seq
    assert not open_store(settings).summary(attempt.job_id).running


@pytest.mark.parametrize("name", ["..", "../../etc", "A B", ""])
def test_a_name_that_is_no_job(settings: Settings, name: str) -> None:
    with pytest.raises(InvalidInputError):
        resume_notebook(name, settings=settings)
