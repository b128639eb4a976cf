"""``job submit``, ``wrap``, ``job watch``, ``job pause`` and ``budget``: jobs made of commands, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.testing.project import Project

SPEC = """\
name: nightly
objective: build, then ship after somebody agreed
inputs:
  steps:
    - id: build
      command: echo building; echo built > built.txt
      artifacts: [built.txt]
    - id: ship
      summary: ship it
      command: echo shipped >> shipped.txt
      decision_needed: true
    - id: tell
      command: cat shipped.txt
expected_artifacts: [built.txt]
"""


def wait_for(what: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def status(project: Project, job: str) -> str:
    return str(project.run("job", "status", job, "--json").json["status"])


def alive(mark: str) -> list[int]:
    """Return the processes whose command line holds *mark*."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


# --- job specs ----------------------------------------------------------------------------------------------------


def test_a_decision_comes_before_its_command_and_the_job_leaves_a_verified_pack(project: Project) -> None:
    project.write({"spec.yaml": SPEC})
    stopped = project.run("job", "submit", "spec.yaml", "--job-id", "n1", expect=4)
    assert "clockwork approve n1 --plan" in stopped.err
    assert "$ echo shipped >> shipped.txt" in stopped.out
    assert not (project.folder / "shipped.txt").exists()
    project.approve("n1")
    done = project.run("job", "resume", "n1", "--json").json
    assert (done["status"], done["done"]) == ("completed", 2)
    assert (project.folder / "shipped.txt").read_text() == "shipped\n"
    report = project.run("jobpack", "verify", "n1", "--json").json
    assert report["headline"] == "VERIFIED signed"
    assert {e["type"] for e in project.events("n1")} >= {"budget.charged", "artifact.published", "approval.used"}


def test_a_rejected_job_is_over(project: Project) -> None:
    project.write({"spec.yaml": SPEC})
    project.run("job", "submit", "spec.yaml", "--job-id", "n1", expect=4)
    project.run("reject", "n1", "--reason", "not today")
    assert status(project, "n1") == "canceled"
    assert project.run("job", "resume", "n1", expect=1).err.startswith("error: job n1 is canceled")


def test_an_id_is_used_once(project: Project) -> None:
    project.write({"spec.yaml": "name: x\nadapter: {name: noop}\n"})
    assert project.run("job", "submit", "spec.yaml", "--job-id", "one", "--json").json["status"] == "completed"
    assert "is taken" in project.run("job", "submit", "spec.yaml", "--job-id", "one", expect=6).err


def test_a_typo_in_a_spec_is_told_with_its_place_and_makes_no_job(project: Project) -> None:
    project.write({"spec.yaml": "name: x\ninputs:\n  steps:\n    - id: a\n      comand: rm -rf x\n"})
    told = project.run("job", "submit", "spec.yaml", expect=6)
    assert "spec.yaml, line 5" in told.err
    assert "command" in told.err
    assert project.jobs() == []


def test_a_failed_step_stops_the_list_and_runs_again_on_resume(project: Project) -> None:
    project.write(
        {
            "spec.yaml": "name: x\ninputs:\n  steps:\n    - {id: a, command: echo a >> log}\n"
            "    - {id: b, command: 'test -e key && echo b >> log'}\n    - {id: c, command: echo c >> log}\n"
        }
    )
    failed = project.run("job", "submit", "spec.yaml", "--job-id", "x", expect=1)
    assert "step.b" in failed.out
    assert (project.folder / "log").read_text() == "a\n"
    (project.folder / "key").touch()
    project.run("job", "resume", "x")
    assert (project.folder / "log").read_text() == "a\nb\nc\n"


def test_retries_with_a_wait_between_and_their_budget(project: Project) -> None:
    counting = "n=$(cat n 2>/dev/null || echo 0); n=$((n+1)); echo $n > n; test $n -ge 3"
    project.write({"spec.yaml": f"name: x\ninputs:\n  steps:\n    - {{id: a, retries: 4, command: '{counting}'}}\n"})
    project.run("job", "submit", "spec.yaml", "--job-id", "x")
    kinds = [e["type"] for e in project.events("x") if e["type"].startswith("step.")]
    assert kinds.count("step.failed") == 2
    assert kinds.count("step.retried") == 2
    (project.folder / "n").unlink()
    project.run("job", "submit", "spec.yaml", "--job-id", "y", "--max-retries", "1", expect=3)
    assert status(project, "y") == "blocked_budget"
    assert (project.folder / "n").read_text() == "2\n"


