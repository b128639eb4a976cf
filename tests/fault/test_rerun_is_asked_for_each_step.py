"""Two steps are cut off at once: permission to run one of them again is not permission for the other (P2)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from clockwork_nb.testing.project import Project

SITE = "\n".join(
    f'command "{name}" {{\n  script = "echo {name} >> out/{name}/log; test -e out/{name}/go || sleep 60"\n  writes = ["out/{name}/"]\n}}\n'
    for name in ("left", "right")
)


def test_each_step_that_was_cut_off_is_asked_about(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": SITE})
    logs = [project.folder / "out" / name / "log" for name in ("left", "right")]
    for log in logs:
        log.parent.mkdir(parents=True)
    process = project.start("apply", "--auto-approve")
    deadline = time.monotonic() + 60
    while not all(log.exists() for log in logs) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    for log in logs:
        (log.parent / "go").touch()
    job = project.jobs()[0]["id"]
    first = project.run("job", "resume", job, expect=9).err
    # Which of the two is named first depends on which began first.
    named, other = ("left", "right") if "step command.left:run_command was" in first else ("right", "left")
    assert f"command.{named}:run_command" in first
    second = project.run("job", "resume", job, "--rerun", f"command.{named}:run_command", expect=9).err
    assert f"command.{other}:run_command" in second
    assert [log.read_text().split() for log in logs] == [["left"], ["right"]], "neither ran before both were allowed"
    both = [word for name in ("left", "right") for word in ("--rerun", f"command.{name}:run_command")]
    project.run("job", "resume", job, *both)
    assert [log.read_text().split() for log in logs] == [["left"] * 2, ["right"] * 2]
