"""Which container engine is taken, in which order, and that nobody pays for it who needs none."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.diagnostics import SourceRange, SourceText
from clockwork_nb.errors import AdapterFailedError, InvalidInputError
from clockwork_nb.forge import engines, facts
from clockwork_nb.forge.engines import engine_candidates, find_engine
from clockwork_nb.forge.facts import needs_engine
from clockwork_nb.intake.desired import Desired, ResourceInstance
from clockwork_nb.resources import containers_inspect
from clockwork_nb.resources.containers import ENGINE_VARIABLES
from clockwork_nb.resources.containers_inspect import ask, engine_environment, inspect
from clockwork_nb.resources.registry import builtin_types


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of commands that stands for the machine's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for module in (engines, containers_inspect):
        monkeypatch.setattr(module, "ENGINE_PATH", str(folder))
    monkeypatch.setattr(engines, "_DOCKER_SOCKETS", (str(tmp_path / "docker.sock"),))
    yield folder


def command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


PODMAN, DOCKER = "echo podman version 4.3.1", "echo 28.2.2"


def test_the_order_is_docker_host_then_sockets_then_commands(tools: Path, tmp_path: Path) -> None:
    command(tools, "podman", PODMAN)
    command(tools, "docker", DOCKER)
    assert engine_candidates({}) == ["podman", "docker"]
    assert engine_candidates({"DOCKER_HOST": "unix:///x"}) == ["docker", "podman"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        assert engine_candidates({}) == ["docker", "podman"]
        (tmp_path / "podman").mkdir()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(tmp_path / "podman" / "podman.sock"))
            assert engine_candidates({"XDG_RUNTIME_DIR": str(tmp_path)}) == ["podman", "docker"]
    (tools / "podman").unlink()
    assert engine_candidates({}) == ["docker"]


def test_the_engine_is_named_with_its_major_version(tools: Path) -> None:
    assert find_engine({}) == "process"
    command(tools, "docker", DOCKER)
    assert find_engine({}) == "docker 28"
    command(tools, "podman", PODMAN)
    assert find_engine({}) == "podman 4"


def test_a_docker_command_without_a_daemon_is_no_engine(tools: Path) -> None:
    command(tools, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert find_engine({"DOCKER_HOST": "unix:///nowhere"}) == "process"
    command(tools, "podman", PODMAN)
    assert find_engine({"DOCKER_HOST": "unix:///nowhere"}) == "podman 4"


def test_an_engine_that_hangs_is_named_with_how_long_it_was_waited_for(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_TIMEOUT_S", 0.5)
    monkeypatch.setattr(containers_inspect, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(containers_inspect, "_silent", {})
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    facts._found_engine.cache_clear()
    command(tools, "podman", "exec /bin/sleep 60")
    assert find_engine({}) == "process (podman does not answer within 0.5 s)"
    seen = facts.collect_facts(engine=True).to_document()
    for kind, config in (("service", {"engine": "auto", "image": "a"}), ("image", {"engine": "podman"})):
        with pytest.raises(InvalidInputError) as caught:
            builtin_types()[kind].with_facts(config, seen)  # type: ignore[attr-defined]
        assert caught.value.message == "podman does not answer within 0.5 s"
        assert "is installed" in caught.value.hint and "podman ps" in caught.value.hint
    command(tools, "docker", DOCKER)
    assert find_engine({}) == "docker 28", "another one that answers is taken"
    (tools / "docker").unlink()
    command(tools, "podman", PODMAN)
    monkeypatch.setattr(containers_inspect, "_silent", {})
    assert facts.collect_facts(engine=True).engine == "podman 4", "it is asked again"
    facts._found_engine.cache_clear()


def test_facts_ask_for_an_engine_only_when_told_to(
    tools: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    command(tools, "podman", f": > {tmp_path}/asked; {PODMAN}")
    facts._found_engine.cache_clear()
    try:
        assert facts.collect_facts().engine == "process" and not (tmp_path / "asked").exists()
        assert facts.collect_facts(engine=True).engine == "podman 4" and (tmp_path / "asked").exists()
        assert facts.collect_facts() is facts.collect_facts()
    finally:
        facts._found_engine.cache_clear()


def test_an_engine_sees_only_what_says_where_it_is(tools: Path) -> None:
    command(tools, "podman", "/usr/bin/env")
    environ = dict.fromkeys(ENGINE_VARIABLES, "x") | {"SECRET": "x", "PATH": "/elsewhere", "DOCKER_HOST": ""}
    env = engine_environment(environ)
    assert "SECRET" not in env and "DOCKER_HOST" not in env and env["PATH"] != "/elsewhere"
    os.environ["CW_TEST_SECRET"] = "x"
    try:
        assert b"CW_TEST_SECRET" not in ask("podman", timeout_s=5).stdout
    finally:
        del os.environ["CW_TEST_SECRET"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo '[]'", "something else than JSON"),
        ("echo 'x'", "something else than JSON"),
        ("echo '[1]'", "something else than an object"),
        ("echo broken >&2; exit 125", "broken"),
        ("exit 3", "no reason"),
        ("exec /bin/sleep 20", "does not answer"),
    ],
)
def test_an_engine_that_does_not_answer_as_it_should_is_an_error(tools: Path, script: str, words: str) -> None:
    command(tools, "podman", script)
    with pytest.raises(AdapterFailedError, match=words):
        inspect("podman", "container", "web", timeout_s=0.5)


def test_nothing_of_that_name_is_no_error(tools: Path) -> None:
    command(tools, "podman", 'echo "[]"; echo "Error: no such container web" >&2; exit 125')
    found: Any = inspect("podman", "container", "web", timeout_s=5)
    assert found is None
    with pytest.raises(AdapterFailedError, match="not installed"):
        inspect("docker", "container", "web", timeout_s=5)


def test_only_what_is_wanted_or_recorded_of_a_container_asks_for_an_engine() -> None:
    types = builtin_types()

    def wanted(kind: str, config: dict[str, Any]) -> Desired:
        place = SourceRange(SourceText("main.cw", "x"), 0, 1)
        instance = ResourceInstance(f"{kind}.a", kind, "a", config, "main.cw", (), place)
        return Desired({f"{kind}.a": instance}, (), (), frozenset({"main.cw"}), "0" * 64)

    nothing = PriorState()
    process = {"engine": "process", "image": None}
    assert not needs_engine(types, wanted("service", process), nothing)
    assert not needs_engine(types, wanted("file", {"path": "a/b"}), nothing)
    assert needs_engine(types, wanted("service", {"engine": "auto", "image": "nginx"}), nothing)
    assert needs_engine(types, wanted("image", {}), nothing)
    recorded = PriorState(resources={"service.b": PriorResource("service", {"engine": "podman", "image": "nginx"})})
    assert needs_engine(types, wanted("service", process), recorded), "what is to be removed needs its engine too"
