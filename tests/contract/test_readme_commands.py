"""The README's configuration is valid and its commands do what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from clockwork_nb.testing.project import Project

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_every_console_command_runs_in_order(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (configuration,) = blocks("cw")
    project.write({"main.cw": configuration})
    job = plan = ""
    try:
        for block in blocks("console"):
            for line in block.splitlines():
                command, _, remark = line.removeprefix("$ ").partition("#")
                words = shlex.split(command.replace("JOB", job).replace("DIGEST", plan))
                assert words[0] == "clockwork"
                expect = int(remark.split()[1]) if remark.strip().startswith("exit") else 0
                project.run(*words[1:], expect=expect)
                if expect == 4:
                    job = project.jobs()[0]["id"]
                    plan = project.run("job", "status", job, "--json").json["waiting"][0]["plan"][:8]
    finally:
        project.run("destroy", "--auto-approve", expect=None)
    assert job
    assert not (project.folder / "out").exists() or not any((project.folder / "out").iterdir())


def test_files_and_images_it_names_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_exit_status_of_the_errors_is_in_the_table() -> None:
    from clockwork_nb import errors

    table = README.split("## Exit status")[1].split("## ")[0]
    for name in errors.__all__:
        status = getattr(errors, name).exit_code
        assert re.search(rf"(?<!\d){status}(?!\d)", table), f"{name}: {status}"


def test_make_targets_it_names_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)", README + (ROOT / "CONTRIBUTING.md").read_text()))
    assert named <= targets
