"""Jobs of commands that misbehave, are cut off, or are led elsewhere: limits hold, secrets stay out, nothing hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def spec(project: Project, *steps: Mapping[str, object], name: str = "spec.json", **fields: object) -> str:
    project.write({name: json.dumps({"name": "x", "inputs": {"steps": list(steps)}, **fields})})
    return name


def counters(project: Project, job: str) -> dict[str, object]:
    found: dict[str, object] = project.run("budget", "check", job, "--json", expect=None).json["counters"]
    return found


def wait_for(path: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def test_a_pipe_in_the_place_of_the_meter_makes_nobody_wait(project: Project) -> None:
    done = project.run("wrap", "--job-id", "w", "--", "sh", "-c", 'mkfifo "$CW_METER"; echo done', timeout=30)
    assert done.out == "done\n"
    spec(project, {"id": "a", "command": 'mkfifo "$CW_METER"'}, budgets={"max_tokens": 10})
    project.run("job", "submit", "spec.json", expect=1, timeout=30)  # what it used up cannot be told


def test_a_usage_that_cannot_be_read_fails_the_step_where_it_counts(project: Project) -> None:
    bad = {"id": "a", "command": "echo nonsense >> $CW_METER"}
    spec(project, bad, {"id": "b", "command": "touch b"}, budgets={"max_tokens": 1000})
    project.run("job", "submit", "spec.json", expect=1)
    assert not (project.folder / "b").exists()
    spec(project, bad, {"id": "b", "command": "touch b"})
    project.run("job", "submit", "spec.json")  # without such a limit it is only told


def test_the_last_step_cannot_pass_a_limit_either(project: Project) -> None:
    spec(project, {"id": "a", "command": "echo '{\"tokens\": 5000}' >> $CW_METER"}, budgets={"max_tokens": 1000})
    project.run("job", "submit", "spec.json", "--job-id", "x", expect=3)
    assert project.run("job", "status", "x", "--json").json["status"] == "blocked_budget"
    project.run("budget", "raise", "x", "--max-tokens", "9000", "--reason", "it was needed")
    project.run("job", "resume", "x")


def test_a_killed_step_is_charged_for(project: Project) -> None:
    spec(project, {"id": "a", "command": "touch on; sleep 60", "idempotent": True}, budgets={"max_step_count": 1})
    process = project.start("job", "submit", "spec.json", "--job-id", "x")
    wait_for(project.folder / "on")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    project.run("job", "resume", "x", expect=3)
    assert counters(project, "x")["step_count"] == 1


def test_what_a_background_command_prints_is_in_no_file_in_clear(project: Project) -> None:
    project.env["MY_API_TOKEN"] = "very-secret-value"
    project.run("wrap", "--job-id", "w", "--detach", "--", "sh", "-c", 'echo "$MY_API_TOKEN"')
    project.run("job", "watch", "w")
    found = [p for p in project.store.rglob("*") if p.is_file() and b"very-secret-value" in p.read_bytes()]
    assert found == []


def test_a_command_that_holds_a_secret_is_refused(project: Project) -> None:
    project.env["MY_API_TOKEN"] = "very-secret-value"
    told = project.run("wrap", "--", "echo", "Bearer very-secret-value", expect=6)
    assert "the value of MY_API_TOKEN" in told.err
    assert "very-secret-value" not in told.err
    assert project.jobs() == []


@pytest.mark.parametrize("job", ["../../../escape", "a/b", "A", "x" * 65])
def test_a_job_id_is_checked_before_anything_is_made(project: Project, job: str) -> None:
    project.write({"main.cw": "", "spec.yaml": "name: x\nadapter: {name: pipeline}\n"})
    project.run("job", "submit", "spec.yaml", "--detach", "--job-id", job, expect=6)
    project.run("wrap", "--job-id", job, "--", "true", expect=6)
    assert not list(project.root.rglob("*escape*"))


def test_a_link_in_the_place_of_the_work_folder_is_not_followed(project: Project) -> None:
    elsewhere = project.root / "elsewhere"
    elsewhere.mkdir()
    (project.store / "work").mkdir(parents=True)
    (project.store / "work" / "w").symlink_to(elsewhere)
    project.store.chmod(0o700)
    project.run("wrap", "--job-id", "w", "--detach", "--", "true", expect=8)
    assert list(elsewhere.iterdir()) == []


def test_long_commands_can_be_resumed_and_what_cannot_be_kept_is_refused_first(project: Project) -> None:
    words = [f"w{i}" for i in range(300)]
    project.run("wrap", "--job-id", "w", "--", "sh", "-c", "test -e key", "sh", *words, expect=1)
    (project.folder / "key").touch()
    project.run("job", "resume", "w")
    project.run("wrap", "--job-id", "v", "--artifact", "~x", "--", "true", expect=6)
    project.run("wrap", "--job-id", "v", "--timeout", "9999999", "--", "true", expect=6)
    assert [j["id"] for j in project.jobs()] == ["w"]


def test_a_file_that_was_expected_may_come_later(project: Project) -> None:
    step = {"id": "a", "command": "true", "artifacts": ["out.txt"]}
    spec(project, step, expected_artifacts=["out.txt"])
    project.run("job", "submit", "spec.json", "--job-id", "x", expect=5)
    (project.folder / "out.txt").write_text("here")
    project.run("job", "resume", "x")
    assert project.run("jobpack", "verify", "x").status == 0


def test_pause_while_a_step_waits_for_its_next_try(project: Project) -> None:
    spec(project, {"id": "a", "command": "echo x >> tries; false", "retries": 50})
    process = project.start("job", "submit", "spec.json", "--job-id", "x")
    deadline = time.monotonic() + 40
    while not (project.folder / "tries").exists() or (project.folder / "tries").read_text().count("x") < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    project.run("job", "pause", "x")
    tries = (project.folder / "tries").read_text()
    process.communicate(timeout=20)
    assert (project.folder / "tries").read_text() == tries
    assert project.run("job", "status", "x", "--json").json["status"] == "paused"


def test_a_workspace_that_leads_elsewhere_is_not_gone_on_in(project: Project) -> None:
    (project.folder / "ws").mkdir()
    steps = {"steps": [{"id": "a", "command": "touch ran", "decision_needed": True}], "workspace": "ws"}
    project.write({"spec.json": json.dumps({"name": "x", "inputs": steps})})
    project.run("job", "submit", "spec.json", "--job-id", "x", expect=4)
    project.approve("x")
    elsewhere = project.root / "elsewhere"
    elsewhere.mkdir()
    (project.folder / "ws").rmdir()
    (project.folder / "ws").symlink_to(elsewhere)
    assert "leads elsewhere" in project.run("job", "resume", "x", expect=6).err
    assert list(elsewhere.iterdir()) == []


def test_sigterm_to_a_wrapped_command_is_told_as_such(project: Project) -> None:
    process = project.start("wrap", "--", "sh", "-c", f"touch on; exec sleep 97.{os.getpid()}")
    wait_for(project.folder / "on")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "--rerun step.command:run" in err


def test_consent_given_for_a_background_job_reaches_it(project: Project) -> None:
    spec(project, {"id": "a", "command": "touch ran", "decision_needed": True})
    project.run("job", "submit", "spec.json", "--job-id", "x", "--detach", "--auto-approve")
    project.run("job", "watch", "x")
    assert (project.folder / "ran").exists()


def test_a_watcher_whose_reader_goes_away_ends(project: Project) -> None:
    spec(project, {"id": "a", "command": "touch on; sleep 60"})
    process = project.start("job", "submit", "spec.json", "--job-id", "x")
    try:
        wait_for(project.folder / "on")
        watcher = project.start("job", "watch", "x")
        assert watcher.stdout is not None
        watcher.stdout.readline()
        watcher.stdout.close()
        project.run("job", "pause", "x", "--now")  # something more to tell
        assert watcher.wait(30) == 0
        assert watcher.stderr is not None
        watcher.stderr.close()
    finally:
        process.kill()
        process.communicate()


def test_a_reader_that_stalls_does_not_keep_a_command_from_being_cancelled(project: Project) -> None:
    process = project.start("wrap", "--job-id", "w", "--", "sh", "-c", "touch on; yes")
    try:
        wait_for(project.folder / "on")
        time.sleep(0.5)  # nobody reads; the pipe is full
        project.run("job", "cancel", "w")
        deadline = time.monotonic() + 20
        while process.poll() is None:
            assert time.monotonic() < deadline, "it waits for a reader that does not come"
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate()
    assert project.run("job", "status", "w", "--json").json["status"] == "canceled"


def test_every_byte_reaches_a_slow_reader(project: Project) -> None:
    here, there = os.pipe()
    os.set_blocking(there, False)
    process = subprocess.Popen(
        project.command("wrap", "--", "sh", "-c", "head -c 300000 /dev/zero"), cwd=project.folder,
        env=project.environment(), stdin=subprocess.DEVNULL, stdout=there, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(there)
    time.sleep(2)
    with os.fdopen(here, "rb") as file:
        assert len(file.read()) == 300_000
    assert process.wait(30) == 0
