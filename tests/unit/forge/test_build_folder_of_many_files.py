"""The build folder with many files at once: folders stay open between them, and names come after the contents."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from clockwork_nb.errors import BundlePathError, StoreIOError
from clockwork_nb.forge import build_folder
from clockwork_nb.forge.build_folder import BuildFolder

MANY = [(f"scripts/r{index}/{name}", f"{index} {name}".encode(), 0o755) for index in range(20) for name in ("a", "b")]


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return tmp_path / "project/.clockwork/build"


def plain_files(build: Path) -> dict[str, bytes]:
    return {str(path.relative_to(build)): path.read_bytes() for path in build.rglob("*") if path.is_file()}


def open_handles() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("count", [0, 1, 16, 17, 40])
def test_what_is_written_together_is_read_back_with_its_modes(build: Path, count: int) -> None:
    files = MANY[:count]
    before = open_handles()
    with BuildFolder(build) as folder:
        folder.write_all(files)
        assert [folder.read(path) for path, _, _ in files] == [data for _, data, _ in files]
        assert folder.read("scripts/none/a") is None
    assert open_handles() == before
    assert all((build / path).stat().st_mode & 0o777 == 0o755 for path, _, _ in files)
    assert plain_files(build) == {path: data for path, data, _ in files}


def test_a_folder_that_was_removed_is_made_again_while_others_stay_open(build: Path) -> None:
    with BuildFolder(build) as folder:
        folder.write("scripts/x/a", b"1", 0o644)
        folder.remove("scripts/x/a")
        assert not (build / "scripts").exists()
        assert folder.read("scripts/x/a") is None
        folder.write("scripts/x/a", b"2", 0o644)
    assert plain_files(build) == {"scripts/x/a": b"2"}


def test_a_link_beside_an_open_folder_is_not_followed(build: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with BuildFolder(build) as folder:
        folder.write("scripts/x/a", b"1", 0o644)
        (build / "scripts/y").symlink_to(elsewhere)
        with pytest.raises(BundlePathError):
            folder.write("scripts/y/a", b"evil", 0o644)
        folder.write("scripts/x/a", b"2", 0o644)
    assert list(elsewhere.iterdir()) == []
    assert (build / "scripts/x/a").read_bytes() == b"2"


def test_nothing_has_its_name_before_all_is_on_the_disk(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    BuildFolder(build).write_all([(path, b"old", 0o644) for path, _, _ in MANY])
    seen: list[set[bytes]] = []

    def fails(handle: int) -> None:
        names = {path.name for path in build.rglob("*") if path.is_file()} - {"a", "b"}
        assert len(names) == len(MANY)
        seen.append({(build / path).read_bytes() for path, _, _ in MANY})
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(build_folder, "sync_file_system", fails)
    with pytest.raises(StoreIOError):
        BuildFolder(build).write_all(MANY)
    assert seen == [{b"old"}]
    assert plain_files(build) == {path: b"old" for path, _, _ in MANY}


@pytest.mark.parametrize("count", [3, 40])
def test_a_file_that_cannot_be_written_takes_the_half_written_ones_along(build: Path, count: int) -> None:
    (build / "scripts/r1/b").mkdir(parents=True)  # a rename onto a folder fails
    files = [file for file in MANY[:count] if file[0] != "scripts/r1/b"]
    with pytest.raises(BundlePathError):
        BuildFolder(build).write_all([*files, ("scripts/r1/b", b"x", 0o644)])
    assert plain_files(build) == {path: data for path, data, _ in files}
