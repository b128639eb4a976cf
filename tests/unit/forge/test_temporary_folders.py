"""Where private temporary folders are made, and that nobody else can be there first."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from clockwork_nb.forge.temporary import make_private_folder, temporary_base


def test_tmpdir_is_used_without_its_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "link"))
    assert temporary_base() == tmp_path.resolve() / "real"


@pytest.mark.parametrize("value", ["", "relative", "{}/missing", "{}/file"])
def test_what_is_no_folder_gives_way_to_tmp(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "relative").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", value.format(tmp_path))
    assert temporary_base() == Path("/tmp").resolve()


def test_a_folder_is_private_and_named_at_random(tmp_path: Path) -> None:
    made = [make_private_folder(tmp_path, "steps-") for _ in range(2)]
    assert made[0] != made[1]
    for path in made:
        assert os.path.basename(path).startswith("steps-")
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_stands_there_already_is_not_used(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    planted = tmp_path / f"steps-{'00' * 8}"
    if kind == "folder":
        planted.mkdir()
    else:
        planted.symlink_to(tmp_path)
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path, "steps-")
