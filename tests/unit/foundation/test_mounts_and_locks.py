"""What counts as a disk of this machine, and whether locks on it are believed."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb import mounts
from clockwork_nb.errors import StoreIOError, UnsafeOperationError, UnsupportedFileSystemError
from clockwork_nb.mounts import Mount, judge_mount, mount_of, private_folder, probe_locks, remembered, require_locks
from clockwork_nb.session import job_store
from clockwork_nb.session.job_store import open_store
from clockwork_nb.settings import load_settings
from clockwork_nb.store.files import JobStore


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(mounts, "_proven", {})
    yield


@pytest.mark.parametrize(
    ("magic", "mounted", "kind", "shared"),
    [
        (0xEF53, "ext4", "ext4", False),
        (0x01021994, "tmpfs", "tmpfs", False),
        (0x794C7630, "overlay", "overlay", False),
        (0x1, "", "", False),
        (0x6969, "nfs4", "nfs4", True),
        (0x6969, "", "nfs", True),
        (0x517B, "smbfs", "smbfs", True),
        (0xFF534D42, "cifs", "cifs", True),
        (0xFE534D42, "cifs", "cifs", True),
        (0x01021997, "9p", "9p", True),
        (0x5346414F, "afs", "afs", True),
        (0x6B414653, "afs", "afs", True),
        (0x00C36400, "ceph", "ceph", True),
        (0x0BD00BD0, "lustre", "lustre", True),
        (0x47504653, "gpfs", "gpfs", True),
        (0x7461636F, "ocfs2", "ocfs2", True),
        (0x65735546, "fuse.sshfs", "fuse.sshfs", True),
        (0x65735546, "virtiofs", "virtiofs", True),
        (0x65735546, "", "fuse", True),
        (0x65735546, "fuseblk", "fuseblk", False),
        (0x65735546, "fuse.fuse-overlayfs", "fuse.fuse-overlayfs", False),
    ],
)
def test_what_other_machines_may_use_is_told_by_number_and_named_by_the_list_of_mounts(
    magic: int, mounted: str, kind: str, shared: bool
) -> None:
    assert judge_mount(magic, mounted) == Mount(kind, shared)


def test_what_is_not_there_yet_lies_where_its_parent_lies(tmp_path: Path) -> None:
    assert mount_of(tmp_path / "not" / "there" / "yet") == mount_of(tmp_path)
    assert mount_of(Path("/proc")) == Mount("proc", shared=False)


def test_locks_of_this_disk_hold_between_two_processes(tmp_path: Path) -> None:
    assert probe_locks(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_disk_where_everybody_gets_the_lock_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda _handle, _how: None)  # says yes and keeps nobody out
    assert "can be locked by another" in probe_locks(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_never_gives_a_lock_back_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lambda h, how: None if how == fcntl.LOCK_UN else real(h, how))
    assert "given back cannot be taken" in probe_locks(tmp_path)


def test_a_disk_without_locks_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(_handle: int, _how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert "cannot be locked (No locks available)" in probe_locks(tmp_path)


def test_a_process_that_cannot_be_started_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(StoreIOError, match="cannot be started"):
        probe_locks(tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "could not try" in probe_locks(tmp_path)


class Asked:
    """A mount and a probe that count how often they are asked."""

    def __init__(self, mount: Mount, problem: str = "") -> None:
        self._mount, self._problem = mount, problem
        self.mounts = self.probes = 0

    def mount(self, _path: Path) -> Mount:
        self.mounts += 1
        return self._mount

    def probe(self, _path: Path) -> str:
        self.probes += 1
        return self._problem

    def require(self, home: Path, **more: Any) -> str:
        return require_locks(home, mount=self.mount, probe=self.probe, **more)


LOCAL, NFS = Mount("ext4", shared=False), Mount("nfs4", shared=True)


def test_the_disk_is_asked_once_for_all_processes_of_a_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Asked(LOCAL)
    assert remembered(tmp_path) is None
    assert disk.require(tmp_path) == ""
    assert disk.require(tmp_path) == ""
    monkeypatch.setattr(mounts, "_proven", {})  # another process
    assert remembered(tmp_path) == LOCAL
    assert disk.require(tmp_path) == ""
    assert (disk.mounts, disk.probes) == (1, 1)
    monkeypatch.setattr(mounts, "boot_id", lambda: "another boot")
    disk.require(tmp_path)
    assert disk.probes == 2


@pytest.mark.parametrize("change", [{"device": -1}, {"boot_id": "x"}, {"kind": 7}, {"shared": "no"}, {"schema": "y"}])
def test_a_note_that_does_not_fit_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    disk = Asked(LOCAL)
    disk.require(tmp_path)
    note = tmp_path / ".lock-probe"
    note.write_text(json.dumps(json.loads(note.read_text()) | change))
    monkeypatch.setattr(mounts, "_proven", {})
    disk.require(tmp_path)
    note.write_bytes(b"\xff{")
    monkeypatch.setattr(mounts, "_proven", {})
    disk.require(tmp_path)
    assert disk.probes == 3


def test_a_shared_disk_is_refused_until_somebody_vouches(tmp_path: Path) -> None:
    disk = Asked(NFS)
    for _ in range(2):
        with pytest.raises(UnsupportedFileSystemError, match="nfs4") as caught:
            disk.require(tmp_path)
        assert caught.value.exit_code == 8
        assert "CLOCKWORK_HOME" in caught.value.hint
        assert "--i-know-single-host" in caught.value.hint
    assert "you vouch" in disk.require(tmp_path, single_host=True)
    with pytest.raises(UnsupportedFileSystemError):  # the word of one command is not that of the next
        disk.require(tmp_path)
    assert "you vouch" in disk.require(tmp_path, single_host=True)
    assert disk.probes == 1


@pytest.mark.parametrize("mount", [LOCAL, NFS])
def test_no_word_helps_where_locks_do_not_even_hold_here(tmp_path: Path, mount: Mount) -> None:
    disk = Asked(mount, "anybody gets them")
    for _ in range(2):
        with pytest.raises(UnsupportedFileSystemError, match="anybody gets them"):
            disk.require(tmp_path, single_host=True)
    assert disk.probes == 2


def test_the_store_refuses_such_a_disk_before_it_writes_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {**(require_locks.__kwdefaults__ or {}), "mount": lambda _: NFS}
    monkeypatch.setattr(mounts.require_locks, "__kwdefaults__", defaults)
    with pytest.raises(UnsupportedFileSystemError):
        JobStore(tmp_path / "home", tool_version="t").create(name="n", adapter="noop", lineage="", spec={})
    assert list((tmp_path / "home/jobs").iterdir()) == []
    JobStore(tmp_path / "home", tool_version="t", single_host=True).create(
        name="n", adapter="noop", lineage="", spec={}, job_id="job_a"
    ).close()


def test_a_home_on_a_shared_disk_is_left_for_a_local_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mounts, "mount_of", lambda _path: NFS)
    monkeypatch.setattr(job_store, "_LOCAL_HOMES", tmp_path / "local")
    monkeypatch.setattr(job_store, "_told", set())
    (tmp_path / "local").mkdir()
    local = tmp_path / "local" / f"clockwork-{os.geteuid()}"
    env = {"HOME": str(tmp_path)}
    with caplog.at_level(logging.WARNING):
        assert open_store(load_settings(env)).home == open_store(load_settings(env)).home == local
    assert [r.getMessage() for r in caplog.records] == [f"{tmp_path}/.clockwork is on nfs4; the job store is {local}"]
    assert stat.S_IMODE(local.stat().st_mode) == 0o700
    chosen = {"CLOCKWORK_HOME": str(tmp_path / "chosen")}
    assert open_store(load_settings(chosen)).home == tmp_path / "chosen"
    vouched = {**env, "CW_SINGLE_HOST": "1"}
    assert open_store(load_settings(vouched)).home == tmp_path / ".clockwork"


def test_the_local_folder_must_be_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = private_folder(tmp_path / "mine")
    assert private_folder(mine) == mine
    mine.chmod(0o750)
    with pytest.raises(UnsafeOperationError, match="open to other users"):
        private_folder(mine)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UnsafeOperationError, match="not a folder"):
        private_folder(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(UnsafeOperationError, match="not a folder"):
        private_folder(tmp_path / "file")
    mine.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UnsafeOperationError, match="another user"):
        private_folder(mine)
    with pytest.raises(StoreIOError, match="cannot be made"):
        private_folder(tmp_path / "missing" / "x")
