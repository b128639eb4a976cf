"""The approval gate as a person meets it: JupyterLab in a browser, Run All, read, click."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WEB = """%%cw web
directory "site" { path = "NAME" }
file "index" {
  path    = "${directory.site.path}/index.html"
  content = "<h1>hello</h1>\\n"
}
command "stamp" {
  script  = "sleep SECONDS; date > NAME/stamp.txt"
  creates = "NAME/stamp.txt"
  depends_on = [file.index]
}
output "page" { value = file.index.path }
"""
APPROVE = ".jp-OutputArea button.jupyter-button.cw-approve"
REJECT = ".jp-OutputArea button.jupyter-button.cw-reject"


def write(lab: Any, name: str, *, seconds: str = "0") -> None:
    sources = [
        "%load_ext clockwork_nb",
        WEB.replace("NAME", name).replace("SECONDS", seconds),
        "%cw_plan",
        "%cw_apply",
        "print('the last cell ran')",
    ]
    cells = [new_code_cell(source, id=f"{name}-{i}") for i, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), lab.root / f"{name}.ipynb")


def run_to_the_gate(lab: Any, name: str, *, seconds: str = "0") -> Any:
    """Run all of a fresh notebook up to the gate and return the enabled Approve button."""
    write(lab, name, seconds=seconds)
    lab.open(f"{name}.ipynb")
    lab.run_all()
    button = lab.page.locator(APPROVE)
    button.wait_for(timeout=60_000)
    lab.page.wait_for_function(f"() => !document.querySelector('{APPROVE}').disabled", timeout=20_000)
    return button


def saved_text(lab: Any, name: str) -> str:
    """Return what the saved file shows to a reader without widgets: all text/html and text/plain of the outputs."""
    lab.save()
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty", timeout=20_000)
    notebook = nbformat.read(lab.root / f"{name}.ipynb", 4)
    parts = []
    for cell in notebook.cells:
        for output in cell.outputs:
            data = output.get("data", {})
            assert "application/vnd.jupyter.widget-view+json" not in data
            parts += [data.get("text/html", ""), data.get("text/plain", ""), output.get("text", "")]
            parts += output.get("traceback", [])
    return "\n".join("".join(p) for p in parts)


def test_read_the_plan_approve_and_see_the_steps_finish(lab: Any) -> None:
    button = run_to_the_gate(lab, "approve")
    seen = lab.text()
    for words in (
        "directory.site",
        "file.index",
        "command.stamp",
        "needs approval",
        "This approves exactly what is shown",
    ):
        assert words in seen
    assert lab.prompts()[-2:] == ["[*]", "[*]"]
    assert not (lab.root / "approve").exists()
    button.scroll_into_view_if_needed()
    lab.shot("gate-waiting-light")
    lab.theme("JupyterLab Dark")
    lab.shot("gate-waiting-dark")
    lab.theme("JupyterLab Light")
    lab.page.locator(".jp-OutputArea .widget-text input").last.fill("looks right")
    button.click()
    lab.wait_until_idle()
    assert "the last cell ran" in lab.text()
    assert "Applied" in lab.text()
    assert "looks right" in lab.text()
    assert (lab.root / "approve" / "index.html").exists()
    assert lab.page.locator(APPROVE).count() == 0
    lab.shot("applied-light")
    lab.theme("JupyterLab Dark")
    lab.shot("applied-dark")
    lab.theme("JupyterLab Light")
    kept = saved_text(lab, "approve")
    assert "looks right" in kept
    assert "command.stamp" in kept


def test_reject_with_a_reason_stops_run_all(lab: Any) -> None:
    run_to_the_gate(lab, "reject")
    lab.page.locator(".jp-OutputArea .widget-text input").last.fill("wrong folder")
    lab.page.locator(REJECT).click()
    lab.wait_until_idle()
    assert "was refused by" in lab.text()
    assert "wrong folder" in lab.text()
    assert "the last cell ran" not in lab.text()
    assert lab.prompts()[-1] == "[ ]"
    assert not (lab.root / "reject").exists()
    lab.shot("rejected-light")
    assert "wrong folder" in saved_text(lab, "reject")


def test_stop_in_the_middle_says_where_it_stopped(lab: Any) -> None:
    button = run_to_the_gate(lab, "stop", seconds="60")
    button.click()
    lab.page.wait_for_function(
        "() => [...document.querySelectorAll('.cw-run')].some(x => x.textContent.includes('2 of 3'))", timeout=30_000
    )
    lab.shot("running-light")
    lab.page.locator('[data-jp-item-name="interrupt"] button, [data-jp-item-name="interrupt"] jp-button').first.click()
    lab.wait_until_idle(30)
    assert "stopped after step 2 of 3" in lab.text()
    assert "the last cell ran" not in lab.text()
    assert not (lab.root / "stop" / "stamp.txt").exists()
    assert (lab.root / "stop" / "index.html").exists()
    lab.shot("stopped-light")
