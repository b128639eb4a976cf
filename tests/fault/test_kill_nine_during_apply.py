"""SIGKILL anywhere in an apply; resume finishes it, and no completed step runs again (promises P1, P2)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

STEPS = 6


def steps(*, idempotent: bool) -> str:
    """Return a chain of commands, each of which writes when it starts and when it ends."""
    blocks = ['directory "out" {\n  path = "out"\n}\n']
    for i in range(STEPS):
        needs = f"command.s{i - 1}" if i else "directory.out"
        blocks.append(
            f'command "s{i}" {{\n'
            f'  script     = "echo begin{i} >> out/log; sleep 0.05; echo end{i} >> out/log"\n'
            f'  writes     = ["out/log"]\n  depends_on = [{needs}]\n  idempotent = {str(idempotent).lower()}\n}}\n'
        )
    return "\n".join(blocks)


def kill_when(project: Project, lines: int) -> str:
    """Start an apply, kill it once its log has *lines* events, and return the job's id."""
    process = project.start("apply", "--auto-approve")
    log: Path | None = None
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if log is None:
            log = next(iter((project.store / "jobs").glob("job_*/events.jsonl")), None)
        elif log.read_bytes().count(b"\n") >= lines:
            break
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):  # it was faster than we are
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert log is not None
    return log.parent.name


def effects(project: Project) -> Counter[str]:
    log = project.folder / "out/log"
    return Counter(log.read_text().split()) if log.exists() else Counter()


def completed(project: Project, job: str) -> Counter[str]:
    events = json.loads(project.run("job", "show", job, "--json").out)
    return Counter(e["payload"]["step_id"] for e in events if e["type"] == "step.completed")


def check_point(project: Project, point: int, *, idempotent: bool) -> None:
    project.write({"main.cw": steps(idempotent=idempotent)})
    job = kill_when(project, point)
    done = project.run("job", "resume", job, expect=None)
    for _ in range(STEPS):
        if done.status == 0 or "E_INVALID_STATE_TRANSITION" in done.err:
            break
        if done.status == 4:  # killed before its approval was recorded
            plan = project.run("job", "status", job, "--json").json["waiting"][0]["plan"]
            project.run("approve", job, "--plan", plan[:8], "--reason", "kill sweep")
            done = project.run("job", "resume", job, expect=None)
            continue
        assert done.status == 9, f"point {point}: {done.status}\n{done.out}\n{done.err}"
        assert not idempotent
        assert "E_STEP_INTERRUPTED" in done.err
        step = done.err.split("--rerun '")[1].split("'")[0]
        done = project.run("job", "resume", job, "--rerun", step, expect=None)
    if done.status == 1 and "E_INVALID_STATE_TRANSITION" in done.err:
        assert project.jobs()[0]["status"] == "completed"  # the kill came after the end
    else:
        assert done.status == 0, f"point {point}: {done.out}\n{done.err}"
    ran = effects(project)
    assert all(ran[f"end{i}"] >= 1 for i in range(STEPS)), f"point {point}: a step was left out: {ran}"
    again = {name: count for name, count in ran.items() if name.startswith("end") and count > 1}
    interrupted = [
        e for e in json.loads(project.run("job", "show", job, "--json").out) if e["type"] == "step.interrupted"
    ]
    assert len(again) <= len(interrupted), f"point {point}: {again} ran again, {len(interrupted)} were interrupted"
    assert set(completed(project, job).values()) == {1}
    assert project.run("plan", "--detailed-exitcode").status == 0


@pytest.mark.parametrize("point", [3, 9, 13, 16, 20])
def test_killed_apply_is_finished_by_resume(project_for_kill: Project, point: int) -> None:
    check_point(project_for_kill, point, idempotent=True)


@pytest.mark.parametrize("point", [14, 17])
def test_interrupted_step_stops_unless_it_is_idempotent(project_for_kill: Project, point: int) -> None:
    check_point(project_for_kill, point, idempotent=False)


@pytest.mark.slow
@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("point", range(1, 36))
def test_kill_sweep(project_for_kill: Project, point: int, idempotent: bool) -> None:
    check_point(project_for_kill, point, idempotent=idempotent)


@pytest.fixture
def project_for_kill(tmp_path: Path) -> Project:
    return Project(tmp_path)