def test_a_missing_expected_artifact_keeps_the_job_from_completing(project: Project) -> None:
    project.write(
        {
            "spec.yaml": "name: x\ninputs:\n  steps:\n    - {id: a, command: 'true', artifacts: [out.txt]}\n"
            "expected_artifacts: [out.txt]\n"
        }
    )
    told = project.run("job", "submit", "spec.yaml", "--job-id", "x", expect=5)
    assert "E_ACCEPT_MISSING_ARTIFACT" in told.err
    assert status(project, "x") == "blocked_error"
    project.write(
        {"bad.yaml": "name: x\ninputs:\n  steps:\n    - {id: a, command: 'true'}\nexpected_artifacts: [out.txt]\n"}
    )
    assert "no step names it" in project.run("job", "submit", "bad.yaml", expect=6).err
    assert "E_ACCEPT_MISSING_ARTIFACT" in project.run("wrap", "--artifact", "none.txt", "--", "true", expect=5).err


def test_a_step_that_is_not_executed_is_skipped_and_what_follows_runs(project: Project) -> None:
    project.write(
        {
            "spec.yaml": "name: x\ninputs:\n  steps:\n    - {id: a, command: touch a, executed: false}\n"
            "    - {id: b, command: touch b}\n"
        }
    )
    project.run("job", "submit", "spec.yaml", "--job-id", "x")
    assert not (project.folder / "a").exists()
    assert (project.folder / "b").exists()
    assert [e["payload"]["step_id"] for e in project.events("x") if e["type"] == "step.skipped"] == ["step.a:run"]
    assert project.run("jobpack", "verify", "x").status == 0


def test_a_spec_longer_than_an_event_is_kept_too(project: Project) -> None:
    steps = [{"id": f"s{i}", "command": f"echo {'x' * 400}"} for i in range(150)]
    project.write({"spec.json": json.dumps({"name": "long", "inputs": {"steps": steps}})})
    project.run("job", "submit", "spec.json", "--job-id", "x", "--max-step-count", "149", expect=3)
    project.run("budget", "raise", "x", "--max-step-count", "150", "--reason", "the last one")
    assert project.run("job", "resume", "x", "--json").json["done"] == 1
    assert project.run("jobpack", "verify", "x").status == 0


def test_a_spec_comes_from_stdin_and_init_writes_one_that_can_be_submitted(project: Project) -> None:
    project.run("job", "submit", "-", "--job-id", "x", stdin="name: x\nadapter: {name: noop}\n")
    project.run("job", "init")
    assert "is there already" in project.run("job", "init", expect=6).err
    assert project.run("job", "submit", "jobspec.yaml", "--job-id", "y", "--auto-approve", expect=None).status in {
        0,
        4,
        5,
    }


# --- wrap ---------------------------------------------------------------------------------------------------------


def test_wrap_passes_output_and_flags_through_and_keeps_both(project: Project) -> None:
    done = project.run("wrap", "--job-id", "w", "--", "sh", "-c", 'echo "out $0 $1"; echo err >&2', "--json", "--help")
    assert done.out == "out --json --help\n"
    assert done.err.startswith("err\n")
    assert "Pack" in done.err
    outputs = [e["payload"] for e in project.events("w") if e["type"] == "step.output"]
    assert [(o["stream"], o["bytes"]) for o in outputs] == [("out", 18), ("err", 4)]
    assert project.run("jobpack", "verify", "w").status == 0


def test_wrap_shows_output_while_the_command_runs(project: Project) -> None:
    process = project.start("wrap", "--", "sh", "-c", "echo first; sleep 30")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.communicate()


def test_wrap_runs_with_the_callers_environment_and_masks_what_looks_secret(project: Project) -> None:
    project.env |= {"PLAIN": "seen", "MY_API_TOKEN": "very-secret-value"}
    done = project.run("wrap", "--job-id", "w", "--", "sh", "-c", 'echo "$PLAIN $MY_API_TOKEN $CW_JOB_ID"')
    assert done.out == "seen very-secret-value w\n"  # to the one who has it anyway
    kept = b"".join(p.read_bytes() for p in project.store.rglob("*") if p.is_file())
    assert b"very-secret-value" not in kept


