"""Where things are: workspaces, the files a person names, and the environment's variables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.settings import load_settings
from clockwork_nb.workspace import folder_sources, folder_workspace, notebook_workspace, read_input


def test_two_notebooks_of_a_folder_have_nothing_in_common(tmp_path: Path) -> None:
    one, two = notebook_workspace(tmp_path, "one"), notebook_workspace(tmp_path, "two")
    assert one.root == two.root == tmp_path
    assert one.folder != two.folder
    assert one.folder.is_relative_to(tmp_path / ".clockwork/nb")


@pytest.mark.parametrize("stem", ["../../etc", "a/b", "..", ".", "", "é", "x" * 300])
def test_name_of_a_notebook_never_leads_out_of_its_folder(tmp_path: Path, stem: str) -> None:
    folder = notebook_workspace(tmp_path, stem).folder
    assert folder.parent == tmp_path / ".clockwork/nb"
    assert 0 < len(folder.name) <= 64


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b", "x" * 65, "-x"])
def test_name_of_a_workspace_is_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="not a workspace name"):
        folder_workspace(tmp_path, name=name)


def test_files_come_sorted_and_hidden_folders_are_not_searched(tmp_path: Path) -> None:
    for name in ("b.cw", "a.cw", "a.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/c.cw").write_text("c")
    assert [name for name, _ in folder_sources(tmp_path)] == ["a.cw", "b.cw"]
    with pytest.raises(InvalidInputError, match=r"no \.cw file"):
        folder_sources(tmp_path / "empty")


def test_input_is_read_up_to_its_limit_and_not_beyond(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"12345")
    assert read_input(path, most=5) == b"12345"
    with pytest.raises(InvalidInputError, match="5 bytes; at most 4"):
        read_input(path, most=4)
    for other in (tmp_path, Path("/dev/zero"), tmp_path / "missing"):
        with pytest.raises(InvalidInputError):
            read_input(other)


def test_settings_come_from_the_environment() -> None:
    settings = load_settings({"HOME": "/home/x"})
    assert (str(settings.home), settings.home_chosen) == ("/home/x/.clockwork", False)
    assert str(settings.config) == "/home/x/.config/clockwork"
    assert not settings.headless
    chosen = load_settings(
        {"HOME": "/h", "CLOCKWORK_HOME": "store", "XDG_CONFIG_HOME": "/c", "CW_HEADLESS": "1", "CW_AUTO_APPROVE": "0", "CW_VAR_a": "1"}
    )  # fmt: skip
    assert chosen.home == Path(os.getcwd()) / "store"
    assert chosen.home_chosen
    assert str(chosen.config) == "/c/clockwork"
    assert (chosen.headless, chosen.auto_approve, dict(chosen.cw_vars)) == (True, False, {"a": "1"})


def test_relative_configuration_home_counts_as_not_set() -> None:
    assert str(load_settings({"HOME": "/h", "XDG_CONFIG_HOME": "rel"}).config) == "/h/.config/clockwork"
