"""A job in another environment stops and says what differs; approvals of several persons, signed, for a while."""

from __future__ import annotations

from pathlib import Path

from clockwork_nb.signing import SigningKey
from clockwork_nb.testing.project import Project

SPEC = """\
name: build
inputs:
  steps:
    - {id: first, command: "echo one >> log"}
    - {id: second, command: "test -e go", idempotent: true}
    - {id: gated, command: "echo three >> log", decision_needed: true, quorum: 2}
environment_fingerprint:
  rules: ["file:lock.txt", "env:TOKEN", python]
"""


def spec_job(project: Project) -> str:
    """Return a job whose second step failed."""
    project.env["TOKEN"] = "s3cret-one"
    project.write({"spec.yaml": SPEC, "lock.txt": "a==1\n"})
    project.run("job", "submit", "spec.yaml", "--job-id", "job_a", expect=1)
    (project.folder / "go").touch()
    return "job_a"


def state(project: Project, job: str) -> tuple[str, str]:
    document = project.run("job", "status", job, "--json").json
    return document["status"], document["reason"]


def test_another_environment_blocks_and_is_accepted_for_one_resume_only(project: Project) -> None:
    job = spec_job(project)
    project.write({"lock.txt": "a==2\n"})
    project.env["TOKEN"] = "s3cret-two"
    stopped = project.run("job", "resume", job, expect=11)
    assert "E_ENV_FINGERPRINT_MISMATCH" in stopped.err
    assert "  env:TOKEN: another value\n  file:lock.txt: " in stopped.err
    assert "--override-env" in stopped.err
    shown = project.run("job", "status", job, "--json").json
    assert (shown["status"], "is not the one it started in" in shown["message"]) == ("blocked_error", True)

    assert "needs a reason" in project.run("job", "resume", job, "--override-env", expect=6).err
    project.run("job", "resume", job, "--override-env", "--reason", "lock file updated", expect=4)
    assert (project.folder / "log").read_text() == "one\n"

    project.run("job", "resume", job, expect=11)  # it was good for that one resume
    assert state(project, job) == ("blocked_error", "E_ENV_FINGERPRINT_MISMATCH")
    project.write({"lock.txt": "a==1\n"})
    project.env["TOKEN"] = "s3cret-one"
    project.run("job", "resume", job, expect=4)  # back where it began, nothing is to be overridden
    log = (project.store / "jobs" / job / "events.jsonl").read_text()
    assert log.count('"type":"env.override"') == 1
    assert "s3cret" not in log
    assert "hmac-sha256:" in log


def test_a_rule_that_cannot_be_answered_makes_no_job(project: Project) -> None:
    project.write({"spec.yaml": SPEC.replace("python", "file:../outside")})
    assert "not below" in project.run("job", "submit", "spec.yaml", expect=6).err
    assert project.run("job", "list", "--json").json == []


def test_two_persons_approve_one_of_them_signed(project: Project) -> None:
    job = spec_job(project)
    project.run("job", "resume", job, expect=4)
    plan = project.run("job", "status", job, "--json").json["waiting"][0]["plan"]
    approve = ("approve", job, "--plan", plan[:8], "--reason", "looks right")
    first = project.run(*approve, "--by", "Ann", "--expires", "2h")
    assert "(says: Ann)" in first.out
    assert "1 of 2 persons have approved; 1 more must" in first.out
    assert "said yes already" in project.run(*approve, "--by", "Bob", expect=1).err
    assert "1 of 2 persons" in project.run("job", "status", job).out
    assert "1 of 2 persons" in project.run("job", "resume", job, expect=4).err

    project.run(*approve, "--sign")  # it takes the place of the unsigned one
    key = project.root / "second.key"
    key.write_bytes(SigningKey.from_seed(b"2" * 32).to_pem())
    key.chmod(0o600)
    last = project.run(*approve, "--key", str(key), "--json").json
    assert (last["missing"], last["signed"], last["quorum"]) == (0, True, 2)
    project.run("job", "resume", job)
    assert (project.folder / "log").read_text() == "one\nthree\n"

    pack = next(Path(project.folder / "clockwork-out" / "jobpacks").glob("*.zip"))
    report = project.run("jobpack", "verify", str(pack), "--json").json
    decided = next(a for a in report["approvals"] if a["signers"])
    assert [s["standing"] for s in decided["signers"]] == ["trusted", "unknown"]
    assert "signed by default, unknown key SHA256:" in project.run("jobpack", "verify", str(pack)).out


def test_an_approval_that_ran_out_is_asked_for_again(project: Project) -> None:
    project.write({"main.cw": 'resource "file" "a" {\n  path = "out/a"\n  content = "x"\n}\n'})
    project.run("apply", "--quorum", "2", "--auto-approve", expect=4)  # nobody is not two persons
    job = project.jobs()[0]["id"]
    plan = project.run("job", "status", job, "--json").json["waiting"][0]["plan"][:8]
    for expires in ("0h", "31d", "soon"):
        project.run("approve", job, "--plan", plan, "--reason", "x", "--expires", expires, expect=6)
    assert project.run("job", "status", job, "--json").json["waiting"][0]["approved_by"] == []


def test_checkpoints_are_listed_shown_and_added(project: Project) -> None:
    job = spec_job(project)
    made = project.run("checkpoint", "emit", job, "--type", "progress", "--summary", "looked at it", "--json").json
    kinds = [c["type"] for c in project.run("checkpoint", "list", job, "--json").json]
    assert kinds[-1] == "progress"
    assert "blocked" in kinds
    assert "looked at it" in project.run("checkpoint", "show", job, made["checkpoint_id"]).out
    refused = project.run("checkpoint", "emit", job, "--type", "decision-needed", "--summary", "yes?", expect=6)
    assert "not made by hand" in refused.err
    assert state(project, job)[0] == "blocked_error"
