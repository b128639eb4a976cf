"""What a host step leaves running on purpose goes on; what a confined step leaves never does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec import structs

from clockwork_nb.forge.confinement import read_roots
from clockwork_nb.forge.launch import Launcher, LaunchResult, LaunchSpec
from clockwork_nb.forge.supervisor import start_time

_LEAVE = 'setsid sh -c \'echo $$ > "$PLACE"; exec sleep 600\' > /dev/null 2>&1 < /dev/null &\nuntil [ -s "$PLACE" ]; do :; done\n'


@pytest.fixture
def left(tmp_path: Path) -> Iterator[list[int]]:
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    return start_time(pid) != 0


def spec(folder: Path, name: str, text: str = _LEAVE, **changes: object) -> LaunchSpec:
    made = LaunchSpec(
        ("sh", "scripts/service.a/ensure_service.sh"),
        "/bin/sh",
        {"PATH": "/usr/bin:/bin", "PLACE": str(folder / name)},
        folder,
        script=text.encode(),
        script_name="scripts/service.a/ensure_service.sh",
        read_roots=read_roots(folder),
        confined=False,
        detaches=True,
        timeout_s=20,
    )
    return structs.replace(made, **changes)


def run(launcher: Launcher, what: LaunchSpec) -> LaunchResult:
    return launcher.run(what, on_output=lambda _stream, _data: None)


def pid_in(folder: Path, name: str) -> int:
    return int((folder / name).read_text())


def test_a_host_step_that_detaches_leaves_its_daemon_also_when_the_launcher_ends(
    tmp_path: Path, left: list[int]
) -> None:
    with Launcher() as launcher:
        result = run(launcher, spec(tmp_path, "kept"))
        left.append(pid_in(tmp_path, "kept"))
        assert result.ok and result.strays == 0
        assert alive(left[0])
        run(launcher, spec(tmp_path, "other", "true"))  # the next step's end sweeps, and must not take it
        assert alive(left[0])
    assert alive(left[0])


def test_a_daemon_that_was_kept_may_end_by_itself_while_steps_run(tmp_path: Path, left: list[int]) -> None:
    with Launcher() as launcher:
        run(launcher, spec(tmp_path, "kept"))
        left.append(pid_in(tmp_path, "kept"))
        os.kill(left[0], signal.SIGTERM)
        wait_until(lambda: not alive(left[0]), "it goes")
        assert run(launcher, spec(tmp_path, "again", "true")).ok


def test_a_process_group_of_its_own_is_enough_for_a_host_step(tmp_path: Path, left: list[int]) -> None:
    text = "bash -c 'set -m; sleep 600 > /dev/null 2>&1 & echo $! > \"$PLACE\"'\n"
    with Launcher() as launcher:
        result = run(launcher, spec(tmp_path, "helper", text))
        left.append(pid_in(tmp_path, "helper"))
        assert result.ok and result.strays == 0 and alive(left[0])
    assert alive(left[0])


def test_only_what_left_the_steps_process_group_is_kept(tmp_path: Path) -> None:
    text = 'sleep 600 & echo $! > "$PLACE"\n'
    with Launcher() as launcher:
        result = run(launcher, spec(tmp_path, "stray", text))
        assert result.strays == 1
        assert not alive(pid_in(tmp_path, "stray"))


def test_without_the_word_a_host_step_leaves_nothing(tmp_path: Path) -> None:
    with Launcher() as launcher:
        result = run(launcher, spec(tmp_path, "stray", detaches=False))
        assert result.strays >= 1
        assert not alive(pid_in(tmp_path, "stray"))


def test_a_confined_step_cannot_leave_anything_even_beside_one_that_detaches(tmp_path: Path, left: list[int]) -> None:
    """Its processes can be told by no_new_privs, wherever they moved."""
    with Launcher() as launcher:
        confined = spec(tmp_path, "confined", f"{_LEAVE}exit 0\n", confined=True, detaches=True)
        from clockwork_nb.forge.confinement import Grant

        result = run(launcher, structs.replace(confined, write_roots=(Grant(str(tmp_path), "write"),)))
        assert not alive(pid_in(tmp_path, "confined")), result
        run(launcher, spec(tmp_path, "kept"))
        left.append(pid_in(tmp_path, "kept"))
        assert alive(left[0])


def test_a_killed_launcher_does_not_take_what_was_kept(tmp_path: Path, left: list[int]) -> None:
    with Launcher() as launcher:
        run(launcher, spec(tmp_path, "kept"))
        left.append(pid_in(tmp_path, "kept"))
        worker = int(Path(f"/proc/{left[0]}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not alive(worker), "the worker goes")
        time.sleep(0.2)  # the guard clears up meanwhile
        assert alive(left[0])