def test_a_wrapped_command_that_fails_says_its_code_and_may_be_run_again(project: Project) -> None:
    failed = project.run("wrap", "--job-id", "w", "--json", "--", "sh", "-c", "echo no; test -e key", expect=1)
    assert failed.json["stdout"] == "no\n"
    assert "exit 1" in failed.error["message"]
    (project.folder / "key").touch()
    assert project.run("job", "resume", "w").out == "no\n"


def test_wrap_json_is_one_document_whatever_the_command_prints(project: Project) -> None:
    document = project.run("wrap", "--json", "--", "sh", "-c", "echo '{'; echo x >&2").json
    assert (document["status"], document["stdout"], document["stderr"]) == ("completed", "{\n", "x\n")


def test_wrap_without_a_command_and_with_one_that_is_not_there(project: Project) -> None:
    assert "which command" in project.run("wrap", "--", expect=6).err
    refused = project.run("wrap", "ls", "-la", expect=6).err
    assert "there is no '-la' here" in refused and "clockwork wrap -- ls -la" in refused
    assert "exit 127" in project.run("wrap", "--", "no-such-program-here", expect=1).err


def test_a_wrapped_command_stops_at_its_wall_budget_with_its_whole_tree(project: Project) -> None:
    mark = f"sleep 20.{os.getpid()}"
    command = f"({mark} & {mark}); touch came-to-its-end"
    project.run("wrap", "--job-id", "w", "--max-wall-time-seconds", "1", "--", "sh", "-c", command, expect=3)
    assert status(project, "w") == "blocked_budget"
    assert alive(mark.split()[1]) == []
    assert not (project.folder / "came-to-its-end").exists()


def test_a_step_reports_tokens_and_cost_and_is_stopped_by_their_budget(project: Project) -> None:
    meter = 'echo \'{\\"tokens\\": 60, \\"cost\\": \\"0.5\\"}\' >> $CW_METER'
    steps = "".join(f'    - {{id: s{i}, command: "{meter}"}}\n' for i in range(4))
    project.write({"spec.yaml": f"name: x\ninputs:\n  steps:\n{steps}budgets: {{max_tokens: 100}}\n"})
    project.run("job", "submit", "spec.yaml", "--job-id", "x", expect=3)
    checked = project.run("budget", "check", "x", "--json", expect=3).json
    assert (checked["counters"]["tokens"], checked["counters"]["cost"]) == (120, "1")
    assert checked["exceeded"] == ["tokens 120 > 100"]
    assert project.run("budget", "check", "x", "--max-tokens", "500", "--json").json["exceeded"] == []


# --- while it runs ------------------------------------------------------------------------------------------------


def slow(project: Project) -> str:
    project.write(
        {
            "slow.yaml": "name: slow\ninputs:\n  steps:\n"
            "    - {id: a, command: 'echo begun > a; while test ! -e go; do sleep 0.05; done; echo a >> log'}\n"
            "    - {id: b, command: echo b >> log}\n"
        }
    )
    return "slow.yaml"


def test_a_detached_job_outlives_its_shell_and_can_be_watched_to_its_end(project: Project) -> None:
    spec = slow(project)
    shell = subprocess.run(
        ["sh", "-c", 'exec "$@"', "sh", *project.command("job", "submit", spec, "--job-id", "d", "--detach")],
        cwd=project.folder, env=project.environment(), capture_output=True, text=True, timeout=60, check=True,
        start_new_session=True,
    )  # fmt: skip
    assert "runs in the background" in shell.stdout
    wait_for((project.folder / "a").exists)
    assert status(project, "d") == "running"
    watching = project.start("job", "watch", "d", "--json")
    (project.folder / "go").touch()
    out, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    types = [json.loads(line)["type"] for line in out.splitlines()]
    assert types[0] == "job.created"
    assert "job.finished" in types
    assert (project.folder / "log").read_text() == "a\nb\n"
    assert project.run("jobpack", "verify", "d").status == 0


