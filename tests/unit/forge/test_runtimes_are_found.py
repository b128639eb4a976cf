"""Where the runtime of a script is looked for: the system's folders, then PATH, never the folder of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.forge.runtimes import find_runtime

NAME = "no-such-runtime-of-the-system"


def program(folder: Path, mode: int = 0o755) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / NAME
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_the_first_one_on_path_that_can_be_run_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "a", 0o644)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / NAME).mkdir()
    wanted = program(tmp_path / "c")
    program(tmp_path / "d")
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in ("missing", "a", "b", "c", "d")))
    assert find_runtime(NAME) == str(wanted)


def test_the_folders_of_the_system_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = tmp_path / "sh"
    planted.write_text("#!/bin/sh\n")
    planted.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_runtime("sh") in {"/usr/bin/sh", "/bin/sh", "/usr/local/bin/sh"}


@pytest.mark.parametrize("path", ["", ":", "/nowhere:", ":/nowhere"])
def test_an_empty_entry_of_path_is_not_the_folder_of_the_project(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", path)
    assert find_runtime(NAME) == ""
