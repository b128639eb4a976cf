"""A terraform module in a project, by the real terraform: asked, approved, applied, and what stands in the way."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.ids import step_id
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, Observation, ObserveContext
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.resources.terraform import drive
from clockwork_nb.resources.terraform.tfvars import tfvars
from clockwork_nb.secrets import Sensitive, seal, unseal
from clockwork_nb.testing.project import Project

pytestmark = [
    pytest.mark.terraform,
    pytest.mark.skipif(
        shutil.which("terraform", path=drive.PATH) is None,
        reason=f"terraform is not in {drive.PATH}; no system package brings it",
    ),
]

TERRAFORM: Any = builtin_types()["terraform"]
ADDRESS = "terraform.net"
SECRET = "correct-horse-battery"
MODULE = """\
variable "name" {
  type = string
}

resource "terraform_data" "thing" {
  input = var.name
}

resource "terraform_data" "made" {
  triggers_replace = [var.name]
}

output "name" {
  value = terraform_data.thing.output
}

output "id" {
  value = terraform_data.made.id
}
"""
SECRETIVE = """\
variable "token" {
  type      = string
  sensitive = true
}

resource "terraform_data" "holder" {
  input = var.token
}

output "token" {
  value     = terraform_data.holder.output
  sensitive = true
}

output "length" {
  value = nonsensitive(length(var.token))
}
"""


def terraform(folder: Path, *words: str) -> str:
    """Run terraform by hand, as the module's owner does."""
    env = {"PATH": drive.PATH, "HOME": str(folder), "TF_DATA_DIR": str(folder / ".byhand"), "CHECKPOINT_DISABLE": "1"}
    command = ["terraform", f"-chdir={folder}", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


@dataclass
class Ran:
    code: int
    out: str
    err: str


@dataclass
class Place:
    """A project with one module, looked at and acted on as a plan and its steps do it."""

    root: Path
    side: Path
    ran: list[Ran] = field(default_factory=list)

    def module(self, text: str, name: str = "infra") -> Path:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        (folder / "main.tf").write_text(text)
        return folder

    def config(self, **attributes: Any) -> dict[str, Any]:
        raw = {"source": "infra", **attributes}
        out: dict[str, Any] = TERRAFORM.model().model_validate(raw).model_dump()
        return out

    def look(
        self,
        config: dict[str, Any],
        *,
        allow: bool = True,
        asked: Any = "",
        wanted: dict[str, Any] | None = None,
        identity: Mapping[str, Any] | None = None,
        timeout_s: float = 60,
    ) -> Observation:
        allowed = frozenset({"terraform"}) if allow else frozenset[str]()
        context = ObserveContext(
            self.root, self.root / ".clockwork", ADDRESS, allowed, timeout_s, wanted=wanted or config, asked=asked
        )
        seen: Observation = TERRAFORM.observe(config, identity, context)
        return seen

    def actions(self, change: ChangeKind, config: Any, recorded: Any, seen: Observation) -> list[ActionSpec]:
        return list(TERRAFORM.actions_observed(change, config, recorded, seen))

    def start(self, spec: ActionSpec) -> subprocess.Popen[str]:
        """Start the script of *spec* as the launcher does it: clean environment, contents by path."""
        step = TERRAFORM.compile(Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args))
        files: dict[str, Path] = {}
        for artifact in step.artifacts:
            content = unseal(step.secrets[artifact.secret]).encode() if artifact.secret else artifact.content
            files[artifact.path] = self.side / artifact.path.replace("/", "_")
            files[artifact.path].write_bytes(content)
        env = {"PATH": drive.PATH, "TMPDIR": str(self.side), "LANG": "C.UTF-8", **step.vars}
        env |= {name: str(files[path]) for name, path in step.data.items()}
        argv = [sys.executable, "-I", str(files[step.cmd[2]])]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            argv, cwd=self.root, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    def do(self, spec: ActionSpec) -> Ran:
        with self.start(spec) as process:
            out, err = process.communicate(timeout=60)
        self.ran.append(Ran(process.returncode, out, err))
        return self.ran[-1]

    def apply(self, **attributes: Any) -> dict[str, Any]:
        """Make the module so; return its config."""
        config = self.config(**attributes)
        (spec,) = self.actions("create", config, None, self.look(config))
        ran = self.do(spec)
        assert (ran.code, ran.err) == (0, "")
        return config

    @property
    def folder(self) -> Path:
        (folder,) = (self.root / ".clockwork" / "terraform").iterdir()
        return folder

    def rows(self, change: ChangeKind, config: dict[str, Any] | None, seen: Observation) -> dict[str, Any]:
        return {row[0]: row[2] for row in TERRAFORM.pending(change, config, seen)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root, side = tmp_path / "project", tmp_path / "side"
    root.mkdir()
    side.mkdir()
    return Place(root, side)


def holding(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


# --- through the command ----------------------------------------------------------------------------------------------


def test_terraforms_changes_are_in_our_plan_and_exactly_they_are_applied(tmp_path: Path) -> None:
    project = Project(tmp_path)
    cw = """\
        terraform "net" {
          source = "infra"
          vars   = { name = "NAME" }
        }
        file "id" {
          path    = "out/id"
          content = terraform.net.outputs.id
        }
        output "name" { value = terraform.net.outputs.name }
        """
    project.write({"main.cw": cw.replace("NAME", "alpha"), "infra/main.tf": MODULE})
    plan = project.run("plan", "--allow-data", "terraform", "--json").json
    (change,) = [c for c in plan["changes"] if c["type"] == "terraform"]
    assert {a["path"]: a["after"] for a in change["attributes"]} == {
        "terraform_data.made": "created",
        "terraform_data.thing": "created",
    }
    assert not (project.folder / "infra" / "terraform.tfstate").exists()
    project.run("apply", "--auto-approve", "--allow-data", "terraform")
    outputs = json.loads(terraform(project.folder / "infra", "output", "-json"))
    assert (project.folder / "out/id").read_text() == outputs["id"]["value"]
    assert outputs["name"]["value"] == "alpha"
    project.run("plan", "--allow-data", "terraform", "--detailed-exitcode")
    assert not (project.folder / "infra" / ".terraform").exists()

    project.write({"main.cw": cw.replace("NAME", "beta")})
    shown = project.run("plan", "--allow-data", "terraform").out
    assert 'terraform_data.made   "as it is" → "made anew (triggers_replace)"' in shown
    assert "risk: destroy, network" in shown


def test_without_leave_terraform_is_asked_in_a_step_and_its_answer_is_approved_by_itself(tmp_path: Path) -> None:
    project = Project(tmp_path)
    cw = f"""\
        variable "token" {{
          type      = string
          sensitive = true
          default   = "{SECRET}"
        }}
        terraform "net" {{
          source = "infra"
          vars   = {{ token = var.token }}
        }}
        file "length" {{
          path    = "out/length"
          content = "length ${{terraform.net.outputs.length}}"
        }}
        """
    project.write({"main.cw": cw, "infra/main.tf": SECRETIVE})
    shown = project.run("plan").out
    assert "later: terraform is asked first (--allow-data terraform asks it while planning)" in shown
    assert not (project.folder / ".clockwork" / "terraform").exists()
    applied = project.run("apply", "--auto-approve")
    assert 'terraform_data.holder  (not set) → "created"' in applied.out
    steps = [line.split()[2] for line in applied.out.splitlines() if " ok " in line]
    assert steps == ["terraform_plan", "terraform_apply", "write_file"]
    assert (project.folder / "out/length").read_text() == f"length {len(SECRET)}"
    project.run("plan", "--detailed-exitcode")
    assert holding(project.folder / ".clockwork", SECRET) == []
    assert holding(project.store, SECRET) == []

    # The block is gone, and with it the only place that had the secret.
    project.write({"main.cw": 'file "length" {\n  path = "out/length"\n  content = "x"\n}\n'})
    refused = project.run("plan", "--allow-data", "terraform", expect=6)
    assert 'the sensitive value of "token" is in no file' in refused.err
    project.write({"main.cw": cw})
    project.run("destroy", "--auto-approve")
    assert terraform(project.folder / "infra", "state", "list") == ""


# --- what is bound ----------------------------------------------------------------------------------------------------


def test_a_plan_that_would_do_something_else_now_is_not_applied(place: Place) -> None:
    folder = place.module(MODULE)
    config = place.apply(vars={"name": "alpha"})
    wanted = place.config(vars={"name": "beta"})
    (spec,) = place.actions("update", wanted, config, place.look(config, wanted=wanted))
    terraform(folder, "init")
    terraform(folder, "apply", "-auto-approve", "-var", "name=gamma")
    (place.folder / "plan").unlink()
    ran = place.do(spec)
    assert ran.code == 1
    assert ran.err == "stale: terraform would now do something else than what was approved; plan again\n"
    assert "gamma" in terraform(folder, "output", "name")


def test_a_kept_plan_whose_state_moved_is_refused_by_terraform_itself(place: Place) -> None:
    folder = place.module(MODULE)
    config = place.config(vars={"name": "alpha"})
    (spec,) = place.actions("create", config, None, place.look(config))
    terraform(folder, "init")
    terraform(folder, "apply", "-auto-approve", "-var", "name=gamma")
    ran = place.do(spec)
    assert ran.code == 1
    assert "Saved plan is stale" in ran.err
    assert not (place.folder / "plan").exists()


def test_the_approved_plan_is_applied_though_the_files_changed_since(place: Place) -> None:
    folder = place.module(MODULE)
    config = place.config(vars={"name": "alpha"})
    (spec,) = place.actions("create", config, None, place.look(config))
    place.module(MODULE.replace("input = var.name", 'input = "other"'))
    assert place.do(spec).code == 0
    assert "alpha" in terraform(folder, "output", "name")
    seen = place.look(config, allow=False)
    assert place.rows("update", config, seen) == {"source": "files changed"}


def test_a_plan_with_a_secret_is_kept_on_no_disk_and_made_again(place: Place) -> None:
    place.module(SECRETIVE)
    config = place.config(vars={"token": Sensitive(SECRET)})
    seen = place.look(config)
    assert not (place.folder / "plan").exists()
    (spec,) = place.actions("create", config, None, seen)
    ran = place.do(spec)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "terraform did: 1 to add, 0 to change, 0 to remove")
    assert SECRET not in ran.out
    assert holding(place.root / ".clockwork", SECRET) == []
    assert place.look(config, allow=False).attributes["outputs"] == {"length": len(SECRET)}


def test_a_plan_without_a_secret_is_kept_for_its_owner_alone(place: Place) -> None:
    place.module(MODULE)
    place.look(place.config(vars={"name": "alpha"}))
    assert (place.folder / "plan").stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (place.folder, *list(place.folder.parents)[:2])} == {0o700}


