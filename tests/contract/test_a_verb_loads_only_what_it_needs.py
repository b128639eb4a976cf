"""What a small command must not load: each of these cost it more than its own work did, once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

CONFIGURATION = """
resource "file" "page" {
  path    = "out/page.txt"
  content = "hello"
}

resource "command" "after" {
  script     = "true"
  depends_on = [file.page]
}
"""
SHOW_MODULES = """
import json, sys
from clockwork_nb.cli.main import main
try:
    status = main(sys.argv[1:])
except SystemExit as left:
    status = left.code
print("\\n" + json.dumps([status, sorted(sys.modules)]))
"""

HEAVY = {
    "asyncio", "concurrent.futures", "cryptography", "ctypes", "difflib", "email", "html", "importlib.metadata", "jsonschema",
    "logging", "multiprocessing", "pydantic", "shutil", "socket", "subprocess", "tempfile", "traceback",
    "yaml", "zipfile",
}  # fmt: skip
ROOMS = {
    f"clockwork_nb.{room}" for room in ("intake", "assembly", "resources", "forge", "jobpack", "signing", "runbook")
}
WRITING = {
    f"clockwork_nb.store.{name}" for name in ("files", "handle", "journal", "lock", "ownership", "sweep", "remote")
}
STEPS = {
    f"clockwork_nb.forge.{name}"
    for name in ("artifacts", "compiler", "launch", "launcher", "runner", "sandbox", "step", "supervisor", "validate")
}
JOBS = {"clockwork_nb.jobs.model", "clockwork_nb.jobs.events", "clockwork_nb.jobs.state"}
SESSION = {
    f"clockwork_nb.session.{name}"
    for name in ("approvals", "building", "environment", "execution", "opening", "packs", "runs", "sections", "stores")
}
LEFT_ALONE = {
    ("--version",): HEAVY
    | ROOMS
    | {"dataclasses", "datetime", "decimal", "hashlib", "inspect", "json"}
    | {f"clockwork_nb.{room}" for room in ("jobs", "ports", "render", "session", "store")},
    ("job", "list"): HEAVY | ROOMS | WRITING | JOBS | SESSION | {"clockwork_nb.ports", "clockwork_nb.store.reading"},
    ("job", "status", "last"): HEAVY | ROOMS | WRITING | SESSION | {"clockwork_nb.ports"},
    ("state", "list"): HEAVY
    | WRITING
    | STEPS
    | JOBS
    | SESSION
    | {"clockwork_nb.intake.configuration", "clockwork_nb.intake.expressions", "clockwork_nb.jobpack"},
    # Its facts are the confinement of this machine (ctypes) and the version that bash tells (subprocess, found by shutil).
    ("plan",): (HEAVY - {"ctypes", "shutil", "subprocess"})
    | WRITING
    | STEPS
    | JOBS
    | SESSION
    | {"clockwork_nb.jobpack", "clockwork_nb.signing", "clockwork_nb.render.diagnostics", "clockwork_nb.store.reading"},
}  # fmt: skip


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("applied"))
    project.write({"main.cw": CONFIGURATION})
    project.run("apply", "--auto-approve")
    return project


def loaded(project: Project, code: str, *words: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=project.folder, env=project.environment(), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    status, modules = json.loads(done.stdout.splitlines()[-1])
    return status, set(modules)


@pytest.mark.parametrize("words", LEFT_ALONE, ids=" ".join)
def test_verb_leaves_alone_what_it_has_no_use_for(applied: Project, words: tuple[str, ...]) -> None:
    _, before = loaded(applied, "import json, sys; print(json.dumps([0, sorted(sys.modules)]))")
    status, after = loaded(applied, SHOW_MODULES, *words)
    assert status == 0
    assert "clockwork_nb.cli.main" in after
    assert sorted((after - before) & LEFT_ALONE[words]) == []


def test_names_of_the_lists_are_those_of_modules() -> None:
    package = Path(__file__).resolve().parents[2] / "clockwork_nb"
    ours = {name for names in LEFT_ALONE.values() for name in names if name.startswith("clockwork_nb.")}
    for name in ours:
        path = package.joinpath(*name.split(".")[1:])
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_the_program_loads_msgspec_without_what_only_types_need(applied: Project) -> None:
    code = """
import atexit, json, sys
from clockwork_nb.cli.main import entry
atexit.register(lambda: print("\\n" + json.dumps([0, sorted(sys.modules)])))
sys.argv[1:] = ["plan"]
entry()
"""
    _, modules = loaded(applied, code)
    assert "msgspec" in modules
    assert not modules & {"typing_extensions", "inspect", "ast", "tokenize", "dis"}
