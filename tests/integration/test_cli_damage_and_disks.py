"""Folders that are missing, read-only, full or damaged: a clear end, and nothing half done or rewritten."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

SITE = 'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", path], capture_output=True, check=False
    ).returncode:
        pytest.skip("may not mount a small file system here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(disk: Path, leave: int = 0) -> None:
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with contextlib.suppress(OSError), (disk / "fill").open("wb") as file:
        file.write(bytes(max(0, free - leave)))


def test_damaged_state_stops_every_verb_and_is_left_as_it_is(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    state = project.folder / ".clockwork/state.json"
    state.write_bytes(state.read_bytes()[:-9])
    damaged = state.read_bytes()
    for words in (
        ["plan"],
        ["apply", "--auto-approve"],
        ["verify"],
        ["destroy", "--auto-approve"],
        ["show"],
        ["output"],
    ):
        assert "E_STORE_CORRUPT" in project.run(*words, expect=10).err
    assert state.read_bytes() == damaged
    assert len(project.jobs()) == 1


def test_removed_build_folder_is_harmless(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    shutil.rmtree(project.folder / ".clockwork/build")
    assert project.run("plan", "--detailed-exitcode").status == 0
    project.write({"main.cw": SITE.replace('"x"', '"y"')})
    project.run("apply", "--auto-approve")


def test_removed_job_store_is_harmless(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    shutil.rmtree(project.store)
    assert project.run("plan", "--detailed-exitcode").status == 0
    assert project.jobs() == []
    project.run("destroy", "--auto-approve")


def test_job_store_that_is_a_file_is_told(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.store.write_text("")
    for words in (["job", "list"], ["apply", "--auto-approve"], ["job", "status", "x"]):
        assert "is not a folder" in project.run(*words, expect=6).err


@pytest.mark.parametrize("kind", ["folder", "dangling link", "pipe", "other.cwvars"])
def test_configuration_that_cannot_be_read_is_never_passed_over(project: Project, kind: str) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    path = project.folder / ("other.cwvars" if kind == "other.cwvars" else "main.cw")
    path.unlink(missing_ok=True)
    if kind == "folder" or kind == "other.cwvars":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(project.root / "nothing")
    assert path.name in project.run("plan", expect=6).err


def test_read_only_folder_can_be_planned_but_not_applied(project: Project, small_disk: Path) -> None:
    (small_disk / "main.cw").write_text(SITE)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert "1 to create" in project.run("plan", "-C", str(small_disk)).out
    project.run("validate", "-C", str(small_disk))
    project.run("show", "-C", str(small_disk))
    done = project.run("apply", "-C", str(small_disk), "--auto-approve", expect=10)
    assert "Read-only file system" in done.err
    assert project.jobs() == []


@pytest.mark.parametrize("leave", [0, 8_192, 24_576, 49_152, 81_920])
def test_full_job_store_runs_nothing_it_cannot_record(project: Project, small_disk: Path, leave: int) -> None:
    project.env["CLOCKWORK_HOME"] = str(small_disk / "home")
    project.write({"main.cw": SITE})
    fill(small_disk, leave)
    done = project.run("apply", "--auto-approve", expect=None)
    assert "Traceback" not in done.err
    if done.status:
        assert done.status == 10
        assert "E_STORE_FULL" in done.err
    (small_disk / "fill").unlink()
    left = [job for job in project.jobs() if job["status"] != "completed"]
    for job in left:
        assert not job["running"]
        done = project.run("job", "resume", job["id"], expect=None)
        if done.status == 4:
            project.approve(job["id"])
            done = project.run("job", "resume", job["id"], expect=None)
        assert done.status == 0, done.err
    project.run("apply", "--auto-approve")
    assert (project.folder / "out/a").read_text() == "x"


def test_port_taken_between_plan_and_apply_names_the_holder_and_the_job_goes_on(project: Project) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    project.write(
        {
            "main.cw": f'service "web" {{\n  command = ["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1"]\n'
            f"  port    = {port}\n}}\n"
        }
    )
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    project.approve(job)
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        done = project.run("job", "resume", job, expect=1)
        assert f"ort {port} is held by pid {os.getpid()}" in done.out
    assert project.jobs()[0]["status"] == "blocked_error"
    project.run("job", "resume", job)
    assert project.jobs()[0]["status"] == "completed"
