"""What services as processes share with containers: stopped and started by their state, limits, logs of a given size."""

from __future__ import annotations

import json
from pathlib import Path

from clockwork_nb.forge.supervisor import Log
from clockwork_nb.testing.project import Project


def declare(project: Project, more: str) -> None:
    project.write({"main.cw": f'service "web" {{\n  command = ["sleep", "600"]\n{more}\n}}\n'})


def state(project: Project) -> dict[str, object]:
    found: dict[str, object] = json.loads((project.folder / ".clockwork/services/service.web/state.json").read_text())
    return found


def test_a_state_stops_and_starts_it_and_what_is_stopped_can_be_removed(project: Project) -> None:
    declare(project, '  env = { A = "1" }\n  memory = "64m"')
    project.run("apply", "--auto-approve")
    limits = Path(f"/proc/{state(project)['pid']}/limits").read_text()
    assert [line.split()[3] for line in limits.splitlines() if line.startswith("Max data size")] == [str(64 << 20)]
    declare(project, '  env = { A = "1" }\n  memory = "64m"\n  state = "stopped"')
    project.run("apply", "--auto-approve")
    assert state(project)["status"] == "stopped"
    assert project.run("plan", "--json").json["actions"]["steps"] == []
    project.run("destroy", "--auto-approve")
    assert not (project.folder / ".clockwork/services/service.web").exists()


def test_a_log_keeps_as_many_files_as_it_was_told(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "out.log"), [], limit=100, files=4)
    for n in range(60):
        log.add(b"%09d\n" % n)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.log", "out.log.1", "out.log.2", "out.log.3"]
    kept = "".join((tmp_path / f"out.log{n}").read_text() for n in (".3", ".2", ".1", ""))
    assert [int(line) for line in kept.split()] == list(range(20, 60))


def test_a_log_of_one_file_begins_anew(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "out.log"), [], limit=100, files=1)
    for n in range(25):
        log.add(b"%09d\n" % n)
    assert [int(line) for line in (tmp_path / "out.log").read_text().split()] == list(range(20, 25))
    assert [p.name for p in tmp_path.iterdir()] == ["out.log"]
