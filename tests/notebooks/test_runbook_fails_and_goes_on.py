"""A run that a cell, the kernel or a signal ended is told truly, leaves nothing behind, and goes on where it was."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.testing.project import Finished, Project
from tests.notebooks.runbooks import (
    LOAD,
    SITE,
    approve,
    events,
    left_behind,
    newest,
    notebook,
    of_type,
    output,
    processes,
    project_in,
    shown,
    statuses,
    steps,
    wait_for_events,
    wait_until_gone,
)  # fmt: skip

pytestmark = pytest.mark.notebook

# What is wrong is outside the notebook: a file says what this cell does.
_STAGE = """import os, pathlib
stage = pathlib.Path("stage").read_text()
if stage == "error":
    raise ValueError("no such region: <eu>")
if stage == "die":
    os.kill(os.getpid(), 9)
print("passed")
"""


@dataclass
class Story:
    """A run that fails in a cell, then loses its kernel, then ends well: the same job."""

    project: Project
    job: str
    ends: list[Finished]
    saved: list[Any]
    left: list[list[str]]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    project = project_in(tmp_path_factory.mktemp("fails"))
    parameters = ('greeting = "hello"\nport = 1', ["parameters"])
    tolerated = ("1/0", ["raises-exception"])
    swallowed = "import os; os.write(2, b'noise of a child\\n'); print(greeting, port)"
    cells = (parameters, LOAD, SITE, swallowed, "%cw_apply --auto-approve", tolerated, _STAGE, "print('end')")
    project.write({"run.ipynb": notebook(*cells), "stage": "error"})
    ends, saved, left = [], [], []
    job = ""
    for stage in ("error", "die", "well"):
        project.write({"stage": stage})
        words = ("job", "resume", job) if job else ("runbook", "run", "run.ipynb", "-p", "greeting=good morning")
        ends.append(project.run(*words, expect=None))
        job = job or newest(project)
        saved.append(output(project, job))
        left.append(left_behind(project))
    return Story(project, job, ends, saved, left)


def test_an_error_in_a_cell_is_told_with_its_number(story: Story) -> None:
    first = story.ends[0]
    assert first.status == 1
    assert "error: cell 7 of run.ipynb failed: ValueError: no such region: <eu>" in first.err
    assert f"clockwork job resume {story.job}" in first.err
    assert f"clockwork-out/notebooks/{story.job}.ipynb" in first.err
    assert "Traceback" not in first.err


def test_a_dead_kernel_blocks_the_job_and_says_so(story: Story) -> None:
    second = story.ends[1]
    assert second.status == 1
    assert "error: the kernel died" in second.err
    assert f"clockwork job resume {story.job}" in second.err
    assert "7/8  import os, pathlib" in second.err


def test_it_goes_on_when_the_cause_is_gone(story: Story) -> None:
    assert [e.status for e in story.ends] == [1, 1, 0]
    assert shown(story.saved[2], "c7") == "passed\n"
    assert story.project.run("jobpack", "verify", story.job).out.startswith("VERIFIED")


def test_cell_statuses_are_true_after_each_end(story: Story) -> None:
    # With -p there is one cell more: the one that papermill puts the values into.
    assert statuses(story.saved[0]) == ["completed"] * 7 + ["failed", "pending"]
    assert statuses(story.saved[1]) == ["completed"] * 7 + ["failed", "pending"]
    assert statuses(story.saved[2]) == ["completed"] * 9


def test_no_step_is_repeated_and_every_attempt_is_in_the_log(story: Story) -> None:
    rows = events(story.project, story.job)
    done = [p["step_id"] for p in of_type(rows, "step.completed")]
    assert len(done) == len(set(done)) == 2
    assert [p["reason"] for p in of_type(rows, "job.status") if p["to"] == "blocked_error"] == ["E_ADAPTER_FAIL"] * 2
    failed = of_type(rows, "cell.failed")
    assert [(p["index"], p["error"]) for p in failed] == [(6, "ValueError"), (6, "DeadKernelError")]


def test_a_cell_that_may_raise_does_not_end_the_run(story: Story) -> None:
    assert "ZeroDivisionError" in shown(story.saved[2], "c6")


def test_parameters_bind_the_variables_of_their_names_in_every_attempt(story: Story) -> None:
    assert (story.project.folder / "site" / "index.html").read_text() == "good morning"
    assert "good morning 1" in shown(story.saved[0], "c4")
    assert "good morning 1" in shown(story.saved[2], "c4")


def test_people_hear_the_numbers_of_their_own_file(story: Story) -> None:
    numbers = [int(n) for n in re.findall(r"^ +(\d+)/8  ", story.ends[2].err, re.MULTILINE)]
    assert numbers == list(range(1, 9))


def test_neither_failure_leaves_anything_behind(story: Story) -> None:
    assert story.left == [[], [], []]


def test_what_the_kernel_says_on_stderr_is_not_heard(story: Story) -> None:
    for end in story.ends:
        assert "IPKernelApp" not in end.err
        assert not any(line.startswith("noise of a child") for line in end.err.splitlines())


# --- input that is refused before anything runs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-p", "prot=1"), 'did you mean "port"?'),
        (("-p", "port=x"), "parameter port is a whole number"),
        (("--kernel", "fortran"), "there is no kernel 'fortran'"),
    ],
)
def test_bad_input_makes_no_job(story: Story, words: tuple[str, ...], says: str) -> None:
    refused = story.project.run("runbook", "run", "run.ipynb", *words, expect=6)
    assert says in refused.err
    assert len(story.project.jobs()) == 1


@pytest.mark.parametrize("source", ["%%cw a\n", "%cw_plan"])
@pytest.mark.slow
def test_a_notebook_without_the_extension_is_told_what_to_add(tmp_path: Path, source: str) -> None:
    project = project_in(tmp_path)
    project.write({"run.ipynb": notebook("x = 1", source)})
    finished = project.run("runbook", "run", "run.ipynb", expect=1)
    assert "cell 2 of run.ipynb uses a clockwork magic, but the extension is not loaded" in finished.err
    assert "%load_ext clockwork_nb" in finished.err


@pytest.mark.slow
def test_another_value_than_was_applied_blocks_with_the_difference(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    given = "get_ipython().run_line_magic('cw_var', 'greeting=' + open('value').read())"
    project.write({"run.ipynb": notebook(LOAD, SITE, given, "%cw_apply --auto-approve", "open('ready')"), "value": "a"})
    project.run("runbook", "run", "run.ipynb", expect=1)
    job = newest(project)
    project.write({"value": "b", "ready": ""})
    blocked = project.run("job", "resume", job, expect=13)
    assert (
        "cell 4 of run.ipynb: cell c4 is not what this run applied: the variable greeting has another value"
        in blocked.err
    )
    assert (project.folder / "site" / "index.html").read_text() == "a"
    project.write({"value": "a"})
    project.run("job", "resume", job)


@pytest.mark.slow
def test_other_flags_than_before_are_named_at_the_next_question_and_refused_after_the_apply(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    two = (
        '%%cw two\nfile "a" {\n  path = "out/a"\n  content = "x"\n}\nfile "b" {\n  path = "out/b"\n  content = "x"\n}\n'
    )
    given = "get_ipython().run_line_magic('cw_apply', open('flags').read())"
    project.write({"run.ipynb": notebook(LOAD, two, given, "open('ready')"), "flags": ""})
    project.run("runbook", "run", "run.ipynb", expect=4)
    job = newest(project)
    approve(project, job)
    project.write({"flags": "--exclude file.b"})
    project.run("job", "resume", job, expect=4)
    asked = shown(output(project, job), "c3")
    assert "no longer fits: what is excluded was nothing and is file.b now" in asked
    approve(project, job)
    project.run("job", "resume", job, expect=1)
    project.write({"flags": "--replace file.a", "ready": ""})
    refused = project.run("job", "resume", job, expect=13)
    assert "what is excluded was file.b and is nothing now" in refused.err
    assert "what is to be replaced was nothing and is file.a now" in refused.err


# --- stopped from outside -------------------------------------------------------------------------------------------


def _once_each(project: Project, job: str, count: int) -> None:
    """Check that each step was completed once, and that what was completed was not run again."""
    rows = events(project, job)
    done = [p["step_id"] for p in of_type(rows, "step.completed")]
    assert len(done) == len(set(done)) == count
    ran = (project.folder / "out" / "log").read_text().split()
    interrupted = {p["step_id"] for p in of_type(rows, "step.interrupted")}
    for i in range(count):
        repeated = any(f"command.s{i}:" in name for name in interrupted)
        assert ran.count(f"s{i}") in ({1, 2} if repeated else {1})


def _stopped(project: Project, number: signal.Signals) -> str:
    """Start a run, stop it by signal *number* in the middle of its apply, check how it ended, and return the job."""
    slow = "[ -e out/s1 ] && [ ! -e go ] && sleep 60; sleep 0.1;"
    project.write({"run.ipynb": notebook(LOAD, steps(5, each=slow), "%cw_apply --auto-approve", "print(1)")})
    engine = project.start("runbook", "run", "run.ipynb")
    try:
        wait_for_events(project, 3, of="step.started")
        engine.send_signal(number)
        _, err = engine.communicate(timeout=40)
    finally:
        engine.kill()
        engine.wait()
    job = newest(project)
    assert engine.returncode == 128 + number
    assert f"clockwork job resume {job}" in err
    assert "Traceback" not in err, err
    assert statuses(output(project, job)) == ["completed", "completed", "failed", "pending"]
    assert left_behind(project) == []
    assert project.jobs()[0]["status"] == "blocked_error"
    assert project.jobs()[0]["reason"] == "interrupted"
    project.write({"go": ""})
    return job


def _killed(project: Project, engine: subprocess.Popen[str], count: int, of: str = "") -> None:
    """Kill *engine* when the log has *count* events, resume its job, and check that nothing was lost or repeated."""
    try:
        wait_for_events(project, count, of=of)
    finally:
        os.kill(engine.pid, signal.SIGKILL)
        engine.communicate()
    wait_until_gone(project)
    job = newest(project)
    before = [p["step_id"] for p in of_type(events(project, job), "step.completed")]
    project.run("job", "resume", job)
    after = [p["step_id"] for p in of_type(events(project, job), "step.completed")]
    assert after[: len(before)] == before
    _once_each(project, job, 5)
    assert len(project.jobs()) == 1
    assert project.run("jobpack", "verify", job).out.startswith("VERIFIED")
    # The folder of the killed kernel's own launcher (below its TMPDIR) is nobody's to find again.
    assert [p for p in left_behind(project) if "clockwork-steps-" not in p] == []


def test_ctrl_c_and_then_kill_nine_in_the_middle_of_an_apply_lose_nothing(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    job = _stopped(project, signal.SIGINT)
    _killed(project, project.start("job", "resume", job), 4, "step.completed")


@pytest.mark.slow
def test_sigterm_in_the_middle_of_an_apply_ends_clean_and_is_resumed(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    job = _stopped(project, signal.SIGTERM)
    project.run("job", "resume", job)
    _once_each(project, job, 5)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.4, 0.7, 1.0])
def test_ctrl_c_while_the_kernel_starts_leaves_a_job_that_can_be_resumed(tmp_path: Path, delay: float) -> None:
    project = project_in(tmp_path)
    project.write({"run.ipynb": notebook(LOAD, "import time; time.sleep(3)")})
    engine = project.start("runbook", "run", "run.ipynb")
    wait_for_events(project, 5)
    time.sleep(delay)
    engine.send_signal(signal.SIGINT)
    _, err = engine.communicate(timeout=40)
    assert engine.returncode == 130
    assert f"clockwork job resume {newest(project)}" in err
    assert "Traceback" not in err, err
    assert left_behind(project) == []
    assert project.jobs()[0]["reason"] == "interrupted"


@pytest.mark.slow
def test_a_question_of_an_earlier_attempt_does_not_stop_an_earlier_cell(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    project.write({"run.ipynb": notebook(LOAD, SITE, "%cw_apply", "print(1)")})
    project.run("runbook", "run", "run.ipynb", expect=4)
    project.env["CW_AUTO_APPROVE"] = "1"
    project.run("job", "resume", newest(project))
    granted = of_type(events(project, newest(project)), "approval.granted")
    assert [g["via"] for g in granted] == ["auto"]


@pytest.mark.slow
def test_a_step_that_may_not_run_twice_waits_for_a_person_to_ask_for_it(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    slow = steps(1, each="[ -e go ] || sleep 60;").replace("idempotent = true", "idempotent = false")
    project.write({"run.ipynb": notebook(LOAD, slow, "%cw_apply --auto-approve")})
    engine = project.start("runbook", "run", "run.ipynb")
    wait_for_events(project, 1, of="step.started")
    os.kill(engine.pid, signal.SIGKILL)
    engine.communicate()
    wait_until_gone(project)
    project.write({"go": ""})
    job = newest(project)
    stopped = project.run("job", "resume", job, expect=9)
    found = re.search(r"clockwork job resume \S+ --rerun '(\S+)'", stopped.err)
    assert found is not None
    refused = project.run("job", "resume", job, "--rerun", "command.other:run", expect=6)
    assert f"Interrupted: {found[1]}" in refused.err
    project.run("job", "resume", job, "--rerun", found[1])
    rows = events(project, job)
    assert [p["reason"] for p in of_type(rows, "step.retried")] == ["asked for by --rerun"]
    assert [p["attempt"] for p in of_type(rows, "step.started")] == [1, 2]
    assert project.run("jobpack", "verify", job).out.startswith("VERIFIED")


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 8, 12, 15, 17, 19, 20, 21, 23, 25, 27])
def test_kill_nine_of_the_engine_after_any_number_of_events_loses_nothing(tmp_path: Path, count: int) -> None:
    project = project_in(tmp_path)
    project.write({"run.ipynb": notebook(LOAD, steps(5, each="sleep 0.1;"), "%cw_apply --auto-approve", "print(1)")})
    _killed(project, project.start("runbook", "run", "run.ipynb"), count)


# --- beside each other, and under papermill itself ------------------------------------------------------------------


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    for name in ("one", "two"):
        cw = SITE.replace('"site"', f'"{name}"').replace("directory.site", f"directory.{name}")
        project.write({f"{name}.ipynb": notebook(LOAD, cw, "%cw_apply --auto-approve", f"print('{name}')")})
    running = [project.start("runbook", "run", f"{name}.ipynb") for name in ("one", "two")]
    ends = [(p.communicate(timeout=100), p.returncode) for p in running]
    assert [status for _, status in ends] == [0, 0], ends
    jobs = {j["name"]: j["id"] for j in project.jobs()}
    for name in ("one", "two"):
        assert shown(output(project, jobs[f"{name}.ipynb"]), "c4") == f"{name}\n"
        assert (project.folder / name / "index.html").read_text() == "hello"
        assert project.run("jobpack", "verify", jobs[f"{name}.ipynb"]).out.startswith("VERIFIED")
    assert left_behind(project) == []


def test_plain_papermill_stops_at_the_gate_and_the_job_goes_on_with_its_parameters(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    project.write({"run.ipynb": notebook(('greeting = "hello"', ["parameters"]), LOAD, SITE, "%cw_apply", "print(1)")})
    (project.folder / "sub").mkdir()
    argv = [sys.executable, "-m", "papermill", "--engine", "clockwork", "run.ipynb", "sub/out.ipynb"]
    done = subprocess.run(
        [*argv, "-p", "greeting", "from papermill"], cwd=project.folder, env=project.environment(), capture_output=True,
        text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 1
    job = newest(project)
    assert re.search(
        r"Runbook run\.ipynb stopped at cell 4 \(%cw_apply\): plan [0-9a-f]{8} needs approval\.", done.stderr
    )
    assert f"&&  clockwork job resume {job}" in done.stderr
    path = project.folder / "sub" / "out.ipynb"
    saved = json.loads(path.read_text())
    assert saved["metadata"]["clockwork"] == {"job": job}
    assert statuses(saved) == ["completed"] * 4 + ["failed", "pending"]
    approve(project, job)
    project.run("job", "resume", job)
    assert (project.folder / "site" / "index.html").read_text() == "from papermill"
    assert statuses(json.loads(path.read_text())) == ["completed"] * 6
    assert processes(project) == []
