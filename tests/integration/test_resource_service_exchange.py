"""A container takes the place of another: a new one that cannot run, or a kill at any moment, never costs the old one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.ports import Action, ObserveContext
from clockwork_nb.resources.containers import ASIDE_ENDING, ENGINE_PATH
from clockwork_nb.resources.service import TYPE
from tests.integration.container_engine import Engine, Site, get, podman_engine, site, wait_for


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with podman_engine(tmp_path_factory.mktemp("engine")) as found:
        yield found


@pytest.fixture
def web(engine: Engine, tmp_path: Path) -> Iterator[Site]:
    with site(engine, tmp_path) as made:
        yield made


# --- by a configuration -----------------------------------------------------------------------------------------------


def test_a_taken_port_gives_the_old_container_back_and_it_runs(web: Site) -> None:
    web.server()
    web.apply()
    before, old_port = web.container["Id"], web.port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        web.port = taken.getsockname()[1]
        web.server()
        said = web.fail()
    assert "address already in use" in said and "the container that was there before is back and runs" in said
    assert web.container["Id"] == before and not web.engine.there(web.name + ASIDE_ENDING)
    wait_for(lambda: get(old_port, "/hostname"), "the old server")
    assert web.changes() == {"service.web": "update"}
    web.apply()
    assert web.container["Id"] != before and not web.engine.there(web.name + ASIDE_ENDING)
    assert get(web.port, "/hostname") and not get(old_port)


@pytest.mark.parametrize(
    ("more", "command", "reason"),
    [
        ('  restart = "no"', '"sh", "-c", "echo cannot work >&2; exit 3"', "did not stay up; it is: exited"),
        ("", '"/no/such/program"', "did not stay up"),
        ('  user = "nobody-at-all"', '"sleep", "600"', "unable to find user"),
    ],
)
def test_a_command_that_cannot_run_gives_the_old_container_back(
    web: Site, more: str, command: str, reason: str
) -> None:
    web.server()
    web.apply()
    before = web.container["Id"]
    web.server(more, command=command)
    said = web.fail()
    assert reason in said and "is back and runs" in said
    assert web.container["Id"] == before and web.container["State"]["Status"] == "running"
    web.server()
    web.apply()
    assert web.container["Id"] == before and web.changes() == {}


def test_what_rested_before_rests_afterwards(web: Site) -> None:
    web.server()
    web.apply()
    web.server('  state = "stopped"')
    web.apply()
    before = web.container["Id"]
    web.server(command='"/no/such/program"')
    assert "the container that was there before is back; it is: exited" in web.fail()
    assert web.container["Id"] == before


# --- step by step -----------------------------------------------------------------------------------------------------


_BETWEEN = """\
#!/bin/sh
# Passes everything on to the engine; before (or after) the first word $CW_KILL_AT the whole step is killed.
dies() {{ [ "$1 $2" = "${{CW_KILL_AT:-}}" ] && kill -9 "-$CW_SCRIPT_PID"; }}
dies before "$1"
[ "term $1" != "${{CW_KILL_AT:-}}" ] || kill -15 "$CW_SCRIPT_PID"
PATH={path} podman "$@"
code=$?
dies after "$1"
exit $code
"""


@dataclass(slots=True)
class Steps:
    """Carries out the steps of one container by hand; they can be killed at a word of the engine."""

    engine: Engine
    folder: Path
    name: str
    address: str = "service.web"
    said: str = ""
    _known: dict[str, str] = field(default_factory=dict)

    def config(self, mark: str, **more: Any) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "image": self.engine.image,
            "name": self.name,
            "command": ["sleep", "600"],
            "env": {"MARK": mark},
            "stop_timeout": 2,
            **more,
        }
        made = TYPE.model().model_validate(attributes).model_dump()
        return dict(TYPE.with_facts(made, {"engine": "podman 4"}))

    def run(self, action: str, config: dict[str, Any], *, kill_at: str = "") -> int:
        """Carry out *action* for *config* and return its exit code."""
        change = "delete" if action == "remove_service" else "create"
        wanted = {**config, "state": "stopped"} if action == "stop_service" else config
        specs = TYPE.actions(change, wanted, wanted if change == "delete" else None)  # type: ignore[arg-type]
        (spec,) = (s for s in specs if s.name == action)
        step = TYPE.compile(Action(f"{self.address}:{action}", action, self.address, spec.args))
        place = self.folder.parent / "between"
        place.mkdir(exist_ok=True)
        between = place / "podman"
        between.write_text(_BETWEEN.format(path=ENGINE_PATH))
        between.chmod(0o755)
        script = place / f"{action}.sh"
        script.write_text(step.artifacts[0].content.decode().replace(f"PATH={ENGINE_PATH}\n", f"PATH={place}:$PATH\n"))
        environment = {**os.environ, **self.engine.env, **step.vars, "CW_KILL_AT": kill_at, "LC_ALL": "C"}
        with (place / "said").open("w+") as said:
            process = subprocess.Popen(
                ["sh", "-c", 'export CW_SCRIPT_PID=$$; exec sh "$0"', str(script)],
                cwd=self.folder,
                env=environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            code = process.wait(60)
            said.seek(0)
            self.said = said.read()
        return code

    def make(self, config: dict[str, Any]) -> str:
        """Make the container of *config* and return its id."""
        assert self.run("ensure_service", config) == 0, self.said
        return str(self.engine.inspect(self.name)["Id"])

    def all(self) -> dict[str, str]:
        """Return name → mark of every container of ours that is there."""
        label = f"label=clockwork.project={self.folder.resolve()}"
        names = self.engine.run("ps", "--all", "--format", "{{.Names}}", "--filter", label).split()
        return {n: next(e for e in self.engine.inspect(n)["Config"]["Env"] if e.startswith("MARK="))[5:] for n in names}

    def running(self, name: str) -> bool:
        return bool(self.engine.inspect(name)["State"]["Status"] == "running")

    def look(self, config: dict[str, Any]) -> Any:
        return TYPE.observe(config, {}, ObserveContext(self.folder, self.folder / ".clockwork", self.address))


@pytest.fixture
def steps(web: Site, monkeypatch: pytest.MonkeyPatch) -> Steps:
    for name, value in web.engine.env.items():
        monkeypatch.setenv(name, value)
    (web.project.folder / ".clockwork").mkdir(exist_ok=True)
    return Steps(web.engine, web.project.folder, web.name)


STAGES = ["before rename", "before stop", "before run", "after run", "before rm", "after rm"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_at_any_stage_is_finished_by_the_next_run(steps: Steps, stage: str) -> None:
    aside = steps.name + ASIDE_ENDING
    old, new = steps.config("old"), steps.config("new")
    steps.make(old)
    assert steps.run("ensure_service", new, kill_at=stage) == -signal.SIGKILL
    there = steps.all()
    kept = "old" in there.values()
    assert kept or steps.running(steps.name), "the old one is there until the new one runs"
    assert kept == (stage != "after rm")
    seen = steps.look(new)
    assert seen.exists is True
    if steps.name not in there:
        assert (seen.attributes["status"], there) == ("set aside", {aside: "old"}) and aside in seen.detail
        assert TYPE.drift(old, seen)["status"] == ("running", "set aside")
    made = steps.engine.inspect(steps.name)["Id"] if there.get(steps.name) == "new" else ""
    assert steps.run("ensure_service", new) == 0, steps.said
    assert steps.all() == {steps.name: "new"} and steps.running(steps.name)
    assert made in {"", steps.engine.inspect(steps.name)["Id"]}, "what was made already is not made again"


@pytest.mark.parametrize("stage", ["before stop", "before run", "before rm"])
def test_after_a_kill_the_old_one_is_there_when_the_new_one_still_cannot_run(steps: Steps, stage: str) -> None:
    first = steps.make(steps.config("old"))
    assert steps.run("ensure_service", steps.config("new"), kill_at=stage) == -signal.SIGKILL
    assert steps.run("ensure_service", steps.config("third", command=["/no/such/program"])) != 0
    assert "is back and runs" in steps.said
    # What ran is what comes back: the new one where it was up already.
    wanted = "new" if stage == "before rm" else "old"
    assert steps.all() == {steps.name: wanted} and steps.running(steps.name)
    assert (steps.engine.inspect(steps.name)["Id"] == first) == (wanted == "old")


def test_after_a_kill_the_old_configuration_has_its_container_again(steps: Steps) -> None:
    old = steps.config("old")
    first = steps.make(old)
    assert steps.run("ensure_service", steps.config("new"), kill_at="before run") == -signal.SIGKILL
    assert steps.make(old) == first and steps.all() == {steps.name: "old"} and steps.running(steps.name)


def test_remains_that_never_ran_do_not_take_the_place_of_the_old_one(steps: Steps) -> None:
    old = steps.config("old")
    first = steps.make(old)
    bad = steps.config("new", command=["/no/such/program"])
    assert steps.run("ensure_service", bad, kill_at="after run") == -signal.SIGKILL
    assert set(steps.all().values()) == {"old", "new"}
    assert steps.run("ensure_service", bad) != 0 and "is back and runs" in steps.said
    assert steps.all() == {steps.name: "old"} and steps.engine.inspect(steps.name)["Id"] == first


@pytest.mark.parametrize("stage", ["before run", "after run"])
def test_after_a_kill_a_stop_stops_it_and_a_removal_leaves_nothing(steps: Steps, stage: str) -> None:
    steps.make(steps.config("old"))
    new = steps.config("new")
    assert steps.run("ensure_service", new, kill_at=stage) == -signal.SIGKILL
    assert steps.run("stop_service", new) == 0, steps.said
    assert not any(steps.running(name) for name in steps.all()) and steps.name in steps.all()
    assert steps.run("remove_service", new) == 0, steps.said
    assert steps.all() == {} and steps.look(new).exists is False


def test_a_name_that_is_a_pattern_and_an_address_that_is_a_command_mean_themselves(steps: Steps) -> None:
    steps.name = f"{steps.name}.a-b_".ljust(100, "c")
    steps.address = 'service.web["$(touch hacked) `touch hacked` \' \\\\"]'
    strangers = [steps.name.replace(".", "x"), f"{steps.name}x", f"{steps.name.replace('.', 'x')}{ASIDE_ENDING}"]
    for stranger in strangers:
        steps.engine.run("create", "--name", stranger, steps.engine.image, "true")
    try:
        first = steps.make(steps.config("old"))
        assert steps.run("ensure_service", steps.config("bad", command=["/no/such/program"])) != 0
        assert steps.engine.inspect(steps.name)["Id"] == first and steps.running(steps.name)
        steps.make(steps.config("new"))
        assert steps.all() == {steps.name: "new"}
        assert all(steps.engine.inspect(name)["State"]["Status"] == "created" for name in strangers)
        assert steps.run("remove_service", steps.config("new")) == 0
        assert all(steps.engine.inspect(name) for name in strangers) and steps.all() == {}
    finally:
        for stranger in strangers:
            steps.engine.run("rm", "--force", stranger, check=False)
    assert not list(steps.folder.rglob("hacked"))


def test_a_stranger_under_the_name_for_the_old_one_is_left_alone_and_nothing_is_lost(steps: Steps) -> None:
    first = steps.make(steps.config("old"))
    stranger = steps.name + ASIDE_ENDING
    steps.engine.run("create", "--name", stranger, steps.engine.image, "true")
    try:
        assert steps.run("ensure_service", steps.config("new")) != 0
        assert stranger in steps.said and "is back and runs" in steps.said
        assert steps.engine.inspect(steps.name)["Id"] == first and steps.running(steps.name)
        assert steps.run("remove_service", steps.config("old")) == 0
        assert steps.engine.there(stranger)
    finally:
        steps.engine.run("rm", "--force", stranger, check=False)


def test_a_step_that_is_told_to_end_puts_back_what_was_there(steps: Steps) -> None:
    first = steps.make(steps.config("old"))
    assert steps.run("ensure_service", steps.config("new"), kill_at="term run") == 143
    assert "is back and runs" in steps.said
    assert steps.all() == {steps.name: "old"} and steps.running(steps.name)
    assert steps.engine.inspect(steps.name)["Id"] == first
