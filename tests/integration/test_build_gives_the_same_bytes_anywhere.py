"""The same configuration gives the same scripts, byte for byte, whoever builds them, when, and with which settings."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from clockwork_nb.testing.project import Project

CONFIGURATION = """
variable "words" { default = { zulu = "1", alpha = "2" } }
resource "file" "page" {
  path    = "out/ä.txt"
  content = jsonencode(var.words)
}
resource "file" "a" {
  path    = "out/a.txt"
  content = "a"
}
resource "directory" "logs" { path = "out/logs" }
resource "command" "count" {
  command = ["touch", "out/count"]
  creates = "out/count"
  env     = { ZULU = "1", ALPHA = "2" }
}
resource "service" "web" {
  command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "18932"]
  ports   = [18932]
}
resource "check" "there" { file_exists = "out/a.txt" }
"""


def contents(project: Project) -> dict[str, tuple[str, int]]:
    """Return path → digest and permissions of every script."""
    build = project.folder / ".clockwork/build"
    return {
        str(p.relative_to(build)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mode & 0o777)
        for p in build.rglob("*")
        if p.is_file()
    }


def build(root: Path, umask: int, **environment: str) -> tuple[str, dict[str, tuple[str, int]]]:
    project = Project(root, env={"NO_COLOR": "1", **environment})
    project.write({"main.cw": CONFIGURATION})
    done = subprocess.run(
        [sys.executable, "-m", "clockwork_nb.cli", "build", "--json"], cwd=project.folder, env=project.environment(),
        umask=umask, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout, contents(project)


def test_two_builds_under_other_circumstances_are_alike_to_the_byte(tmp_path: Path) -> None:
    told, first = build(tmp_path / "one", 0o022, PYTHONHASHSEED="0", LC_ALL="C", TZ="UTC")
    again, second = build(
        tmp_path / "two" / "deeper", 0o077, PYTHONHASHSEED="4711", LC_ALL="C.UTF-8", TZ="Pacific/Kiritimati",
        USER="somebody", HOSTNAME="elsewhere", COLUMNS="20",
    )  # fmt: skip
    assert len([name for name in first if name.startswith("scripts/")]) >= 8
    assert first == second
    assert told == again  # digest, walls and texts: nothing in it tells where or when


def test_a_script_says_what_it_does_why_and_for_whom(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": CONFIGURATION})
    project.run("build")
    seen = 0
    for path in (project.folder / ".clockwork/build").rglob("*"):
        if path.suffix not in {".sh", ".py"}:
            continue
        lines = path.read_text().splitlines()
        seen += 1
        assert lines[0].startswith("#!/")
        assert [line[:7] for line in lines[1:4]] == ["# What:", "# Why: ", "# From:"]
        address = lines[3].removeprefix("# From: ").partition(", ")[0]
        assert address.partition(".")[0] in path.parent.name
        assert f"(action {path.stem})" in lines[2]
        assert os.access(path, os.X_OK)
    assert seen >= 6
