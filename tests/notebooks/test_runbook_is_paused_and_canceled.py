"""``job pause``, ``job cancel`` and budgets act on a notebook that runs: on its steps, and on cells that are plain Python."""

from __future__ import annotations

import time

import pytest

from clockwork_nb.testing.project import Project
from tests.notebooks.runbooks import (
    LOAD,
    left_behind,
    newest,
    notebook,
    of_type,
    project_in,
    wait_for_events,
    wait_until_gone,
)

pytestmark = pytest.mark.notebook

BUSY = "import time\nopen('busy', 'w').close()\ntime.sleep(120)"
STUBBORN = """import time
open('busy', 'w').close()
end = time.monotonic() + 120
while time.monotonic() < end:
    try:
        time.sleep(1)
    except KeyboardInterrupt:
        pass
"""
SLOW_STEP = (
    '%%cw s\ncommand "slow" {\n  script = "touch out/on; sleep 120"\n  writes = ["out/on"]\n  idempotent = true\n}\n'
)


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return project_in(tmp_path_factory.mktemp("stopped"))


def status(project: Project, job: str) -> str:
    return str(project.run("job", "status", job, "--json").json["status"])


def run_and(project: Project, *verb: str, cells: int) -> tuple[int, str, str]:
    """Start ``run.ipynb``, do *verb* to the job once so many cells have started; return exit status, stderr, job."""
    process = project.start("runbook", "run", "run.ipynb")
    try:
        wait_for_events(project, cells, of="cell.started")
        job = newest(project)
        project.run("job", verb[0], job, *verb[1:])
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, err, job


def test_cancel_ends_a_cell_that_is_plain_python_and_the_job(project: Project) -> None:
    project.write({"run.ipynb": notebook(LOAD, BUSY, "print('never')")})
    code, err, job = run_and(project, "cancel", cells=2)
    assert (code, status(project, job)) == (130, "canceled")
    assert "was cancelled" in err
    assert project.run("jobpack", "verify", job).status == 0
    wait_until_gone(project)
    assert left_behind(project) == []


def test_cancel_stops_the_steps_of_a_cell(project: Project) -> None:
    project.write({"run.ipynb": notebook(LOAD, SLOW_STEP, "%cw_apply --auto-approve")})
    process = project.start("runbook", "run", "run.ipynb")
    try:
        wait_for_events(project, 1, of="step.started")
        job = newest(project)
        project.run("job", "cancel", job)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, status(project, job)) == (130, "canceled")
    wait_until_gone(project)


def test_pause_lets_the_cell_end_and_resume_goes_on(project: Project) -> None:
    waits = "import time, pathlib\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)\nprint('ended')"
    project.write({"run.ipynb": notebook(LOAD, (waits, ["cw:once"]), "print('after')")})
    process = project.start("runbook", "run", "run.ipynb")
    try:
        wait_for_events(project, 2, of="cell.started")
        job = newest(project)
        project.run("job", "pause", job)
        time.sleep(1)  # the engine looks four times a second
        (project.folder / "go").touch()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, status(project, job)) == (130, "paused")
    assert f"clockwork job resume {job}" in err
    project.run("job", "resume", job)
    shown = project.run("job", "show", job, "--json").json
    assert [p["cell"] for p in of_type(shown, "cell.restored")] == ["c2"]
    assert status(project, job) == "completed"


def test_a_cell_that_ignores_the_interrupt_is_ended_with_its_kernel(project: Project) -> None:
    project.write({"run.ipynb": notebook(LOAD, STUBBORN)})
    code, _, job = run_and(project, "pause", "--now", cells=2)
    assert (code, status(project, job)) == (130, "paused")
    wait_until_gone(project)


def test_wall_time_ends_a_run_and_can_be_raised(project: Project) -> None:
    wait = "import time, pathlib\nif not pathlib.Path('go').exists(): time.sleep(120)"
    project.write({"run.ipynb": notebook(LOAD, wait)})
    stopped = project.run("runbook", "run", "run.ipynb", "--max-wall-time-seconds", "4", expect=3)
    job = newest(project)
    assert status(project, job) == "blocked_budget"
    assert f"clockwork budget raise {job} --max-wall-time-seconds" in stopped.err
    (project.folder / "go").touch()
    project.run("budget", "raise", job, "--max-wall-time-seconds", "600", "--reason", "it was slow")
    project.run("job", "resume", job)
    used = project.run("budget", "check", job, "--json").json["counters"]
    assert used["active_ms"] >= 4000


def test_steps_of_a_notebook_count_against_its_budget(project: Project) -> None:
    two = '%%cw s\ncommand "a" { script = "true" }\ncommand "b" {\n  script = "true"\n  depends_on = [command.a]\n}\n'
    project.write({"run.ipynb": notebook(LOAD, two, "%cw_apply --auto-approve")})
    project.run("runbook", "run", "run.ipynb", "--max-step-count", "1", expect=3)
    job = newest(project)
    assert status(project, job) == "blocked_budget"
    project.run("budget", "raise", job, "--max-step-count", "2", "--reason", "two are needed")
    project.run("job", "resume", job)
    assert status(project, job) == "completed"


def test_a_job_spec_may_be_about_a_notebook_also_in_the_background(project: Project) -> None:
    project.write(
        {
            "run.ipynb": notebook(("who = 'nobody'", ["parameters"]), "open('out.txt', 'w').write(who)"),
            "spec.yaml": "name: nb\nadapter: {name: notebook, config: {notebook: run.ipynb, parameters: {who: me}}}\n",
        }
    )
    project.run("job", "submit", "spec.yaml", "--job-id", "nb", "--detach")
    project.run("job", "watch", "nb")
    assert (project.folder / "out.txt").read_text() == "me"
    wait_until_gone(project)
