"""The quickstart runs from top to bottom, says what it should, and is a clean file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from clockwork_nb.testing.project import Project

QUICKSTART = Path(__file__).resolve().parents[2] / "notebooks" / "quickstart.ipynb"


def test_the_file_is_clean() -> None:
    notebook = nbformat.read(QUICKSTART, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(i.replace("-", "").isalpha() for i in ids)
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert [c.source for c in tagged] == ['greeting = "hello"']
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.notebook
def test_every_cell_runs_and_says_what_the_text_promises(front_end: Any) -> None:
    cells = {c.id: c.source for c in nbformat.read(QUICKSTART, as_version=4).cells if c.cell_type == "code"}
    front_end.ok("import os; os.environ['CW_AUTO_APPROVE'] = '1'")
    try:
        shown = {name: front_end.ok(source, cell_id=name, allow_stdin=False) for name, source in cells.items()}
    finally:
        front_end.run("%cw_destroy --auto-approve", allow_stdin=False)  # no service outlives a failed test
    assert "to create" in shown["plan"].text
    assert "<svg" in shown["graph"].html
    assert "visitor" in shown["build"].text
    assert "Applied" in shown["apply"].text
    assert shown["fetch"].streams == "hello, clockwork\n"
    assert "Nothing to do" in shown["plan-again"].text
    assert "1 to update" in shown["plan-change"].text
    assert "to create" not in shown["plan-change"].text
    assert "to replace" not in shown["plan-change"].text
    assert "hello again" in shown["apply-change"].text + shown["plan-change"].text
    assert "Destroyed" in shown["destroy"].text
    assert "VERIFIED" in shown["pack"].text
    assert not (front_end.folder / "site").exists()
    assert not (front_end.folder / "app").exists()


@pytest.mark.notebook
def test_headless_it_is_one_job_with_three_decisions(tmp_path: Path) -> None:
    project = Project(tmp_path)
    shutil.copy(QUICKSTART, project.folder)
    try:
        first = project.run("runbook", "run", "quickstart.ipynb", expect=4)
        job = project.jobs()[0]["id"]
        seen = [first.err]
        for status in (4, 4, 0):
            plan = project.run("job", "status", job, "--json").json["waiting"][0]["plan"]
            project.run("approve", job, "--plan", plan, "--reason", "looks right")
            seen.append(project.run("job", "resume", job, expect=status).err)
    except BaseException:
        project.env["CW_AUTO_APPROVE"] = "1"  # a run of its own removes what this one left running
        project.run("runbook", "run", "quickstart.ipynb", expect=None)
        raise
    assert "7 to create, 2 to verify" in seen[0]
    assert "1 to update, 2 to verify" in seen[1]
    assert "to delete" in seen[2]
    assert [j["id"] for j in project.jobs()] == [job]
    assert project.run("jobpack", "verify", job).out.startswith("VERIFIED  signed")
    assert not (project.folder / "site").exists()
    saved = (project.folder / "clockwork-out" / "notebooks" / f"{job}.ipynb").read_text()
    assert "hello, clockwork" in saved
    assert "from this run's journal" in saved
    assert "widget-view" not in saved


@pytest.mark.notebook
def test_nbval_finds_every_cell_good(project: Path, environment: dict[str, str]) -> None:
    shutil.copy(QUICKSTART, project / "quickstart.ipynb")
    argv = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", "quickstart.ipynb"]
    env = environment | {"CW_AUTO_APPROVE": "1", "CW_HEADLESS": "1"}
    env.pop("PYTEST_ADDOPTS", None)
    env.pop("PYTEST_CURRENT_TEST", None)
    env.setdefault("PATH", os.defpath)
    done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
