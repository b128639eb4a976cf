"""A container engine that gives no answer is waited for once, not once for each resource."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import AdapterFailedError
from clockwork_nb.resources import containers_inspect
from clockwork_nb.resources.containers_inspect import ask


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
        with pytest.raises(AdapterFailedError, match="does not answer"):
            ask("podman", "ps", timeout_s=0.5)
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
