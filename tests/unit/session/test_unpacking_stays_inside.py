"""P24: unpacking makes exactly the pack's files below one new folder, or nothing at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import PackUnsafePathError, StoreFullError, StoreIOError, UnsafeOperationError
from clockwork_nb.jobpack.archive import Archive, read_archive
from clockwork_nb.session.unpack import unpack
from tests.conformance.packs import samples
from tests.conformance.packs.tamper import pack
from tests.conformance.packs.tamper import unpack as files_of


@pytest.fixture(scope="module")
def archive() -> Archive:
    return read_archive(pack(samples.small_job()).data)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_every_file_is_there_private_and_whole(
    archive: Archive, tmp_path: Path, there: bool, mask: int, umask: Callable[[int], int]
) -> None:
    umask(mask)
    target = tmp_path / "out"
    if there:
        target.mkdir()
    assert unpack(archive, target) == target
    assert tree(target) == files_of(archive.data)
    for path in (target, *target.rglob("*")):
        found = path.lstat()
        assert stat.S_IMODE(found.st_mode) == (0o700 if path.is_dir() else 0o600)
        assert path.is_dir() or found.st_nlink == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def file_there(path: Path) -> None:
    path.write_text("mine")


def folder_there(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_text("mine")


def link_to_empty_folder(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere")


def link_to_nothing(path: Path) -> None:
    path.symlink_to("elsewhere")


def link_inside(path: Path) -> None:
    path.mkdir()
    (path / "clockwork").symlink_to("/tmp")


@pytest.mark.parametrize("make", [file_there, folder_there, link_to_empty_folder, link_to_nothing, link_inside])
def test_what_is_there_is_neither_followed_nor_overwritten(
    archive: Archive, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    target = tmp_path / "out"
    make(target)
    before = {p: (p.lstat().st_mode, p.lstat().st_ino) for p in tmp_path.rglob("*")}
    with pytest.raises(UnsafeOperationError, match="never overwrites"):
        unpack(archive, target)
    assert {p: (p.lstat().st_mode, p.lstat().st_ino) for p in tmp_path.rglob("*")} == before


def test_a_folder_that_is_not_there_is_not_made_up(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(StoreIOError):
        unpack(archive, tmp_path / "missing" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_disk_is_an_error_and_leaves_nothing(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_args: Any, **_named: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("clockwork_nb.session.unpack.os.mkdir", read_only)
    with pytest.raises(StoreIOError, match="Read-only"):
        unpack(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StoreFullError), (errno.EIO, StoreIOError), (errno.EDQUOT, StoreFullError)]
)
@pytest.mark.parametrize("after", [0, 3, 9])
def test_a_disk_that_fails_leaves_nothing(
    archive: Archive, tmp_path: Path, number: int, error: type[Exception], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.write, 0

    def write(handle: int, data: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(number, os.strerror(number))
        return real(handle, data)

    monkeypatch.setattr("clockwork_nb.session.unpack.os.write", write)
    with pytest.raises(error):
        unpack(archive, tmp_path / "out")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_a_little_at_a_time_gets_everything(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr("clockwork_nb.session.unpack.os.write", lambda handle, data: real(handle, bytes(data[:97])))
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == files_of(archive.data)


def test_an_interruption_leaves_nothing(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(handle: int, data: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("clockwork_nb.session.unpack.os.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "out")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_somebody_who_swaps_the_folder_all_the_time_gets_nothing_elsewhere(archive: Archive, tmp_path: Path) -> None:
    """A race: the target is a link to another folder, nothing, or an empty folder, changing while files are written."""
    elsewhere, shared = tmp_path / "elsewhere", tmp_path / "shared"
    elsewhere.mkdir()
    shared.mkdir()
    target, stop = shared / "out", threading.Event()

    def swap() -> None:
        while not stop.is_set():
            try:
                target.symlink_to(elsewhere)
                target.unlink()
                target.mkdir()
                target.rmdir()
                # Whatever is being made beside the target is attacked, too.
                for path in shared.iterdir():
                    if path.name.startswith(".out"):
                        (path / "clockwork").symlink_to(elsewhere)
            except OSError:
                pass

    thread = threading.Thread(target=swap)
    thread.start()
    done = 0
    try:
        for _ in range(150):
            try:
                unpack(archive, target)
            except (UnsafeOperationError, StoreIOError):
                continue
            done += 1
            os.rename(target, tmp_path / f"done-{done}")
    finally:
        stop.set()
        thread.join()
    assert list(elsewhere.iterdir()) == []
    for number in range(1, done + 1):
        whole = tmp_path / f"done-{number}"
        assert not whole.is_symlink()
        assert {k: v for k, v in tree(whole).items() if not (whole / k).is_symlink()} == files_of(archive.data)


def test_an_entry_that_a_broken_reader_let_through_still_goes_nowhere(tmp_path: Path) -> None:
    """The reader refuses such names; if it did not, the folder handles would."""
    from clockwork_nb.jobpack.archive import CLOCKWORK, Entry

    for name in ("../evil", "/evil", "a/../../evil"):
        fake = Archive(CLOCKWORK, b"x", {name: Entry(name, 0, 1, 0)})
        with pytest.raises(PackUnsafePathError):
            unpack(fake, tmp_path / "out")
        assert not (tmp_path / "evil").exists()
        assert not (tmp_path / "out").exists()
