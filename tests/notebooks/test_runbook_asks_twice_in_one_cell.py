"""A cell whose apply finds out what the rest of it needs stops twice, and its next attempts answer what is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.tickets import ticket_project
from tests.notebooks.runbooks import LOAD, approve, events, newest, notebook, of_type, output, shown, statuses

pytestmark = pytest.mark.notebook

_TWO = """%%cw two
ticket "t" { path = "out/ticket" }
file "note" {
  path    = "out/note"
  content = "number ${ticket.t.number}"
}
output "number" { value = ticket.t.number }
"""


def test_one_apply_with_two_decisions(tmp_path: Path) -> None:
    project = ticket_project(tmp_path)
    cells = (LOAD, _TWO, "%cw_plan", "%cw_apply", "%cw_drift", "%cw_apply", "print('end', open('out/note').read())")
    project.write({"two.ipynb": notebook(*cells)})
    out = project.folder / "out"

    first = project.run("runbook", "run", "two.ipynb", expect=4)
    job = newest(project)
    assert "stopped at cell 4" in first.err and not (out / "ticket").exists()
    plans = [approve(project, job)]

    second = project.run("job", "resume", job, expect=4)
    assert "stopped at cell 4" in second.err
    assert (out / "ticket").read_text() == "1 me\n" and not (out / "note").exists()
    asked_again = project.run("job", "resume", job, expect=4)
    assert "no longer fits" not in asked_again.err
    plans.append(approve(project, job))
    assert plans[0] != plans[1]

    project.run("job", "resume", job)
    assert (project.folder / "office/log").read_text() == "issued out/ticket\n"
    saved = output(project, job)
    assert statuses(saved) == ["completed"] * len(cells)
    assert "end number 1" in shown(saved, "c7") and "number" in shown(saved, "c4")
    closed = [(e["section"], e["outcome"]) for e in of_type(events(project, job), "section.closed")]
    assert [outcome for _, outcome in closed if outcome != "completed"] == []
    applied = [e["section"] for e in of_type(events(project, job), "section.opened") if e["verb"] == "apply"]
    assert len(applied) == len(set(applied)) == 3, "two for the first apply, one for the one with nothing to do"

    pack = project.run("jobpack", "export", job).out.split()[0]
    assert "VERIFIED" in project.run("jobpack", "verify", pack).out


def test_force_holds_for_the_second_section_of_a_resumed_run(tmp_path: Path) -> None:
    project = ticket_project(tmp_path)
    project.write({"two.ipynb": notebook(LOAD, _TWO, "%cw_apply --auto-approve")})
    project.run("runbook", "run", "two.ipynb")
    (script,) = project.folder.rglob("scripts/file.note/write_file.sh")
    script.write_text("#!/bin/sh\nprintf edited > out/note\n")
    project.write({"two.ipynb": notebook(LOAD, _TWO, "%cw_apply --replace ticket.t --force")})
    project.run("runbook", "run", "two.ipynb", expect=4)
    job = newest(project)
    approve(project, job)
    project.run("job", "resume", job, expect=4)
    approve(project, job)
    project.run("job", "resume", job)
    assert (project.folder / "out" / "note").read_text() == "number 2"
