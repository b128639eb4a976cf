"""A container engine that gives no answer is waited for once, not once for each resource."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import AdapterFailedError
from clockwork_nb.ports import ObserveContext
from clockwork_nb.resources import containers_inspect
from clockwork_nb.resources.containers_inspect import SilentEngineError, ask
from clockwork_nb.resources.registry import builtin_types


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file to which a podman that hangs adds a line each time it is started."""
    program, told = tmp_path / "podman", tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho asked >> '{told}'\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(containers_inspect, "ENGINE_PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(containers_inspect, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(containers_inspect, "_silent", {})
    return told


def test_an_engine_that_hangs_is_asked_once(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(50):
        with pytest.raises(SilentEngineError, match=r"podman does not answer within 0\.5 s") as caught:
            ask("podman", "ps", timeout_s=0.5)
        assert "podman ps" in caught.value.hint
    assert asked.read_text() == "asked\n"
    monkeypatch.setenv("CONTAINER_HOST", "unix:///elsewhere.sock")
    with pytest.raises(AdapterFailedError, match="within"):
        ask("podman", "ps", timeout_s=0.5)
    assert asked.read_text() == "asked\nasked\n", "another one is another engine"


def test_it_is_asked_again_later_and_after_a_short_wait(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers_inspect, "_PAUSE_S", 0.0)
    for timeout_s in (0.5, 0.5):
        with pytest.raises(AdapterFailedError, match="within"):
            ask("podman", "ps", timeout_s=timeout_s)
    monkeypatch.setattr(containers_inspect, "_PAUSE_S", 30.0)
    monkeypatch.setattr(containers_inspect, "_silent", {})
    for timeout_s in (0.2, 0.2):
        with pytest.raises(AdapterFailedError, match="within"):
            ask("podman", "ps", timeout_s=timeout_s)
    assert len(asked.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("address", "attributes"),
    [("service.web", {"image": "web:1"}), ("image.web", {"context": "web", "tags": ["web:1"]})],
)
def test_nothing_is_planned_for_what_an_engine_that_hangs_would_have_to_do(
    asked: Path, tmp_path: Path, address: str, attributes: dict[str, Any]
) -> None:
    kind: Any = builtin_types()[address.partition(".")[0]]
    config = {**kind.model().model_validate(attributes).model_dump(), "engine": "podman"}
    seen = kind.observe(config, {}, ObserveContext(tmp_path, tmp_path / ".clockwork", address, timeout_s=0.5))
    assert seen.exists is None and seen.detail == "podman does not answer within 0.5 s"
    assert kind.drift(config, seen) == {}
    for change in ("create", "update", "replace", "delete"):
        with pytest.raises(AdapterFailedError) as caught:
            kind.actions_observed(change, None if change == "delete" else config, config, seen)
        assert caught.value.message == f"{address}: podman does not answer within 0.5 s"
        assert "podman ps" in caught.value.hint
    for change in ("noop", "forget"):
        assert kind.actions_observed(change, config, config, seen) == ()
    assert asked.read_text() == "asked\n"
