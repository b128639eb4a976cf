"""What only a step can tell is planned in a second section of the same job, with a decision of its own."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project
from tests.integration.tickets import TICKET, ticket_project

NOTE = 'file "note" {\n  path    = "out/note"\n  content = "number ${ticket.t.number}"\n}\n'
OUTPUT = 'output "number" { value = ticket.t.number }\n'
TWO = TICKET + NOTE + OUTPUT


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = ticket_project(tmp_path)
    made.write({"main.cw": TWO})
    return made


def text(project: Project, name: str) -> str:
    path = project.folder / "out" / name
    return path.read_text() if path.exists() else ""


def sections(project: Project, job: str = "") -> list[tuple[int, str]]:
    """Return number and outcome of each section that was closed."""
    return [
        (e["payload"]["section"], e["payload"]["outcome"]) for e in project.events(job) if e["type"] == "section.closed"
    ]


def issued(project: Project) -> list[str]:
    log = project.folder / "office/log"
    return log.read_text().splitlines() if log.exists() else []


def approve(project: Project, job: str) -> None:
    plan = project.run("job", "status", job, "--json").json["waiting"][0]["plan"]
    project.run("approve", job, "--plan", plan[:8], "--reason", "agreed")


def test_both_sections_run_at_once_when_nobody_has_to_be_asked(project: Project) -> None:
    plan = project.run("plan", "--json").json
    assert {c["address"]: c.get("deferred", "") for c in plan["changes"]} == {
        "ticket.t": "",
        "file.note": "ticket.t.number is known only after apply",
    }
    assert plan["outputs"][0]["after"] == {"$unknown": "ticket.t.number is known only after apply"}
    done = project.run("apply", "--auto-approve")
    assert "2 of them later" not in done.out and "1 of them later" in done.out
    assert text(project, "note") == "number 1" and text(project, "ticket") == "1 me\n"
    (job,) = project.jobs()
    assert job["status"] == "completed" and sections(project) == [(1, "completed"), (2, "completed")]
    assert project.run("output", "number").out.strip() == "1"
    project.run("plan", "--detailed-exitcode")
    assert project.run("apply", "--auto-approve", "--json").json["status"] == "nothing"


def test_the_document_of_an_apply_in_two_sections_is_one_document(project: Project) -> None:
    done = project.run("apply", "--auto-approve", "--json")
    assert done.json["status"] == "completed" and done.json["outputs"][0]["value"] == "1"


def test_each_section_waits_for_its_own_decision_and_the_job_can_be_packed(project: Project) -> None:
    first = project.run("apply", "--json", expect=4)
    job = project.jobs()[0]["id"]
    assert text(project, "ticket") == "" and first.error["details"]["section"] == 1
    approve(project, job)
    second = project.run("job", "resume", job, expect=4)
    assert text(project, "ticket") == "1 me\n" and text(project, "note") == ""
    assert f"clockwork approve {job} --plan" in second.err
    assert project.jobs()[0]["status"] == "blocked_decision"
    again = project.run("job", "resume", job, expect=4)
    assert "no longer fits" not in again.err
    plans = [e["payload"]["plan"] for e in project.events(job) if e["type"] == "plan.bound"]
    assert len(plans) == 2
    approve(project, job)
    project.run("job", "resume", job)
    assert text(project, "note") == "number 1" and project.jobs()[0]["status"] == "completed"
    assert sections(project, job) == [(1, "completed"), (2, "completed")]
    assert issued(project) == ["issued out/ticket"]

    pack = project.run("jobpack", "export", job, "--json").json
    path = pack.get("path") or pack["file"]
    verified = project.run("jobpack", "verify", path)
    assert "VERIFIED" in verified.out
    project.run("jobpack", "inspect", path)


def test_the_second_decision_may_be_no_and_what_was_done_stays(project: Project) -> None:
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    approve(project, job)
    project.run("job", "resume", job, expect=4)
    project.run("reject", job, "--reason", "not so")
    assert project.jobs()[0]["status"] == "canceled"
    project.run("job", "resume", job, expect=1)
    assert text(project, "ticket") == "1 me\n" and text(project, "note") == ""
    assert [r["address"] for r in project.run("show", "--json").json["resources"]] == ["ticket.t"]
    project.run("apply", "--auto-approve")
    assert text(project, "note") == "number 1" and issued(project) == ["issued out/ticket"]


def test_at_a_terminal_each_plan_is_shown_and_asked_about(project: Project) -> None:
    answers = [("Run plan", "yes\n"), ("Reason", "\n")]
    done = project.converse("apply", answers=[*answers, ("What waited is known now", ""), *answers])
    assert "What waited is known now." in done.out and done.out.count("Run plan") == 2
    assert text(project, "note") == "number 1"


@pytest.mark.slow
def test_at_a_terminal_the_second_question_may_be_left_open(project: Project) -> None:
    answers = [("Run plan", "yes\n"), ("Reason", "\n"), ("Run plan", "later\n")]
    done = project.converse("apply", answers=answers, expect=4)
    job = project.jobs()[0]
    assert job["status"] == "blocked_decision" and job["id"] in done.out
    approve(project, job["id"])
    project.run("job", "resume", job["id"])
    assert text(project, "note") == "number 1"


def test_a_saved_plan_runs_what_it_says_and_what_waited_is_asked_about(project: Project) -> None:
    """Approved is what was in the file: what could not be in it needs its own decision, and gets one."""
    project.run("plan", "--out", "plan.json")
    assert "later" in project.run("show", "plan.json").out
    project.run("apply", "plan.json", expect=4)
    job = project.jobs()[0]["id"]
    approve(project, job)
    project.run("job", "resume", job, expect=4)
    assert text(project, "ticket") == "1 me\n" and text(project, "note") == ""
    approve(project, job)
    project.run("job", "resume", job)
    assert text(project, "note") == "number 1"
    project.run("apply", "plan.json", "--auto-approve", expect=13)


def test_killed_between_the_two_sections_it_goes_on_with_the_second(project: Project) -> None:
    project.write({"main.cw": TWO.replace("number $", "longer number $")})
    process = project.start("apply", "--auto-approve")
    log: Path | None = None
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        log = log or next(iter((project.store / "jobs").glob("job_*/events.jsonl")), None)
        if log is not None and b'"section.closed"' in log.read_bytes():
            break
        time.sleep(0.0005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert log is not None
    job = log.parent.name
    closed = len(sections(project, job))
    done = project.run("job", "resume", job, expect=None)
    if done.status == 4:
        assert closed == 1, "the second decision was not recorded when it was killed"
        approve(project, job)
        project.run("job", "resume", job)
    assert text(project, "note") == "longer number 1" and issued(project) == ["issued out/ticket"]
    assert project.jobs()[0]["status"] == "completed"
    project.run("plan", "--detailed-exitcode")


@pytest.mark.parametrize("point", [2, 9, 14, 18, 22, 26, 30])
@pytest.mark.slow
def test_killed_anywhere_it_is_finished_by_resume(project: Project, point: int) -> None:
    process = project.start("apply", "--auto-approve")
    log: Path | None = None
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        log = log or next(iter((project.store / "jobs").glob("job_*/events.jsonl")), None)
        if log is not None and log.read_bytes().count(b"\n") >= point:
            break
        time.sleep(0.0005)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    job = project.jobs()[0]["id"]
    for _ in range(6):
        if project.jobs()[0]["status"] == "completed":
            break
        done = project.run("job", "resume", job, expect=None)
        assert done.status in {0, 4}, done.err
        if done.status == 4:
            approve(project, job)
    assert text(project, "note") == f"number {text(project, 'ticket').split()[0]}"
    project.run("plan", "--detailed-exitcode")


def test_a_replaced_ticket_is_made_anew_once_and_who_names_its_number_follows(project: Project) -> None:
    project.run("apply", "--auto-approve")
    planned = {c["address"]: c for c in project.run("plan", "--replace", "ticket.t", "--json").json["changes"]}
    assert planned["ticket.t"]["kind"] == "replace" and planned["file.note"]["deferred"]
    project.run("apply", "--replace", "ticket.*", "--auto-approve")
    assert text(project, "note") == "number 2"
    assert issued(project) == ["issued out/ticket", "returned out/ticket", "issued out/ticket"]
    project.run("plan", "--detailed-exitcode")


def test_resumed_at_the_second_gate_it_is_not_made_anew_once_more(project: Project) -> None:
    project.run("apply", "--auto-approve")
    project.run("apply", "--replace", "ticket.t", expect=4)
    job = project.jobs()[0]["id"]
    approve(project, job)
    project.run("job", "resume", job, expect=4)
    approve(project, job)
    project.run("job", "resume", job)
    assert text(project, "note") == "number 2" and len(issued(project)) == 3


TRIGGERED = TICKET.replace("}\n", "  note = var.note\n}\n") + (
    'variable "note" { default = "a" }\n'
    'ticket "follower" {\n  path   = "out/follower"\n  holder = "h${ticket.t.number}"\n'
    "  lifecycle {\n    replace_triggered_by = [ticket.t]\n  }\n}\n"
    'ticket "second" {\n  path = "out/second"\n  note = ticket.t.number\n'
    "  lifecycle {\n    replace_triggered_by = [ticket.t.note]\n  }\n}\n"
)


def test_what_is_triggered_by_a_change_is_replaced_though_it_had_to_wait(project: Project) -> None:
    project.write({"main.cw": TRIGGERED})
    project.run("apply", "--auto-approve")
    project.run("plan", "--detailed-exitcode")
    before = len(issued(project))
    project.run("apply", "--var", "note=b", "--auto-approve")
    steps = issued(project)[before:]
    assert steps[0] == "issued out/ticket"
    assert sorted(steps[1:]) == [
        "issued out/follower", "issued out/second", "returned out/follower", "returned out/second"
    ]  # fmt: skip
    project.run("plan", "--var", "note=b", "--detailed-exitcode")


@pytest.mark.slow
def test_triggers_hold_when_the_second_section_is_resumed(project: Project) -> None:
    project.write({"main.cw": TRIGGERED})
    project.run("apply", "--auto-approve")
    project.write({"main.cw": TRIGGERED.replace('default = "a"', 'default = "b"')})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    approve(project, job)
    waiting = project.run("job", "resume", job, expect=4)
    assert "no longer fits" not in waiting.err
    approve(project, job)
    project.run("job", "resume", job)
    assert [s for s in issued(project) if s.startswith("returned")] == [
        "returned out/follower",
        "returned out/second",
    ] or [s for s in issued(project) if s.startswith("returned")] == ["returned out/second", "returned out/follower"]


IGNORED = TICKET.replace("}\n", '  note = "a"\n  lifecycle {\n    ignore_changes = [note]\n  }\n}\n')


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (IGNORED, IGNORED.replace('"a"', '"b"')),
        (TICKET.replace("}\n", "  note = timestamp()\n}\n"),) * 2,
        (TICKET, "moved {\n  from = ticket.t\n  to   = ticket.u\n}\n" + TICKET.replace('"t"', '"u"')),
    ],
    ids=["ignored", "another time", "moved"],
)
def test_what_does_not_change_stays_known(project: Project, before: str, now: str) -> None:
    project.write({"main.cw": before + NOTE + OUTPUT})
    project.run("apply", "--auto-approve")
    project.write(
        {"main.cw": now + (NOTE + OUTPUT).replace("ticket.t.", "ticket.u." if "moved" in now else "ticket.t.")}
    )
    plan = project.run("plan", "--json").json
    assert {c["kind"] for c in plan["changes"]} <= {"noop", "move"} and not any(
        "deferred" in c for c in plan["changes"]
    )
    assert plan["outputs"][0]["after"] == "1"


def test_what_was_changed_outside_is_not_known(project: Project) -> None:
    project.run("apply", "--auto-approve")
    (project.folder / "out/ticket").write_text("99 somebody\n")
    plan = {c["address"]: c for c in project.run("plan", "--json").json["changes"]}
    assert plan["ticket.t"]["kind"] == "update" and plan["file.note"]["deferred"]
    project.run("apply", "--auto-approve")
    assert text(project, "note") == "number 2" and text(project, "ticket") == "2 me\n"


def test_checks_alone_run_no_apply_and_refuse_what_is_not_known(project: Project) -> None:
    check = 'check "c" {\n  file_matches = { path = "out/note", pattern = "number ${ticket.t.number}" }\n  depends_on = [file.note]\n}\n'
    plain = 'check "p" {\n  file_exists = "out/there"\n}\n'
    project.write({"main.cw": TWO + plain, "out/there": "x"})
    done = project.run("verify", "--json")
    assert done.json["verb"] == "verify" and done.json["done"] == 1
    assert text(project, "ticket") == "" and project.jobs()[0]["status"] == "completed"
    project.write({"main.cw": TWO + check})
    refused = project.run("verify", "--json", expect=6)
    assert "known only after apply" in refused.error["message"]
    project.run("apply", "--auto-approve")
    assert project.run("verify", "--json").json["done"] == 1


def test_a_value_that_no_step_tells_is_refused_and_not_waited_for(project: Project) -> None:
    project.write({"main.cw": TWO})
    refused = project.run(
        "apply", "--target", "file.note", "--exclude", "ticket.t", "--auto-approve", "--json", expect=None
    )
    assert refused.status == 0 and refused.json["status"] == "nothing", "what stands on it is left out too"
    project.run("apply", "--target", "ticket.t", "--auto-approve")
    assert text(project, "note") == "" and text(project, "ticket")
    project.run("apply", "--auto-approve")
    assert text(project, "note") == "number 1"


def test_what_an_import_tells_is_known_in_the_second_section(project: Project) -> None:
    project.write({"main.cw": TWO + 'import {\n  to = ticket.t\n  id = "out/ticket"\n}\n', "out/ticket": "41 me\n"})
    plan = {c["address"]: c for c in project.run("plan", "--json").json["changes"]}
    assert plan["ticket.t"]["kind"] == "import" and plan["file.note"]["deferred"]
    project.run("apply", "--auto-approve")
    assert text(project, "note") == "number 41" and issued(project) == []
    assert project.run("output", "number").out.strip() == "41"
    project.run("plan", "--detailed-exitcode")


def test_two_things_in_a_row_that_only_a_step_can_tell_are_three_sections(project: Project) -> None:
    second = 'ticket "u" {\n  path = "out/second"\n  note = "after ${ticket.t.number}"\n}\n'
    project.write({"main.cw": TICKET + second + NOTE.replace("ticket.t", "ticket.u")})
    project.run("apply", "--auto-approve")
    assert sections(project) == [(1, "completed"), (2, "completed"), (3, "completed")]
    assert text(project, "note") == "number 2"
    project.run("plan", "--detailed-exitcode")


def test_what_a_step_told_is_an_output_also_when_another_step_failed(project: Project) -> None:
    project.write({"main.cw": TICKET + OUTPUT + 'command "bad" {\n  script = "exit 3"\n}\n'})
    project.run("apply", "--auto-approve", expect=1)
    assert project.run("output", "number").out.strip() == "1"


@pytest.mark.parametrize(("flag", "written"), [("--force", "number 2"), ("--keep-edits", "edited")])
def test_what_was_said_about_edited_scripts_holds_for_both_sections(project: Project, flag: str, written: str) -> None:
    project.run("apply", "--auto-approve")
    (script,) = project.folder.rglob("scripts/file.note/write_file.sh")
    script.write_text("#!/bin/sh\nprintf edited > out/note\n")
    project.run("apply", "--replace", "ticket.t", flag, "--auto-approve", expect=None)
    assert text(project, "note") == written


@pytest.mark.parametrize(("flag", "written"), [("--force", "number 2"), ("--keep-edits", "edited")])
def test_what_was_said_about_edited_scripts_still_holds_when_the_job_was_resumed(
    project: Project, flag: str, written: str
) -> None:
    project.run("apply", "--auto-approve")
    (script,) = project.folder.rglob("scripts/file.note/write_file.sh")
    script.write_text("#!/bin/sh\nprintf edited > out/note\n")
    project.run("apply", "--replace", "ticket.t", flag, expect=4)
    job = project.jobs()[0]["id"]
    approve(project, job)
    project.run("job", "resume", job, expect=4)
    asked = project.run("job", "resume", job, expect=4)
    assert "no longer fits" not in asked.err
    approve(project, job)
    project.run("job", "resume", job, expect=None)
    assert text(project, "note") == written


def test_a_failure_in_the_second_section_leaves_the_first_done(project: Project) -> None:
    project.write({"main.cw": TICKET + 'command "c" {\n  script = "exit ${ticket.t.number}"\n}\n'})
    project.run("apply", "--auto-approve", expect=1)
    job = project.jobs()[0]["id"]
    assert text(project, "ticket") and project.jobs()[0]["status"] == "blocked_error"
    project.run("job", "resume", job, expect=1)
    assert issued(project) == ["issued out/ticket"]
    project.write({"main.cw": TICKET + NOTE})
    project.run("apply", "--auto-approve")
    assert text(project, "note") == "number 1"


def test_a_number_that_never_becomes_known_ends_the_job_with_a_clear_error(tmp_path: Path) -> None:
    project = ticket_project(tmp_path)
    source = project.root / "site/cw_ticket.py"
    forgetful = source.read_text().replace('{"number": number, "holder": holder}', '{"holder": holder}')
    source.write_text(forgetful)
    project.write({"main.cw": TWO})
    done = project.run("apply", "--auto-approve", "--json", expect=None, timeout=60)
    assert done.status not in {0, 4}
    message = json.loads(done.err.strip().splitlines()[-1])["message"]
    assert "file.note cannot be planned" in message or "after apply" in message
    assert len(sections(project)) <= 3
