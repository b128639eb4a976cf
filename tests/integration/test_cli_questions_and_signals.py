"""At a terminal: what is asked, what each answer does, and that Ctrl-C and SIGTERM always leave a job that goes on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from clockwork_nb.session import Session
from clockwork_nb.settings import load_settings
from clockwork_nb.testing.project import Project

SITE = 'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'
SLOW = SITE + (
    'command "slow" {\n  script     = "sleep 4713"\n  idempotent = true\n  depends_on = [file.a]\n'
    '  unless     = "test -e out/go"\n}\n'
)
QUESTION = "leaves it waiting: "


@pytest.mark.parametrize("answer", ["yes\n", " Y \n"], ids=["word", "letter"])
def test_yes_runs_the_plan_and_records_who_and_why(project: Project, answer: str) -> None:
    project.write({"main.cw": SITE})
    done = project.converse("apply", answers=[(QUESTION, answer), ("Reason", "agreed with ops\n")])
    assert "Applied 1 step" in done.out
    granted = next(e for e in project.events() if e["type"] == "approval.granted")["payload"]
    assert (granted["via"], granted["reason"]) == ("terminal", "agreed with ops")
    assert (project.folder / "out/a").read_text() == "x"


def test_no_ends_the_job_and_runs_nothing(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.converse("apply", answers=[(QUESTION, "no\n"), ("Reason", "\n")], expect=4)
    assert project.jobs()[0]["status"] == "canceled"
    assert not (project.folder / "out").exists()


@pytest.mark.parametrize(
    "answer", ["perhaps\n", "yes please\n", "\n", "\x04"], ids=["word", "more words", "empty", "end of input"]
)
def test_any_other_answer_leaves_the_job_waiting(project: Project, answer: str) -> None:
    project.write({"main.cw": SITE})
    done = project.converse("apply", answers=[(QUESTION, answer)], expect=4)
    job = project.jobs()[0]
    assert job["status"] == "blocked_decision"
    assert f"clockwork approve {job['id']} --plan" in done.out
    assert not (project.folder / "out").exists()


def test_risky_plan_says_the_risk_in_the_question(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    done = project.converse("destroy", answers=[(QUESTION, "\n")], expect=4)
    assert "(risk: destroy)" in done.out


@pytest.mark.parametrize("place", [QUESTION, "Reason"])
def test_ctrl_c_at_the_question_leaves_it_open(project: Project, place: str) -> None:
    project.write({"main.cw": SITE})
    answers: list[tuple[str, str | signal.Signals]] = [(QUESTION, "yes\n")] if place == "Reason" else []
    done = project.converse("apply", answers=[*answers, (place, signal.SIGINT)], expect=130)
    job = project.jobs()[0]
    assert job["status"] == "blocked_decision"
    assert f"clockwork approve {job['id']} --plan" in done.out
    assert not (project.folder / "out").exists()


def test_sigterm_at_the_question_leaves_it_open(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.converse("apply", answers=[(QUESTION, signal.SIGTERM)], expect=143)
    job = project.jobs()[0]
    assert (job["status"], job["running"]) == ("blocked_decision", False)
    project.approve(job["id"])
    project.run("job", "resume", job["id"])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_a_step_runs_kills_it_and_the_job_goes_on(
    project: Project, number: signal.Signals, status: int
) -> None:
    project.write({"main.cw": SLOW})
    # The running step is named once nothing was said for half a second; before that there is nothing to wait for.
    done = project.converse("apply", "--auto-approve", answers=[("running", number)], expect=status)
    job = project.jobs()[0]
    assert job["status"] == "blocked_error"
    assert f"clockwork job resume {job['id']}" in done.out
    assert not sleepers()
    (project.folder / "out/go").touch()
    resumed = project.run("job", "resume", job["id"])
    assert "1 of 2 steps were done before" in resumed.out
    assert project.jobs()[0]["status"] == "completed"


def test_exit_status_of_the_envelope_is_that_of_the_process(project: Project) -> None:
    project.write({"main.cw": SLOW})
    process = project.start("apply", "--auto-approve", "--json")
    deadline = time.monotonic() + 60
    while not sleepers() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert '"exit_code": 143' in err
    assert '"status": "canceled"' in out


def sleepers() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"sleep\x004713" in path.read_bytes():
                found.append(str(path))
        except OSError:
            continue
    return found


def test_approve_at_a_terminal_shows_the_plan_and_asks(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    done = project.converse("approve", job, "--reason", "x", answers=[("Type yes: ", "no\n")], expect=4)
    assert "file.a" in done.out
    assert "still waits" in done.out
    project.converse("approve", job, "--reason", "x", answers=[("Type yes: ", "yes\n")])
    project.run("job", "resume", job)


def test_approve_without_a_plan_where_nobody_can_be_asked_names_the_plan(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    plan = project.run("job", "status", job, "--json").json["waiting"][0]["plan"]
    done = project.run("approve", job, "--reason", "x", expect=6)
    assert f"--plan {plan[:8]}" in done.err
    assert project.jobs()[0]["status"] == "blocked_decision"


def test_job_cannot_be_approved_by_a_process_that_it_started(project: Project) -> None:
    project.write({"main.cw": SITE})
    session = Session.for_folder(project.folder, settings=load_settings(project.environment()))
    section = session.begin("apply")  # this process runs the job now, and the command below is its child
    done = project.run("approve", section.job_id, "--plan", section.plan_digest, "--reason", "x", expect=8)
    assert "a job cannot approve itself" in done.err
    assert section.needs_approval
    section.leave()
    project.env["CW_JOB_ID"] = section.job_id  # what a notebook's kernel has in its environment
    project.run("approve", section.job_id, "--plan", section.plan_digest, "--reason", "x", expect=8)
    del project.env["CW_JOB_ID"]
    project.run("approve", section.job_id, "--plan", section.plan_digest, "--reason", "x")


def test_colours_are_for_terminals_that_want_them(project: Project) -> None:
    project.write({"main.cw": SITE})
    assert "\x1b[" not in project.converse("plan").out
    del project.env["NO_COLOR"]
    assert "\x1b[" in project.converse("plan").out
    assert "\x1b[" not in project.run("plan").out


def test_long_planning_says_so_and_takes_the_note_away(project: Project) -> None:
    project.write(
        {"main.cw": "".join(f'file "f{i}" {{\n  path    = "out/f{i}"\n  content = "x"\n}}\n' for i in range(12_000))}
    )
    done = project.converse("plan")
    assert "planning … 0 s" in done.out
    assert done.out.index("\x1b[K") < done.out.index("12,000 to create")
    assert "planning" not in project.run("plan").err
