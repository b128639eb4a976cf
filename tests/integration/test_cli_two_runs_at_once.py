"""Two processes and one workspace: the second is told who holds it, and its job goes on later."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from clockwork_nb.testing.project import Project

WAITING = (
    'command "wait" {\n  script = "touch out/began; while [ ! -e out/go ]; do sleep 0.05; done"\n'
    '  writes = ["out/began"]\n}\n'
)


@pytest.fixture
def held(project: Project) -> Iterator[Project]:
    """A project whose workspace another apply holds, until ``out/go`` is there."""
    (project.folder / "out").mkdir()
    project.write({"main.cw": WAITING})
    process: subprocess.Popen[str] = project.start("apply", "--auto-approve")
    deadline = time.monotonic() + 60
    while not (project.folder / "out/began").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    project.write({"other.cw": 'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'})
    yield project
    (project.folder / "out/go").touch()
    process.communicate(timeout=60)


def finish(project: Project, job: str) -> None:
    (project.folder / "out/go").touch()
    deadline = time.monotonic() + 60
    while project.run("job", "status", job, "--json").json["status"] != "completed" and time.monotonic() < deadline:
        time.sleep(0.1)


def test_second_apply_is_refused_naming_the_owner_and_goes_on_later(held: Project) -> None:
    first = held.jobs()[0]
    assert first["running"]
    done = held.run("apply", "--auto-approve", expect=7)
    assert "E_STATE_LOCKED" in done.err
    assert first["id"] in done.err
    second = held.jobs()[0]
    assert (second["status"], second["reason"], second["running"]) == ("blocked_error", "E_STATE_LOCKED", False)
    assert f"clockwork job resume {second['id']}" in done.err
    assert not (held.folder / "out/a").exists()
    finish(held, first["id"])
    resumed = held.run("job", "resume", second["id"], expect=None)
    if resumed.status == 4:  # the first one moved the state, so there is another plan to agree to
        held.approve(second["id"])
        held.run("job", "resume", second["id"])
    assert (held.folder / "out/a").read_text() == "x"
    assert held.run("plan", "--detailed-exitcode").status == 0


def test_looking_works_while_another_process_applies(held: Project) -> None:
    for words in (["plan"], ["show"], ["output"], ["validate"], ["graph"], ["job", "list"]):
        held.run(*words)


def test_job_in_a_live_process_cannot_be_resumed_but_can_be_canceled(held: Project) -> None:
    job = held.jobs()[0]["id"]
    assert "E_LEASE_CONFLICT" in held.run("job", "resume", job, expect=7).err
    assert held.run("job", "cancel", job, "--reason", "enough", "--json").json == {"ended": False, "job": job}
    deadline = time.monotonic() + 60
    while held.jobs()[0]["status"] != "canceled" and time.monotonic() < deadline:
        time.sleep(0.1)
    held.run("job", "resume", job, expect=1)


def test_waiting_jobs_hold_nothing(project: Project) -> None:
    project.write({"main.cw": 'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'})
    project.run("apply", expect=4)
    project.run("apply", expect=4)
    first, second = (job["id"] for job in project.jobs())
    project.approve(first)
    project.run("job", "resume", first)
    project.approve(second)
    done = project.run("job", "resume", second)
    assert "Nothing to do" in done.out
    assert {job["status"] for job in project.jobs()} == {"completed"}
