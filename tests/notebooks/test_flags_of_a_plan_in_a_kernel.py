"""What a cell says about a plan holds: what is left out, what is made anew, and that what waited follows at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.tickets import ticket_project
from tests.notebooks.conftest import FrontEnd, isolated_environment

pytestmark = pytest.mark.notebook

_CELL = """%%cw two
ticket "t" { path = "out/ticket" }
file "note" {
  path    = "out/note"
  content = "number ${ticket.t.number}"
}
file "other" {
  path    = "out/other"
  content = "x"
}
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Any]:
    """A notebook whose kernel knows the type ``ticket``."""
    made = ticket_project(tmp_path)
    path = made.env["PYTHONPATH"]
    notebook = FrontEnd(made.folder, {**isolated_environment(tmp_path / "kernel"), "PYTHONPATH": path})
    yield notebook
    notebook.close()


def written(kernel: Any) -> dict[str, str]:
    out = kernel.folder / "out"
    return {name: (out / name).read_text() for name in sorted(os.listdir(out))} if out.is_dir() else {}


def test_flags_of_the_magics_hold_as_on_the_command_line(kernel: Any) -> None:
    kernel.ok("%load_ext clockwork_nb")
    kernel.ok(_CELL)
    assert "without ticket.t" in kernel.ok("%cw_plan --exclude ticket.t").text
    kernel.ok("%cw_apply --exclude ticket.* --auto-approve")
    assert written(kernel) == {"other": "x"}

    both = kernel.ok("%cw_apply --auto-approve")
    assert written(kernel) == {"note": "number 1", "other": "x", "ticket": "1 me\n"}
    assert both.text.count("Applied 1 step") == 2, "each section shows how it went"
    assert "Nothing to do" in kernel.ok("%cw_plan").text

    assert "asked for with --replace" in kernel.ok("%cw_plan --replace ticket.t").text
    kernel.ok("%cw_apply --replace ticket.t --auto-approve")
    assert written(kernel)["note"] == "number 2"
    assert "no resource" in kernel.run("%cw_plan --replace file.nope").error_text

    (kernel.folder / "out/other").write_text("changed")
    assert "file.other" in kernel.run("%cw_drift").text
    assert "No drift" in kernel.ok("%cw_drift --exclude file.other").text
