"""The test kit's disks: what they lose, and what they never lose."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clockwork_nb.errors import StoreFullError, StoreIOError
from clockwork_nb.fs import (
    REAL,
    FileSystem,
    create_atomic,
    make_dirs,
    read_bytes,
    write_all,
    write_atomic,
)
from clockwork_nb.testing import CrashFs, Fault, FaultFs, FaultPlan, ManualClock

FILE = Path("/f")


def contents(disk: CrashFs, path: Path = FILE) -> set[bytes | None]:
    return {None if found.stat(path) is None else found.read(path) for found in disk.crash_states(every_byte_of="f")}


def test_a_file_neither_synced_nor_named_may_be_anything_less() -> None:
    disk = CrashFs()
    handle = disk.create(FILE, 0o600)
    disk.write(handle, b"abc")
    assert contents(disk) == {None, b"", b"a", b"ab", b"abc", b"\x00\x00\x00"}


def test_a_synced_file_without_a_synced_name_is_whole_or_absent() -> None:
    disk = CrashFs()
    handle = disk.create(FILE, 0o600)
    disk.write(handle, b"abc")
    disk.sync(handle)
    assert contents(disk) == {None, b"abc"}
    disk.sync_dir(Path("/"))
    assert contents(disk) == {b"abc"}


def test_a_rename_may_come_before_the_data_it_names() -> None:
    disk = CrashFs()
    write_atomic(FILE, b"old", fs=disk)
    handle = disk.create(Path("/tmp"), 0o600)
    disk.write(handle, b"new")
    disk.rename(Path("/tmp"), FILE)
    assert b"" in contents(disk)
    assert b"old" in contents(disk)


def test_an_atomic_write_is_old_or_new_at_every_moment() -> None:
    disk = CrashFs()
    write_atomic(FILE, b"old", fs=disk)
    seen: set[bytes | None] = set()
    disk.on_op = lambda _op: seen.update(contents(disk))
    write_atomic(FILE, b"new content", fs=disk)
    assert seen == {b"old", b"new content"}
    assert contents(disk) == {b"new content"}


def test_an_exclusive_creation_is_whole_or_absent_and_never_replaces() -> None:
    disk = CrashFs()
    seen: set[bytes | None] = set()
    disk.on_op = lambda _op: seen.update(contents(disk))
    create_atomic(FILE, b"first", fs=disk)
    assert seen == {None, b"first"}
    assert contents(disk) == {b"first"}
    with pytest.raises(FileExistsError):
        create_atomic(FILE, b"second", fs=disk)
    assert disk.list_dir(Path("/")) == ["f"]


def test_lost_sectors_read_as_zeros() -> None:
    disk = CrashFs()
    handle = disk.create(FILE, 0o600)
    disk.write(handle, b"a" * 500)
    disk.sync(handle)
    disk.sync_dir(Path("/"))
    disk.write(handle, b"b" * 30)
    found = contents(disk)
    assert b"a" * 500 + bytes(12) + b"b" * 18 in found
    assert b"a" * 500 + b"b" * 12 + bytes(18) in found
    assert all(state is not None and state.startswith(b"a" * 500) for state in found)


def test_more_states_than_the_limit_become_a_sample_that_repeats() -> None:
    disk = CrashFs()
    for name in "abcd":
        handle = disk.create(Path("/") / name, 0o600)
        disk.write(handle, b"x" * 2000)
    first = [state.list_dir(Path("/")) for state in disk.crash_states(limit=50, seed=3)]
    assert len(first) == 50
    assert first == [state.list_dir(Path("/")) for state in disk.crash_states(limit=50, seed=3)]


@pytest.mark.parametrize("disk", [CrashFs(), REAL], ids=["memory", "real"])
def test_both_disks_answer_alike(disk: FileSystem, tmp_path: Path) -> None:
    root = tmp_path if disk is REAL else Path("/root")
    if disk is not REAL:
        disk.make_dir(root, 0o700)
    folder = root / "a" / "b"
    make_dirs(folder, fs=disk)
    make_dirs(folder, fs=disk)
    handle = disk.create(folder / "f", 0o600)
    write_all(disk, handle, b"hello")
    disk.sync(handle)
    disk.close(handle)
    with pytest.raises(FileExistsError):
        disk.create(folder / "f", 0o600)
    with pytest.raises(FileExistsError):
        disk.make_dir(folder, 0o700)
    handle = disk.open_append(folder / "f")
    disk.write(handle, b" world")
    disk.truncate(handle, 8)
    disk.write(handle, b"!")
    disk.sync(handle, data_only=True)
    disk.close(handle)
    assert disk.read(folder / "f") == b"hello wo!"
    assert disk.read(folder / "f", 6) == b"wo!"
    assert disk.list_dir(folder) == ["f"]
    found = disk.stat(folder / "f")
    assert found is not None and found.is_file and not found.is_dir and found.size == 9
    disk.rename(folder / "f", folder / "g")
    assert disk.stat(folder / "f") is None
    assert disk.stat(folder / "g" / "below") is None
    for missing in (
        lambda: disk.read(folder / "f"),
        lambda: disk.unlink(folder / "f"),
        lambda: disk.open_append(folder / "f"),
    ):
        with pytest.raises(FileNotFoundError):
            missing()
    disk.link(folder / "g", folder / "h")
    with pytest.raises(FileExistsError):
        disk.link(folder / "g", folder / "h")
    disk.unlink(folder / "h")
    disk.make_dir(root / "empty", 0o700)
    with pytest.raises(OSError) as caught:
        disk.rename(root / "empty", root / "a")
    assert caught.value.errno in {errno.ENOTEMPTY, errno.EEXIST}
    one, two = disk.open_lock(root / "lock"), disk.open_lock(root / "lock")
    assert disk.try_lock(one) and disk.try_lock(one) and not disk.try_lock(two)
    disk.close(one)
    assert disk.try_lock(two)
    disk.close(two)
    disk.sync_dir(folder)
    disk.unlink(folder / "g")
    assert disk.list_dir(folder) == []


def test_a_planned_failure_comes_at_its_turn() -> None:
    plan = FaultPlan((Fault("sync", nth=2, error=errno.EIO, times=1), Fault("create", name="never")))
    disk = FaultFs(CrashFs(), plan)
    handle = disk.create(FILE, 0o600)
    disk.sync(handle)
    with pytest.raises(OSError) as caught:
        disk.sync(handle)
    assert caught.value.errno == errno.EIO
    disk.sync(handle)
    with pytest.raises(OSError):
        disk.create(Path("/never"), 0o600)
    plan.clear()
    disk.create(Path("/never"), 0o600)
    assert plan.operations == 6


def test_the_clock_stands_still_until_told() -> None:
    clock = ManualClock()
    before = clock.now()
    clock.advance(90)
    assert (clock.now() - before).total_seconds() == 90
    assert clock.boottime() == 1090
    clock.set_wall(datetime(2000, 1, 1, tzinfo=UTC))
    assert clock.now().year == 2000 and clock.boottime() == 1090


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    for path in (tmp_path / "f", tmp_path / "f" / "below"):
        with pytest.raises(StoreIOError):
            make_dirs(path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make_dirs(tmp_path / "link" / "below")
    assert (tmp_path / "real" / "below").is_dir()


def test_a_file_is_written_with_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"x")
    write_atomic(tmp_path / "b", b"x", mode=0o400)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o400
    write_atomic(tmp_path / "b", b"y")
    assert read_bytes(tmp_path / "b") == b"y"
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "c")
    with pytest.raises(StoreIOError):
        read_bytes(tmp_path)


def test_an_atomic_write_replaces_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "f").symlink_to(tmp_path / "victim")
    write_atomic(tmp_path / "f", b"new")
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "f").is_symlink()


def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    disk = FaultFs(CrashFs(), FaultPlan((Fault("make_dir", error=errno.ENOSPC),)))
    with pytest.raises(StoreFullError, match="no space"):
        make_dirs(Path("/a/b"), fs=disk)
