"""Nothing that a step started outlives it, the launcher, or the process that called."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clockwork_nb.errors import AdapterFailedError, StepInterruptedError
from clockwork_nb.forge.confinement import Grant, probe, read_roots
from clockwork_nb.forge.launch import Launcher, LaunchResult, LaunchSpec

PROJECT = Path(__file__).resolve().parents[2]


def tree(mark: str) -> set[int]:
    """The living processes that have *mark* among their words."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                zombie = b") Z" in (process / "stat").read_bytes()
            except OSError:
                continue
            if mark.encode() in words and not zombie:
                found.add(int(process.name))
    return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def mark() -> str:
    return f"7{secrets.randbelow(10**12):012d}.5"  # a number of seconds that nobody else sleeps


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    with Launcher() as running:
        yield running


# One main that ignores SIGTERM, a child that does, a child in a session of its own, and one that left by a double fork.
FAMILY = """
trap '' TERM
sleep {mark} &
setsid sleep {mark} &
(setsid sh -c 'sleep {mark} & exec sleep {mark}' &)
touch {ready}
sleep {mark}
"""


def spec(script: str, folder: Path, timeout_s: float = 60, grace_s: float = 0.2) -> LaunchSpec:
    return LaunchSpec(
        ("sh", "scripts/s.sh"),
        "/bin/sh",
        {"PATH": "/usr/bin:/bin"},
        folder,
        script=script.encode(),
        script_name="scripts/s.sh",
        read_roots=read_roots(folder),
        write_roots=(Grant(str(folder), "write"),),
        timeout_s=timeout_s,
        grace_s=grace_s,
    )


def run(launcher: Launcher, what: LaunchSpec, cancel: threading.Event | None = None) -> LaunchResult:
    return launcher.run(what, on_output=lambda _stream, _data: None, cancel=cancel)


def test_processes_left_behind_are_killed_when_the_step_ends(launcher: Launcher, tmp_path: Path, mark: str) -> None:
    script = f"setsid sleep {mark} & (setsid sh -c 'sleep {mark} & exec sleep {mark}' &) ; sleep {mark} & sleep 0.3"
    result = run(launcher, spec(script, tmp_path))
    assert tree(mark) == set()
    assert (result.exit_code, result.killed) == (0, None)
    assert result.strays >= 3


def test_a_stray_holding_the_output_does_not_hold_up_the_end(launcher: Launcher, tmp_path: Path, mark: str) -> None:
    said: list[bytes] = []
    script = f"setsid sleep {mark} & echo all"
    result = launcher.run(spec(script, tmp_path), on_output=lambda _stream, data: said.append(data))
    assert b"".join(said) == b"all\n"
    assert result.strays == 1
    assert tree(mark) == set()


def test_a_timeout_takes_the_whole_family(launcher: Launcher, tmp_path: Path, mark: str) -> None:
    script = FAMILY.format(mark=mark, ready=tmp_path / "ready")
    result = run(launcher, spec(script, tmp_path, timeout_s=0.6))
    assert (result.killed, result.signal) == ("timeout", 9)
    assert tree(mark) == set()


def test_a_cancelled_step_takes_the_whole_family(launcher: Launcher, tmp_path: Path, mark: str) -> None:
    cancel = threading.Event()
    script = FAMILY.format(mark=mark, ready=tmp_path / "ready")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, launcher, spec(script, tmp_path), cancel)
        wait_for(lambda: (tmp_path / "ready").exists() and len(tree(mark)) >= 5, "the family never came up")
        cancel.set()
        assert running.result(timeout=20).killed == "cancelled"
    assert tree(mark) == set()


def test_two_hundred_strays_are_all_killed(launcher: Launcher, tmp_path: Path, mark: str) -> None:
    script = f"i=0; while [ $i -lt 200 ]; do setsid sleep {mark} & i=$((i+1)); done"
    assert run(launcher, spec(script, tmp_path)).strays == 200
    assert tree(mark) == set()


def test_the_end_of_one_step_leaves_the_detached_child_of_another_alone(
    launcher: Launcher, tmp_path: Path, mark: str
) -> None:
    ready, go = tmp_path / "ready", tmp_path / "go"
    script = f"""
        (setsid sleep {mark} &)
        touch {ready}
        while [ ! -e {go} ]; do sleep 0.02; done
        grep -q x {tmp_path}/alive
    """
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(run, launcher, spec(script, tmp_path))
        wait_for(lambda: ready.exists() and len(tree(mark)) >= 1, "the long step never came up")
        others = [run(launcher, spec("setsid sleep 600 &", tmp_path)) for _ in range(10)]
        (tmp_path / "alive").write_text("x" if tree(mark) else "")
        go.touch()
        result = long.result(timeout=20)
    assert {r.strays for r in others} == {1}
    assert result.exit_code == 0
    assert result.strays == 1
    assert tree(mark) == set()


def test_strays_are_blamed_on_the_step_that_left_them(launcher: Launcher, tmp_path: Path, mark: str) -> None:
    scripts = [f"sleep {mark} & exit 0" if n % 4 == 0 else "exit 0" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda s: run(launcher, spec(s, tmp_path)), scripts))
    assert [r.strays for r in results] == [1 if n % 4 == 0 else 0 for n in range(40)]
    assert tree(mark) == set()


