"""Notebooks for the runs of these tests, and a project to run them in."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clockwork_nb.testing.project import Project

LOAD = "%load_ext clockwork_nb"
SITE = """%%cw site
variable "greeting" { default = "hello" }
directory "site" { path = "site" }
file "index" {
  path    = "${directory.site.path}/index.html"
  content = var.greeting
}
"""
"""Two resources whose content is a variable."""


def steps(count: int, *, each: str = "") -> str:
    """Return a cell with *count* commands, one after the other; each writes its name to ``out/log`` once it is run."""
    blocks = ["%%cw steps"]
    for i in range(count):
        needs = f"  depends_on = [command.s{i - 1}]\n" if i else ""
        script = f"mkdir -p out; echo s{i} >> out/log; {each} touch out/s{i}"
        blocks.append(
            f'command "s{i}" {{\n  script = "{script}"\n  creates = "out/s{i}"\n  idempotent = true\n{needs}}}'
        )
    return "\n".join(blocks) + "\n"


def notebook(*cells: str | tuple[str, Sequence[str]]) -> str:
    """Return the text of a notebook of code cells ``c1``, ``c2``, …; a cell is its source, or source and tags."""
    made: list[dict[str, Any]] = []
    for number, cell in enumerate(cells, 1):
        source, tags = (cell, ()) if isinstance(cell, str) else cell
        made.append(
            {
                "cell_type": "code",
                "id": f"c{number}",
                "metadata": {"tags": list(tags)} if tags else {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
        )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


def project_in(folder: Path, **env: str) -> Project:
    """Return a project in *folder* whose temporary files are below it, so that what is left behind can be counted."""
    (folder / "tmp").mkdir()
    return Project(folder, {"TMPDIR": str(folder / "tmp"), **env})


def processes(project: Project) -> list[str]:
    """Return the command lines of the processes that have the store of *project* in their environment."""
    found = []
    needle = f"CLOCKWORK_HOME={project.store}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if needle in path.read_bytes().split(b"\0"):
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # gone meanwhile
    return found


def left_behind(project: Project) -> list[str]:
    """Return the processes of *project* and the temporary files they made, below it or where names must be short."""
    ours = {j["id"] for j in project.jobs()}
    sockets = [str(p.parent) for p in Path("/tmp").glob("cw-*/job") if p.read_text() in ours]
    return [*processes(project), *(str(p) for p in (project.root / "tmp").iterdir()), *sockets]


def output(project: Project, job: str) -> Any:
    """Return the saved notebook of *job*."""
    return json.loads((project.folder / "clockwork-out" / "notebooks" / f"{job}.ipynb").read_text())


def statuses(notebook: Any) -> list[str]:
    """Return what the saved notebook says about each cell."""
    return [c["metadata"]["papermill"]["status"] for c in notebook["cells"]]


def shown(notebook: Any, cell: str) -> str:
    """Return the text that *cell* of a saved notebook shows."""
    out = []
    for o in next(c for c in notebook["cells"] if c["id"] == cell)["outputs"]:
        text = o.get("text") or o.get("data", {}).get("text/plain") or o.get("traceback") or ""
        out.append(text if isinstance(text, str) else "".join(text))
    return "".join(out)


def events(project: Project, job: str) -> list[dict[str, Any]]:
    """Return the job's events, oldest first."""
    found: list[dict[str, Any]] = project.run("job", "show", job, "--json").json
    return found


def of_type(rows: Sequence[dict[str, Any]], *types: str) -> list[dict[str, Any]]:
    """Return the payloads of the events of *types*."""
    return [e["payload"] for e in rows if e["type"] in types]


def newest(project: Project) -> str:
    """Return the id of the newest job."""
    return str(project.jobs()[0]["id"])


def approve(project: Project, job: str) -> str:
    """Approve what *job* waits for and return the plan's digest."""
    plan = str(project.run("job", "status", job, "--json").json["waiting"][0]["plan"])
    project.run("approve", job, "--plan", plan[:8], "--reason", "agreed")
    return plan


def wait_for_events(project: Project, count: int, *, of: str = "", timeout: float = 60) -> None:
    """Wait until a job's log has *count* events (whose type is *of*).

    Raises:
        TimeoutError: it has not.
    """
    needle = f'"type":"{of}"' if of else ""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for log in project.store.glob("jobs/*/events.jsonl"):
            if sum(1 for line in log.read_text(errors="replace").splitlines() if needle in line) >= count:
                return
        time.sleep(0.01)
    raise TimeoutError(f"{count} events {of}")


def wait_until_gone(project: Project, timeout: float = 20) -> None:
    """Wait until no process of *project* runs.

    Raises:
        TimeoutError: one still does.
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if not processes(project):
            return
        time.sleep(0.05)
    raise TimeoutError(str(processes(project)))