def test_pause_lets_the_running_step_end_and_starts_no_other(project: Project) -> None:
    spec = slow(project)
    process = project.start("job", "submit", spec, "--job-id", "p")
    try:
        wait_for((project.folder / "a").exists)
        assert "come to their end" in project.run("job", "pause", "p", "--reason", "lunch").out
        time.sleep(0.6)
        assert process.poll() is None
        (project.folder / "go").touch()
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()
    assert status(project, "p") == "paused"
    assert (project.folder / "log").read_text() == "a\n"
    project.run("job", "resume", "p")
    assert (project.folder / "log").read_text() == "a\nb\n"


def test_pause_now_and_cancel_stop_the_running_tree(project: Project) -> None:
    for verb, job, after in (("pause", "p", "paused"), ("cancel", "c", "canceled")):
        mark = f"88.{os.getpid()}"
        project.write(
            {"s.yaml": f"name: s\ninputs:\n  steps:\n    - {{id: a, command: 'sleep {mark} & touch {job}; wait'}}\n"}
        )
        process = project.start("job", "submit", "s.yaml", "--job-id", job)
        try:
            wait_for((project.folder / job).exists)
            assert alive(mark)
            project.run("job", verb, job, *(["--now", "--wait"] if verb == "pause" else []))
            process.wait(30)
        finally:
            process.kill()
            process.communicate()
        assert status(project, job) == after
        assert alive(mark) == []


def test_nothing_to_pause_where_nobody_runs(project: Project) -> None:
    project.write({"spec.yaml": SPEC})
    project.run("job", "submit", "spec.yaml", "--job-id", "x", expect=4)
    assert "only a running job can pause" in project.run("job", "pause", "x", expect=1).err


def test_watch_of_a_waiting_job_ends_at_once_with_what_it_waits_for(project: Project) -> None:
    project.write({"spec.yaml": SPEC})
    project.run("job", "submit", "spec.yaml", "--job-id", "x", expect=4)
    seen = project.run("job", "watch", "x", expect=4)
    assert "step.build" in seen.out
    assert "clockwork approve x" in seen.out


@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_whose_process_was_ended_goes_on_where_it_stopped(project: Project, killed: signal.Signals) -> None:
    spec = slow(project)
    process = project.start("job", "submit", spec, "--job-id", "k")
    wait_for((project.folder / "a").exists)
    process.send_signal(killed)
    process.communicate(timeout=30)
    (project.folder / "go").touch()
    refused = project.run("job", "resume", "k", expect=9)
    assert "step.a:run" in refused.err
    project.run("job", "resume", "k", "--rerun", "step.a:run")
    assert (project.folder / "log").read_text() == "a\nb\n"


def test_a_pipeline_has_budgets_too(project: Project) -> None:
    project.write(
        {
            "main.cw": 'file "a" {\n  path = "out/a"\n  content = "x"\n}\nfile "b" {\n  path = "out/b"\n  content = file.a.path\n}\n'
        }
    )
    stopped = project.run("apply", "--auto-approve", "--max-step-count", "1", expect=3)
    job = project.jobs()[0]["id"]
    assert f"clockwork budget raise {job} --max-step-count LIMIT" in stopped.out
    assert (
        "does not raise it"
        in project.run("budget", "raise", job, "--max-step-count", "1", "--reason", "x", expect=6).err
    )
    project.run("budget", "raise", job, "--max-step-count", "9", "--reason", "needed")
    project.run("job", "resume", job)
    assert (project.folder / "out/b").exists()


def test_a_spec_may_be_about_a_configuration(project: Project) -> None:
    project.write(
        {
            "site/main.cw": 'variable "text" { type = string }\nfile "a" {\n  path = "out/a"\n  content = var.text\n}\n',
            "spec.yaml": "name: site\ninputs: {workspace: site}\nadapter:\n  name: pipeline\n"
            "  config: {verb: apply, variables: {text: hello}}\nbudgets: {max_step_count: 5}\n",
        }
    )
    project.run("job", "submit", "spec.yaml", "--job-id", "site", expect=4)
    project.approve("site")
    project.run("job", "resume", "site")
    assert (project.folder / "site/out/a").read_text() == "hello"
    assert project.run("budget", "check", "site", "--json").json["limits"] == {"step_count": "5"}
    project.write({"bad.yaml": "name: site\nadapter: {name: pipeline, config: {verbs: apply}}\n"})
    assert "unknown key 'verbs'" in project.run("job", "submit", "bad.yaml", expect=6).err