def test_shutdown_kills_what_is_running(tmp_path: Path, mark: str) -> None:
    with Launcher() as launcher, ThreadPoolExecutor(4) as pool:
        script = f"setsid sleep {mark} & trap '' TERM; sleep {mark}; sleep {mark}"
        runs = [pool.submit(run, launcher, spec(script, tmp_path)) for _ in range(4)]
        wait_for(lambda: len(tree(mark)) == 8, "the steps never came up")
        launcher.shutdown()
        for each in runs:
            with pytest.raises(StepInterruptedError):
                each.result(timeout=20)
    assert tree(mark) == set()


@pytest.mark.parametrize("victim", ["worker", "guard"])
def test_a_killed_launcher_takes_its_steps_along_and_says_so(tmp_path: Path, mark: str, victim: str) -> None:
    with Launcher() as launcher, ThreadPoolExecutor(4) as pool:
        script = FAMILY.format(mark=mark, ready=tmp_path / "ready")
        runs = [pool.submit(run, launcher, spec(script, tmp_path)) for _ in range(4)]
        wait_for(lambda: len(tree(mark)) >= 20, "the steps never came up")
        worker = launcher.pid
        guard = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(worker if victim == "worker" else guard, signal.SIGKILL)
        for each in runs:
            with pytest.raises(StepInterruptedError) as caught:
                each.result(timeout=20)
            assert caught.value.code == "E_STEP_INTERRUPTED"
        wait_for(lambda: not tree(mark), "something survived the launcher")
        wait_for(lambda: not launcher.alive, "the launcher still calls itself alive")
        with pytest.raises(AdapterFailedError, match=r"signal 9|code 137"):
            run(launcher, spec("exit 0", tmp_path))


PARENT = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
from clockwork_nb.forge.confinement import Grant, read_roots
from clockwork_nb.forge.launch import Launcher, LaunchSpec
folder = sys.argv[2]
launcher = Launcher()
launcher.start()
if sys.argv[4] == "fork":  # a child of ours keeps our end of the socket open, so the launcher sees no end of file
    if os.fork() == 0:
        threading.Event().wait()
spec = LaunchSpec(("sh", "s.sh"), "/bin/sh", {"PATH": "/usr/bin:/bin"}, folder, script=sys.argv[3].encode(),
                  script_name="s.sh", read_roots=read_roots(__import__("pathlib").Path(folder)),
                  write_roots=(Grant(folder, "write"),))
for _ in range(4):
    threading.Thread(target=lambda: launcher.run(spec, on_output=lambda s, d: None)).start()
print(launcher._names, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("kind", ["alone", "fork"])
def test_a_killed_caller_leaves_nothing(tmp_path: Path, mark: str, kind: str) -> None:
    script = FAMILY.format(mark=mark, ready=tmp_path / "ready")
    words = [sys.executable, "-c", PARENT, str(PROJECT), str(tmp_path), script, kind]
    caller = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
    assert caller.stdout is not None
    try:
        names = Path(caller.stdout.readline().decode().strip())
        assert names.is_dir()
        wait_for(lambda: len(tree(mark)) >= 20, "the steps never came up")
        caller.kill()
        caller.wait()
        wait_for(lambda: not tree(mark), "steps survived their caller")
        wait_for(lambda: not names.exists(), "the launcher left its folder")
    finally:
        os.killpg(caller.pid, signal.SIGKILL) if kind == "fork" else caller.kill()
        caller.wait()
        caller.stdout.close()


def test_a_step_that_forks_for_ever_is_ended(launcher: Launcher, tmp_path: Path, mark: str) -> None:
    code = f"trap '' TERM; f() {{ setsid sh \"$0\" again {mark} & }}; f; exit 0"
    script = f'if [ "$1" = again ]; then sleep 0.02; setsid sh "$0" again {mark} & exit 0; fi; {code}'
    result = run(launcher, spec(script, tmp_path))
    assert result.exit_code == 0
    assert tree(mark) == set()


class Hold:
    """Keeps processes from being gone, as an uninterruptible sleep would: a traced one ends only for its tracer."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.pids: list[int] = []

    def seize(self, pid: int) -> None:
        number, zero = ctypes.c_long(pid), ctypes.c_long(0)
        if self.libc.ptrace(ctypes.c_long(0x4206), number, zero, zero) != 0:  # PTRACE_SEIZE
            pytest.skip("tracing other processes is not allowed here")
        self.pids.append(pid)

    def release(self) -> None:
        for pid in self.pids:
            os.waitpid(pid, 0x40000000)  # __WALL


@pytest.mark.parametrize("which", ["main", "stray"])
def test_a_process_that_even_sigkill_does_not_end_is_reported(
    launcher: Launcher, tmp_path: Path, mark: str, which: str
) -> None:
    hold = Hold()
    lines = {"main": f"echo $$; exec sleep {mark}", "stray": f"setsid sleep {mark} & echo $!; sleep 0.5"}

    def seize(_stream: str, said: bytes) -> None:
        hold.seize(int(said))

    try:
        step = spec(lines[which], tmp_path, timeout_s=0.5 if which == "main" else 60)
        result = launcher.run(step, on_output=seize)
        assert result.stuck == 1
        assert result.killed == ("timeout" if which == "main" else None)
        assert run(launcher, spec("exit 0", tmp_path)).ok
    finally:
        hold.release()
    wait_for(lambda: launcher.stats()["stuck"] == 0, "the late end was not noticed")


def test_a_step_cannot_end_the_launcher_under_landlock(launcher: Launcher, tmp_path: Path) -> None:
    if probe().abi < 6:
        pytest.skip("needs Landlock ABI 6")
    assert run(launcher, spec("kill -9 $PPID", tmp_path)).exit_code != 0
    assert run(launcher, spec("exit 0", tmp_path)).ok