def test_variables_are_in_no_argument_and_the_environment_is_clean(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.module(SECRETIVE)
    tools = tmp_path / "tools"
    tools.mkdir()
    spy = tools / "terraform"
    spy.write_text(
        f'#!/bin/sh\n{{ printf "%s\\n" "$@"; env; }} >> {tmp_path}/said\nexec {shutil.which("terraform")} "$@"\n'
    )
    spy.chmod(0o755)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    monkeypatch.setenv("TF_VAR_token", "ambient")
    config = place.config(vars={"token": Sensitive(SECRET)}, env={"PATH": f"{tools}:/usr/bin:/bin", "REGION": "north"})
    (spec,) = place.actions("create", config, None, place.look(config))
    assert place.do(spec).code == 0
    said = (tmp_path / "said").read_text()
    assert SECRET not in said
    assert "ambient" not in said
    assert {"REGION=north", "TF_INPUT=0", "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1"} <= set(said.splitlines())
    assert "-var-file=/proc/self/fd/" in said


def test_values_reach_terraform_as_they_are(place: Place) -> None:
    value = {
        "text": 'a"b\\n${x} %{if} $${y}\n\t\x07\x7f é😀\u2028',
        "list": [1, Decimal("0.5"), True, None, [], {"${k}": {}}],
    }
    folder = place.module('variable "v" { type = any }\noutput "v" { value = jsonencode(var.v) }\n')
    place.apply(vars={"v": value})
    shown = json.loads(json.loads(terraform(folder, "output", "-json"))["v"]["value"])
    assert shown == {**value, "list": [1, 0.5, True, None, [], {"${k}": {}}]}
    assert "${x}" not in tfvars({"v": value})


def test_variable_files_count_and_the_blocks_own_values_win(place: Place) -> None:
    folder = place.module(MODULE)
    (place.root / "values").mkdir()
    file = place.root / "values" / "all.tfvars"
    file.write_text('name = "from file"\n')
    config = place.apply(var_files=["values/all.tfvars"])
    assert "from file" in terraform(folder, "output", "name")
    file.write_text('name = "other"\n')
    assert place.rows("update", config, place.look(config, allow=False)) == {"source": "files changed"}
    wanted = place.config(var_files=["values/all.tfvars"], vars={"name": "own"})
    (spec,) = place.actions("update", wanted, config, place.look(config, wanted=wanted))
    assert place.do(spec).code == 0
    assert "own" in terraform(folder, "output", "name")


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_what_changed_inside_terraforms_world_is_drift(place: Place) -> None:
    folder = place.module(MODULE)
    config = place.apply(vars={"name": "alpha"})
    seen = place.look(config)
    assert (seen.exists, seen.attributes["changes"], TERRAFORM.drift(config, seen)) == (True, [], {})
    terraform(folder, "init")
    terraform(folder, "taint", "terraform_data.made")
    seen = place.look(config)
    assert TERRAFORM.drift(config, seen) == {"terraform_data.made": ("as applied", "made anew (because tainted)")}
    assert seen.detail == "applied; terraform would do: 1 to add, 0 to change, 1 to remove"


def test_outputs_that_somebody_else_moved_are_seen(place: Place) -> None:
    folder = place.module(MODULE)
    config = place.apply(vars={"name": "alpha"})
    place.module(MODULE.replace("terraform_data.thing.output", '"elsewhere"'))
    terraform(folder, "init")
    terraform(folder, "apply", "-auto-approve", "-var", "name=alpha")
    assert place.rows("update", config, place.look(config)) == {"outputs": "others now"}


def test_looking_without_leave_runs_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.module(MODULE)
    config = place.apply(vars={"name": "alpha"})

    def refuse(*words: Any, **more: Any) -> None:
        raise AssertionError(f"a process was started: {words}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    seen = place.look(config, allow=False)
    assert (seen.exists, seen.attributes["outputs"]["name"], seen.attributes["files_changed"]) == (True, "alpha", False)


def test_a_sensitive_output_is_told_only_to_who_may_ask(place: Place) -> None:
    place.module(SECRETIVE)
    config = place.apply(vars={"token": Sensitive(SECRET)})
    identity = place.look(config, allow=False).attributes
    assert identity["hidden_outputs"] == ["token"]
    where = ObserveContext(place.root, place.root / ".clockwork", ADDRESS)
    assert TERRAFORM.recall(config, identity, where)["outputs"] == {"length": len(SECRET), "token": Unknown()}
    may = ObserveContext(place.root, place.root / ".clockwork", ADDRESS, frozenset({"terraform"}))
    assert TERRAFORM.recall(config, identity, may)["outputs"]["token"] == Sensitive(SECRET)
    (place.root / "infra" / "more.tf").write_text('output "later" {\n  value = 1\n}\n')
    assert TERRAFORM.recall(config, identity, may)["outputs"]["later"] == Unknown()


def test_only_the_chosen_outputs_are_exposed(place: Place) -> None:
    place.module(MODULE)
    config = place.apply(vars={"name": "alpha"}, outputs=["name"])
    assert place.look(config, allow=False).attributes["outputs"] == {"name": "alpha"}


# --- replacing and removing -------------------------------------------------------------------------------------------


def test_everything_is_made_anew_by_one_plan(place: Place) -> None:
    folder = place.module(MODULE)
    config = place.apply(vars={"name": "alpha"})
    before = json.loads(terraform(folder, "output", "-json"))["id"]["value"]
    seen = place.look(config, asked="anew")
    assert set(place.rows("replace", config, seen).values()) == {"made anew (by request)"}
    (spec,) = place.actions("replace", config, config, seen)
    assert place.do(spec).code == 0
    assert json.loads(terraform(folder, "output", "-json"))["id"]["value"] != before


def test_another_source_destroys_the_old_module_first(place: Place) -> None:
    old = place.module(MODULE)
    new = place.module(MODULE, "other")
    config = place.apply(vars={"name": "alpha"})
    wanted = place.config(source="other", vars={"name": "alpha"})
    seen = place.look(config, wanted=wanted)
    assert list(place.rows("replace", wanted, seen).values()) == ["created", "created"]
    destroy, apply = place.actions("replace", wanted, config, seen)
    assert (destroy.name, apply.name) == ("terraform_destroy", "terraform_apply")
    assert [place.do(spec).code for spec in (destroy, apply)] == [0, 0]
    assert (terraform(old, "state", "list"), len(terraform(new, "state", "list").split())) == ("", 2)


def test_a_destroy_is_a_plan_of_its_own_and_leaves_word(place: Place) -> None:
    folder = place.module(SECRETIVE)
    config = place.apply(vars={"token": Sensitive(SECRET)})
    recorded = seal(config, b"k" * 32)
    seen = place.look(recorded, wanted=config, asked="removed")
    assert place.rows("delete", None, seen) == {"terraform_data.holder": None}
    (spec,) = place.actions("delete", None, recorded, seen)
    assert place.do(spec).code == 0
    assert terraform(folder, "state", "list") == ""
    assert place.look(config, allow=False).exists is False


def test_workspaces_of_one_module_do_not_touch_each_other(place: Place) -> None:
    folder = place.module(MODULE)
    place.apply(vars={"name": "alpha"})
    place.apply(vars={"name": "beta"}, workspace="blue")
    states = [folder / "terraform.tfstate", folder / "terraform.tfstate.d" / "blue" / "terraform.tfstate"]
    names = [json.loads(path.read_text())["outputs"]["name"]["value"] for path in states]
    assert names == ["alpha", "beta"]


# --- what stands in the way -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "attributes", "words"),
    [
        (MODULE, {"vars": {"nam": "x", "name": "y"}}, 'the module declares no variable "nam" (it declares: name)'),
        (
            MODULE,
            {"vars": {"name": Sensitive("x")}},
            'the variable "name" gets a sensitive value, but the module would',
        ),
        (MODULE, {"vars": {"name": "x"}, "outputs": ["url"]}, 'the module has no output "url" (it has: id, name)'),
        (MODULE, {}, 'main.tf:1:1: No value for required variable. The root module input variable "name" is not set'),
        ('output "a" {\n  value = 1 +\n}\n', {}, "terraform init failed"),
        (
            MODULE,
            {"vars": {"name": "x"}, "env": {"PATH": "/nowhere"}},
            "terraform and tofu cannot be found in /nowhere",
        ),
        (MODULE, {"source": "elsewhere"}, "there is no module:"),
        (MODULE, {"var_files": ["gone.tfvars"]}, "gone.tfvars"),
    ],
)
def test_what_terraform_refuses_is_told_in_its_words(
    place: Place, text: str, attributes: dict[str, Any], words: str
) -> None:
    place.module(text)
    config = place.config(**attributes)
    seen = place.look(config)
    assert words in seen.attributes["problem"]
    with pytest.raises(Exception, match=r"terraform\.net \((infra|elsewhere)\)") as caught:
        TERRAFORM.pending("create", config, seen)
    assert caught.value.code == "E_INVALID_INPUT_SCHEMA"  # type: ignore[attr-defined]
    if "init failed" in words:
        assert "on main.tf line 2" in caught.value.hint  # type: ignore[attr-defined]


def test_a_state_that_somebody_else_holds_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place.module(MODULE)
    config = place.apply(vars={"name": "alpha"})
    monkeypatch.setattr(drive, "PLAN_WAITS_FOR_LOCK", "0s")
    code = "import fcntl,sys\nf=open(sys.argv[1],'r+')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('held',flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "terraform.tfstate")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        seen = place.look(config)
        holder.communicate()
    assert "somebody else holds the lock of terraform's state" in seen.attributes["problem"]


def test_two_runs_of_ours_do_not_meet_in_one_module(place: Place) -> None:
    place.module(MODULE)
    config = place.apply(vars={"name": "alpha"})
    with open(place.folder / "lock", "r+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        seen = place.look(config, timeout_s=0.2)
    assert "another run of clockwork uses this module" in seen.attributes["problem"]


def test_a_plan_that_takes_too_long_is_given_up(place: Place, tmp_path: Path) -> None:
    place.module(MODULE)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "terraform").write_text("#!/bin/sh\nexec sleep 60\n")
    (tools / "terraform").chmod(0o755)
    config = place.config(vars={"name": "alpha"}, env={"PATH": f"{tools}:/usr/bin:/bin"})
    seen = place.look(config, timeout_s=0.2)
    assert "terraform init took too long and was stopped" in seen.attributes["problem"]


def test_an_apply_that_is_interrupted_leaves_terraforms_state_in_order(place: Place) -> None:
    slow = 'resource "terraform_data" "slow" {\n  provisioner "local-exec" { command = "echo here; sleep 60" }\n}\n'
    folder = place.module(slow)
    config = place.config()
    (spec,) = place.actions("create", config, None, place.look(config))
    with place.start(spec) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "(local-exec): here" in line:
                break
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted: terraform did not finish (see above); what it did so far is in its state" in err
    assert terraform(folder, "state", "list").split() == ["terraform_data.slow"]
    seen = place.look(config)
    assert place.rows("update", config, seen) == {"terraform_data.slow": "made anew (because tainted)"}


def test_an_apply_that_fails_shows_terraforms_own_words(place: Place) -> None:
    place.module('resource "terraform_data" "bad" {\n  provisioner "local-exec" { command = "exit 3" }\n}\n')
    config = place.config()
    (spec,) = place.actions("create", config, None, place.look(config))
    ran = place.do(spec)
    assert ran.code == 1
    assert "exit status 3" in ran.err
    assert ran.err.endswith("what it did so far is in its state. Plan again to see what is left\n")
