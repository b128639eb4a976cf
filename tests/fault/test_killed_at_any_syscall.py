"""SIGKILL right before any system call of a run: resume ends it, no completed step runs again, none is left out.

Promises P1 and P2, on the real command. The points of a run are numbered by `tests/fault/effects/tracer.py`.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.effects.sweep import TRACER, Sweep

KINDS = [Sweep("apply", True), Sweep("apply", False), Sweep("submit", True), Sweep("submit", False)]
NAMES = ["apply-idempotent", "apply", "submit-idempotent", "submit"]
SHARES = 8

if platform.machine() not in {"x86_64", "aarch64"}:
    pytest.skip("the numbers of the system calls are not known here", allow_module_level=True)

PROGRAM = """
import os, subprocess, sys, threading
os.mkdir("a")
subprocess.run([sys.executable, "-S", "-c", "import os; os.mkdir('of-a-child')"])
thread = threading.Thread(target=os.mkdir, args=("b",))
thread.start()
thread.join()
os.open("a", os.O_RDONLY)
os.rename("a", "c")
os.rmdir("b")
"""


def traced(folder: Path, point: int) -> tuple[list[str], int]:
    """Run `PROGRAM` in *folder* up to *point*; return its calls and its status."""
    folder.mkdir()
    words = [sys.executable, "-S", str(TRACER), str(point), "../report", sys.executable, "-S", "-c", PROGRAM]
    subprocess.run(words, cwd=folder, check=True, timeout=60)
    report = json.loads((folder.parent / "report").read_text())
    return report["calls"], report["status"]


def test_the_tracer_ends_the_process_before_the_call_and_never_a_child(tmp_path: Path) -> None:
    calls, status = traced(tmp_path / "whole", 0)
    assert status == 0
    changing = [
        name for name in calls if name in {"mkdir", "mkdirat", "rename", "renameat", "renameat2", "rmdir", "unlinkat"}
    ]
    assert [name.removesuffix("at").removesuffix("at2") for name in changing[:3]] == ["mkdir", "mkdir", "rename"]
    assert len(changing) == 4, "the child's folder is none of the program's calls, a file that is only read no point"
    point = calls.index(changing[2]) + 1
    killed, status = traced(tmp_path / "killed", point)
    assert (killed, status) == (calls[:point], -9)
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["a", "b", "of-a-child"]


def check_point(kind: Sweep, root: Path, point: int) -> None:
    root.mkdir()
    project = kind.prepare(root)
    calls = kind.start(project, point)
    try:
        job, asked = kind.bring_to_end(project)
        kind.check(project, job, asked)
    except AssertionError as error:
        raise AssertionError(f"killed before call {point} ({calls[-1]}): {error}") from error


@pytest.fixture(scope="module", params=KINDS, ids=NAMES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, list[str]]:
    """Return a kind of run and the points it has when nobody kills it."""
    kind: Sweep = request.param
    root = tmp_path_factory.mktemp("whole")
    project = kind.prepare(root)
    calls = kind.start(project, 0)
    job, asked = next((project.store / "jobs").glob("[!.]*")).name, set[str]()
    kind.check(project, job, asked)
    assert {"write", "fsync", "fdatasync", "rename", "openat", "close", "clone3", "vfork", "sendmsg"} <= set(calls)
    return kind, calls


def _sent(calls: list[str], number: int) -> int:
    """Return the point at which step *number* (from 1) is sent to the launcher."""
    return [at for at, name in enumerate(calls, 1) if name == "sendmsg"][number - 1]


def _appended(calls: list[str], after: int) -> int:
    """Return the point of the first sync of the log after point *after*."""
    return calls.index("fdatasync", after) + 1


def _last_append(calls: list[str], number: int) -> int:
    """Return the point of the sync of the log that is the last but *number*."""
    return [at for at, name in enumerate(calls, 1) if name == "fdatasync"][-1 - number]


MOMENTS: dict[str, Callable[[list[str]], int]] = {
    "while-the-job-is-made": lambda calls: calls.index("fdatasync") // 2,
    "before-a-step-is-sent": lambda calls: _sent(calls, 1),
    "while-a-step-runs": lambda calls: _sent(calls, 2) + 1,
    "before-a-result-is-written": lambda calls: _appended(calls, _sent(calls, 2)) - 1,
    "before-a-result-is-synced": lambda calls: _appended(calls, _sent(calls, 3)),
    "before-its-end-is-written": lambda calls: _last_append(calls, 1) - 1,
}


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_killed_along_the_way(run: tuple[Sweep, list[str]], tmp_path: Path, moment: str) -> None:
    kind, calls = run
    check_point(kind, tmp_path / "run", MOMENTS[moment](calls))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_every_point(run: tuple[Sweep, list[str]], tmp_path: Path, share: int) -> None:
    kind, calls = run
    failures = []
    for point in range(1 + share, len(calls) + 1, SHARES):
        try:
            check_point(kind, tmp_path / str(point), point)
        except AssertionError as error:
            failures.append(str(error))
        shutil.rmtree(tmp_path / str(point))
    assert failures == []
