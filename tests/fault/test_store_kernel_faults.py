"""The kernel refuses a call of a real ``apply``: the command says so, nothing confirmed is lost, and resume ends the job.

``strace`` makes the k-th fsync, fdatasync or write fail with EIO, EDQUOT, EROFS or ENOSPC (P7), a small tmpfs is really
full (P8). After a failed call the handle is never used again: the truth is read from the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

SITE = """
directory "out" {
  path = "out"
}

command "one" {
  script     = "echo one >> out/log"
  writes     = ["out"]
  depends_on = [directory.out]
}

command "two" {
  script     = "echo two >> out/log"
  writes     = ["out"]
  depends_on = [command.one]
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write({"main.cw": SITE})
    return made


def apply_with(project: Project, fault: str) -> tuple[int, str]:
    """Run ``apply`` with *fault* injected by strace and return status and stderr."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    call = fault.partition(":")[0]
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={fault}"]
    done = subprocess.run(
        [*words, *project.command("apply", "--auto-approve")],
        cwd=project.folder, env=project.environment(), capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def go_on(project: Project) -> None:
    """Bring every job to its end, as the commands' own hints say, and apply once more."""
    for job in project.jobs():
        name = job["id"]
        done = project.run("job", "resume", name, expect=None)
        for _ in range(6):
            if done.status == 0 or "E_INVALID_STATE_TRANSITION" in done.err:
                break
            if done.status == 4:
                project.approve(name)
                done = project.run("job", "resume", name, expect=None)
            else:
                assert done.status == 9, done.err
                step = re.findall(r"--rerun '([^']+)'", done.err)[0]
                done = project.run("job", "resume", name, "--rerun", step, expect=None)
        assert done.status == 0 or "is completed" in done.err, done.err
    project.run("apply", "--auto-approve")


def check_end(project: Project) -> None:
    ran = Counter((project.folder / "out/log").read_text().split())
    interrupted = sum(
        event["type"] == "step.interrupted" for job in project.jobs() for event in project.events(job["id"])
    )
    assert set(ran) == {"one", "two"}
    assert sum(ran.values()) <= 2 + interrupted, f"{ran} with {interrupted} interrupted steps"
    assert project.run("plan", "--detailed-exitcode").status == 0
    project.run("store", "check")


def check_fault(project: Project, fault: str) -> bool:
    """Let *fault* happen and bring the work to its end; return whether it hit anything."""
    status, error = apply_with(project, fault)
    assert "Traceback" not in error
    if status == 0:
        check_end(project)
        return False
    assert status in {1, 10}, f"{fault}: {status}\n{error}"  # 1: a write that was none of the store's
    if status == 10:
        assert re.search(r"E_STORE_(IO|FULL)", error)
    for job in project.jobs():
        assert not job["running"]
    go_on(project)
    check_end(project)
    return True


@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=4",
        "fdatasync:error=EIO:when=8",
        "fsync:error=EIO:when=14",
        "write:error=EDQUOT:when=9",
        "write:error=EROFS:when=14",
    ],
)
def test_a_call_that_fails_is_told_and_the_job_goes_on(project: Project, fault: str) -> None:
    assert check_fault(project, fault)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fdatasync:error=EIO", "fsync:error=EIO", "write:error=ENOSPC", "rename:error=EIO"])
@pytest.mark.parametrize("number", range(1, 36))
def test_every_call_fails_once(project: Project, kind: str, number: int) -> None:
    check_fault(project, f"{kind}:when={number}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of its own of 64 KiB; `grow` makes it larger."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", path], capture_output=True, check=False
    ).returncode:
        pytest.skip("may not mount a small file system here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def grow(disk: Path, kib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kib}k", disk], check=True)


def check_size(project: Project, disk: Path, kib: int) -> None:
    grow(disk, kib)
    project.env["CLOCKWORK_HOME"] = str(disk / "home")
    done = project.run("apply", "--auto-approve", expect=None)
    assert "Traceback" not in done.err
    assert done.status in {0, 10}, done.err
    if done.status:
        assert "E_STORE_FULL" in done.err
    confirmed = {job["id"]: [event["seq"] for event in project.events(job["id"])] for job in project.jobs()}
    grow(disk, 4096)
    for job, seqs in confirmed.items():  # what could be read on the full disk is still there, without any repair
        assert [event["seq"] for event in project.events(job)][: len(seqs)] == seqs
    go_on(project)
    check_end(project)


@pytest.mark.parametrize("kib", [88, 128])
def test_a_full_disk_loses_nothing_and_the_job_goes_on_when_there_is_room(
    project: Project, disk: Path, kib: int
) -> None:
    check_size(project, disk, kib)


@pytest.mark.slow
@pytest.mark.parametrize("kib", range(64, 321, 4))
def test_disks_of_every_size(project: Project, disk: Path, kib: int) -> None:
    check_size(project, disk, kib)


def test_a_limit_on_the_size_of_files_is_a_full_disk_too(project: Project) -> None:
    """RLIMIT_FSIZE: no file may grow beyond 6 KiB, so the log stops in the middle of the run."""
    import resource

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_144, 6_144))

    done = subprocess.run(
        project.command("apply", "--auto-approve"), cwd=project.folder, env=project.environment(), capture_output=True,
        text=True, timeout=110, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 10 and "E_STORE_" in done.stderr
    (job,) = project.jobs()
    assert not job["running"]
    with contextlib.suppress(FileNotFoundError):
        assert os.stat(project.store / "jobs" / job["id"] / "events.jsonl").st_size <= 6_144
    go_on(project)
    check_end(project)