def test_a_configuration_is_applied_in_the_background(project: Project) -> None:
    project.write(
        {
            "main.cw": 'file "a" {\n  path = "out/a"\n  content = "x"\n}\n',
            "spec.yaml": "name: site\nadapter: {name: pipeline}\n",
        }
    )
    project.run("job", "submit", "spec.yaml", "--job-id", "bg", "--detach", "--auto-approve")
    project.run("job", "watch", "bg")
    assert (project.folder / "out/a").exists()
    assert "is taken" in project.run("job", "submit", "spec.yaml", "--job-id", "bg", "--detach", expect=6).err


def test_what_a_job_depends_on_is_compared_when_it_goes_on(project: Project) -> None:
    project.write({"spec.yaml": SPEC + "environment_fingerprint: {rules: [os, 'file:lock.txt']}\n", "lock.txt": "1"})
    project.run("job", "submit", "spec.yaml", "--job-id", "n1", expect=4)
    project.approve("n1")
    project.write({"lock.txt": "2"})
    assert "file:lock.txt" in project.run("job", "resume", "n1", expect=11).err
    project.write({"lock.txt": "1"})
    project.run("job", "resume", "n1")


def test_an_approval_copied_before_a_script_was_edited_does_not_approve_the_edit(project: Project) -> None:
    project.write({"spec.yaml": SPEC})
    project.run("job", "submit", "spec.yaml", "--job-id", "x", expect=4)
    asked = project.run("job", "status", "x", "--json").json["waiting"][0]["plan"][:8]
    script = next(project.store.glob("work/x/build/scripts/*ship*/run.sh"))
    script.write_text(script.read_text().replace("echo shipped", "echo changed"))
    stopped = project.run("job", "resume", "x", expect=4)
    assert "is edited by hand: that runs, not what the plan shows" in stopped.err
    told = project.run("job", "status", "x")
    assert "edited by hand" in told.out
    refused = project.run("approve", "x", "--plan", asked, "--reason", "copied from a ticket", expect=6)
    assert "were changed since it was first asked about" in refused.err
    command = next(line for line in refused.err.splitlines() if "Then: clockwork approve" in line)
    bundle = command.split("--bundle ")[1].split()[0]
    project.run("approve", "x", "--plan", asked, "--bundle", bundle, "--reason", "seen")
    project.run("job", "resume", "x")
    assert (project.folder / "shipped.txt").read_text() == "changed\n"


def test_a_job_cut_off_within_its_last_append_is_ended_by_resume(project: Project) -> None:
    project.write({"spec.yaml": "name: x\nadapter: {name: noop}\n"})
    project.run("job", "submit", "spec.yaml", "--job-id", "x")
    folder = project.store / "jobs" / "x"
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    last = next(i for i, line in enumerate(lines) if b'"type":"job.finished"' in line)
    # As a power cut leaves it that let the disk have the first lines of an append: nobody was told that it was durable.
    lease = json.loads((folder / "lease.json").read_bytes())
    kept = json.loads(lines[last - 1])
    lease |= {"watermark": {"seq": kept["seq"], "hash": kept["hash"]}, "state": "held"}
    lease["holder"] |= {"pid": 999_999_999, "start_ticks": 1}
    (folder / "lease.json").write_text(json.dumps(lease, sort_keys=True, separators=(",", ":")))
    (folder / "events.jsonl").write_bytes(b"".join(lines[:last]))
    (folder / "snapshot.json").unlink()
    assert "its last record is written now" in project.run("job", "resume", "x").out
    assert project.run("jobpack", "export", "x", "--json").json["final"]
    assert project.run("jobpack", "verify", "x", "--require", "final").status == 0


def test_a_pruned_job_takes_its_scripts_and_logs_with_it(project: Project) -> None:
    project.run("wrap", "--job-id", "w", "--", "true")
    assert (project.store / "work" / "w").is_dir()
    project.run("store", "prune", "--job-max-age", "0m", "--yes")
    assert project.jobs() == []
    assert not (project.store / "work" / "w").exists()
