"""The process dies while a step runs: finished steps never run again, the cut-off one only when that is declared (P1, P2)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

SITE = """
directory "out" {{
  path = "out"
}}

command "one" {{
  script     = "echo one >> out/log"
  writes     = ["out"]
  depends_on = [directory.out]
}}

command "two" {{
  script     = "echo two >> out/log; if [ ! -e out/go ]; then sleep 60; fi"
  writes     = ["out"]
  depends_on = [command.one]
  idempotent = {idempotent}
}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def killed_in_step_two(project: Project, *, idempotent: bool) -> str:
    """Kill an apply while its second command runs, and return the job."""
    project.write({"main.cw": SITE.format(idempotent=str(idempotent).lower())})
    process = project.start("apply", "--auto-approve")
    deadline = time.monotonic() + 60
    while ran(project) != ["one", "two"]:
        assert process.poll() is None and time.monotonic() < deadline, "the second step never came up"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    project.write({"out/go": ""})
    return str(project.jobs()[0]["id"])


def ran(project: Project) -> list[str]:
    log = project.folder / "out/log"
    return log.read_text().split() if log.exists() else []


def test_a_step_of_unknown_outcome_stops_the_job_until_a_person_decides(project: Project) -> None:
    job = killed_in_step_two(project, idempotent=False)
    for _ in range(2):
        done = project.run("job", "resume", job, expect=9)
        assert "E_STEP_INTERRUPTED" in done.err and "--rerun 'command.two" in done.err
        assert ran(project) == ["one", "two"]
    types = [(e["type"], e["payload"].get("step_id", "")) for e in project.events(job)]
    step = next(name for kind, name in types if kind == "step.interrupted")
    assert types.count(("step.interrupted", step)) == 1
    project.run("job", "resume", job, "--rerun", step)
    assert ran(project) == ["one", "two", "two"]
    assert project.jobs()[0]["status"] == "completed"


def test_a_step_that_may_run_again_does_and_finished_ones_do_not(project: Project) -> None:
    job = killed_in_step_two(project, idempotent=True)
    project.run("job", "resume", job)
    assert ran(project) == ["one", "two", "two"]
    assert [e["type"] for e in project.events(job)].count("step.interrupted") == 1
