"""One owner of a workspace's state at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clockwork_nb.errors import StateLockedError
from clockwork_nb.forge.lock import WorkspaceLock

HOLD = """
import sys
from pathlib import Path
from clockwork_nb.forge.lock import WorkspaceLock
with WorkspaceLock(Path(sys.argv[1]), job="job_x"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": "."}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_another_process_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ws" / "state.lock"
    with hold(path) as process:
        with pytest.raises(StateLockedError) as caught:
            WorkspaceLock(path).acquire()
        process.stdin.close()  # type: ignore[union-attr]
    error = caught.value
    assert error.exit_code == 7
    assert f"process {process.pid} (job job_x)" in error.message
    assert "clockwork job cancel job_x" in error.hint
    assert error.details["owner"]["pid"] == process.pid
    with WorkspaceLock(path) as lock:
        assert lock.held


def test_the_lock_of_a_killed_owner_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "state.lock"
    with hold(path) as process:
        process.kill()
    with WorkspaceLock(path) as lock:
        assert lock.held
    assert path.exists()


def test_a_second_lock_in_the_same_process_is_refused_and_a_released_one_can_be_taken(tmp_path: Path) -> None:
    lock = WorkspaceLock(tmp_path / "state.lock")
    with lock:
        for other in (lock, WorkspaceLock(tmp_path / "state.lock")):
            with pytest.raises(StateLockedError):
                other.acquire()
        assert lock.held
    assert not lock.held
    lock.release()
    with lock:
        assert lock.held


def test_a_lock_whose_owner_cannot_be_read_is_still_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "state.lock"
    with WorkspaceLock(path):
        path.write_bytes(b"nonsense")
        with pytest.raises(StateLockedError) as caught:
            WorkspaceLock(path).acquire()
    assert "another process" in caught.value.message
