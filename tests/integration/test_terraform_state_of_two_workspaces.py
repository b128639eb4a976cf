"""Two workspaces of one folder and one module: its state is one, so the second one is told before it touches anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clockwork_nb.resources.terraform import drive
from clockwork_nb.resources.terraform.sharing import owner_of_state
from clockwork_nb.testing.project import Project

MODULE = 'resource "terraform_data" "thing" {\n  input = "a"\n}\n'
BLOCK = 'terraform "net" {\n  source = "infra"\nMORE}\n'


@pytest.mark.terraform
@pytest.mark.skipif(shutil.which("terraform", path=drive.PATH) is None, reason=f"terraform is not in {drive.PATH}")
def test_a_module_that_another_workspace_applied_is_refused_till_it_is_forgotten_there(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": BLOCK.replace("MORE", ""), "infra/main.tf": MODULE})
    project.run("apply", "--auto-approve", "--allow-data", "terraform")
    state = (project.folder / "infra/terraform.tfstate").read_bytes()
    for words in ((), ("--allow-data", "terraform")):
        said = project.run("plan", "--workspace", "two", *words, expect=6).err
        assert "the default workspace of this folder has applied this module" in said and "state rm" in said
    assert (project.folder / "infra/terraform.tfstate").read_bytes() == state
    assert project.run("plan", "--allow-data", "terraform", "--json").json["changes"][0]["kind"] == "noop"

    project.write({"main.cw": BLOCK.replace("MORE", '  workspace = "own"\n')})
    project.run("plan", "--workspace", "two", "--allow-data", "terraform")
    project.write({"main.cw": BLOCK.replace("MORE", "")})
    project.run("state", "rm", "terraform.net", "--auto-approve")
    project.run("apply", "--auto-approve", "--workspace", "two", "--allow-data", "terraform")
    assert "the workspace two of" in project.run("plan", "--workspace", "three", expect=6).err


def test_only_a_state_in_the_module_and_a_record_of_it_count(tmp_path: Path) -> None:
    config = {"source": "infra", "workspace": "default"}
    here, other = tmp_path / ".clockwork", tmp_path / ".clockwork/ws/b"
    folder = here / "terraform/k"

    def owner() -> str:
        return owner_of_state(config, folder, tmp_path, here)

    def record(**more: str) -> None:
        entry = {"type": "terraform", "config": {**config, **more}}
        (other / "state.json").write_text(json.dumps({"resources": [{"type": "file", "config": {}}, entry]}))

    (other / "terraform/k").mkdir(parents=True)
    record()
    assert owner() == "", "its state is elsewhere"
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/terraform.tfstate").write_text("{}")
    assert owner() == "the workspace b"
    assert owner_of_state(config, other / "terraform/k", tmp_path, other) == "", "nobody else has it"
    record(workspace="own")
    assert owner() == ""
    record(source="elsewhere")
    assert owner() == ""
    for broken in ("", "[]", "{", '{"resources": [1]}', '{"resources": [{"type": "terraform"}]}'):
        (other / "state.json").write_text(broken)
        assert owner() == ""
    record()
    (other / "terraform/k").rmdir()
    assert owner() == "", "it never used the module"
