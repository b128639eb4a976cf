"""``timestamp()`` is frozen per run, and another time alone is no change."""

from __future__ import annotations

from clockwork_nb.testing.project import Project

STAMPED = """
variable "text" {
  default = "a"
}
file "stamp" {
  path    = "out/stamp"
  content = "${var.text} ${timestamp()}"
}
"""


def test_second_plan_with_a_timestamp_is_empty_and_another_input_updates_it(project: Project) -> None:
    project.write({"main.cw": STAMPED})
    project.run("apply", "--auto-approve")
    first = (project.folder / "out/stamp").read_text()
    project.run("plan", "--detailed-exitcode", expect=0)
    project.run("plan", "--var", "text=b", "--detailed-exitcode", expect=2)
    project.run("apply", "--var", "text=b", "--auto-approve")
    second = (project.folder / "out/stamp").read_text()
    assert first.startswith("a 20")
    assert second.startswith("b 20")
    project.run("plan", "--var", "text=b", "--detailed-exitcode", expect=0)
