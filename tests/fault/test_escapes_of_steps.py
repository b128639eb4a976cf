"""How a step's processes may try to outlive it, and that none does: each way, on every tier this machine offers (P28).

A case is a script that starts its escape, says so and goes on for ever; the step runs into its timeout. Whatever carries
the case's mark must be gone when the step is reported, and that may take the grace time and two seconds.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import StepInterruptedError
from clockwork_nb.forge.confinement import Confinement, Grant, probe, read_roots
from clockwork_nb.forge.launch import Launcher, LaunchResult, LaunchSpec
from clockwork_nb.forge.tiers import probe_strict

GRACE_S = 0.3
MOST_S = 2.0
"""What the end may take beyond timeout and grace (P28)."""

TIERS = ("standard", "strict", "basic")

# What every escape in Python begins with. MARK is a word that nobody else has on the command line.
HEAD = """
import ctypes, os, signal, subprocess, sys, time
mark = sys.argv[1]
libc = ctypes.CDLL(None)
def sleeper(**more):
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)", mark], **more)
def forever():
    print("ready", flush=True)
    while True:
        time.sleep(600)
"""

ZOO = {
    "plain-child": "sleeper(); forever()",
    "new-session": "sleeper(start_new_session=True); forever()",
    "double-fork": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sleeper()
    os._exit(0)
os.wait(); forever()
""",
    "nohup": "signal.signal(signal.SIGHUP, signal.SIG_IGN); sleeper(start_new_session=True); forever()",
    "main-ignores-term": "signal.signal(signal.SIGTERM, signal.SIG_IGN); sleeper(); forever()",
    "all-signals-ignored": """
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
sleeper(start_new_session=True); forever()
""",
    "daemon-with-closed-streams": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/"); os.umask(0)
        for number in range(3): os.close(number)
        os.open(os.devnull, os.O_RDWR); os.dup2(0, 1); os.dup2(0, 2)
        sleeper()
    os._exit(0)
os.wait(); forever()
""",
    "grandchild-holds-the-pipe": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        child = sleeper()  # keeps both streams of the step open
        child.wait()
    os._exit(0)
forever()
""",
    "stopped-child": "child = sleeper(start_new_session=True); os.kill(child.pid, signal.SIGSTOP); forever()",
    "stops-itself": "sleeper(); print('ready', flush=True); os.kill(os.getpid(), signal.SIGSTOP); forever()",
    "traced-child": """
pid = os.fork()
if pid == 0:
    libc.ptrace(0, 0, 0, 0)  # PTRACE_TRACEME: it stops at its exec and waits for its tracer
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)", mark])
forever()
""",
    "forks-while-it-is-killed": """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def again():
    while True:
        if os.fork() == 0:
            os.setsid()
            time.sleep(0.005)
            continue
        os._exit(0)
for _ in range(3):
    if os.fork() == 0:
        again()
forever()
""",
    "gives-up-death-signal": """
if os.fork() == 0:
    libc.prctl(1, 0, 0, 0, 0)  # PR_SET_PDEATHSIG: none
    os.setsid()
    sleeper().wait()
libc.prctl(1, 0, 0, 0, 0); forever()
""",
    "own-subreaper": """
if os.fork() == 0:
    os.setsid()
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: adopts what is orphaned below
    if os.fork() == 0:
        sleeper(); os._exit(0)
    while True: time.sleep(600)
forever()
""",
    "no-longer-subreaper": """
libc.prctl(36, 0, 0, 0, 0)  # its orphans fall to whoever is above
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: sleeper()
    os._exit(0)
os.wait(); forever()
""",
    "many-short-children": """
if os.fork() == 0:
    os.setsid()
    while True:
        if os.fork() == 0: os._exit(0)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]: pass
        except ChildProcessError: pass
forever()
""",
    "forty-sessions": "[sleeper(start_new_session=True) for _ in range(40)]; forever()",
    "other-process-group": "sleeper(process_group=0); os.setpgid(0, 0) if os.getpid() != os.getsid(0) else None; forever()",
    "threads-only": """
import threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(8): threading.Thread(target=time.sleep, args=(600,)).start()
sleeper(); forever()
""",
    "new-name": """
if os.fork() == 0:
    os.setsid()
    libc.prctl(15, b"systemd", 0, 0, 0)  # PR_SET_NAME
    sleeper(env={}).wait()
forever()
""",
}


def confinement(tier: str) -> Confinement:
    if tier == "basic":
        return Confinement("basic", 0, "for this test")
    found: Confinement | str = probe_strict() if tier == "strict" else probe()
    if isinstance(found, str) or found.tier != tier:
        pytest.skip(f"{tier} is not offered here: {found}")
    return found


@pytest.fixture(scope="module", params=TIERS)
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    with Launcher(confinement(request.param)) as running:
        yield running


def marked(mark: str) -> set[int]:
    """The living processes with *mark* among their words, in whatever namespace."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                gone = b") Z" in (process / "stat").read_bytes()
            except OSError:
                continue
            if mark.encode() in words and not gone:
                found.add(int(process.name))
    return found


def spec(script: str, folder: Path, mark: str, **more: Any) -> LaunchSpec:
    return LaunchSpec(
        ("python3", "-I", "-S", "escape.py", mark),
        sys.executable,
        {"PATH": "/usr/bin:/bin"},
        folder,
        script=script.encode(),
        script_name="escape.py",
        read_roots=read_roots(folder, interpreters=[sys.executable]),
        write_roots=(Grant(str(folder), "write"),),
        **{"timeout_s": 60, "grace_s": GRACE_S, **more},
    )


def run_to_its_timeout(launcher: Launcher, script: str, folder: Path, mark: str) -> tuple[LaunchResult, float]:
    """Run *script*, cancel it once its escape is out, and return the result and how long the end took."""
    cancel, ready = threading.Event(), threading.Event()
    began = 0.0

    def hear(_stream: str, said: bytes) -> None:
        if b"ready" in said:
            ready.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(launcher.run, spec(script, folder, mark), on_output=hear, cancel=cancel)
        assert ready.wait(30), "the escape never came up"
        time.sleep(0.05)
        began = time.monotonic()
        cancel.set()
        result = running.result(timeout=60)
    return result, time.monotonic() - began


@pytest.mark.parametrize("escape", ZOO)
def test_nothing_of_an_escape_is_left(launcher: Launcher, tmp_path: Path, escape: str) -> None:
    mark = f"escape-{secrets.token_hex(8)}"
    result, took = run_to_its_timeout(launcher, HEAD + ZOO[escape], tmp_path, mark)
    left = marked(mark)
    assert left == set(), f"{escape} left {len(left)} processes"
    assert result.killed == "cancelled"
    assert result.stuck == 0
    assert took < GRACE_S + MOST_S + 10, "the end was held up"  # generous: the machine may be busy; not a benchmark
    after = launcher.run(spec("print('fine')", tmp_path, mark), on_output=lambda _s, _d: None)
    assert after.ok, "the launcher did not survive it"


@pytest.mark.parametrize("escape", ["new-session", "daemon-with-closed-streams", "grandchild-holds-the-pipe"])
def test_a_main_process_that_ends_takes_its_escapes_along(launcher: Launcher, tmp_path: Path, escape: str) -> None:
    mark = f"escape-{secrets.token_hex(8)}"
    script = HEAD + ZOO[escape].replace("forever()", "time.sleep(0.2)")
    result = launcher.run(spec(script, tmp_path, mark), on_output=lambda _s, _d: None)
    assert marked(mark) == set()
    assert (result.exit_code, result.killed) == (0, None)


def test_a_step_that_says_nothing_is_stopped_with_its_family(launcher: Launcher, tmp_path: Path) -> None:
    mark = f"escape-{secrets.token_hex(8)}"
    script = f"{HEAD}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN); sleeper(start_new_session=True); forever()"
    result = launcher.run(spec(script, tmp_path, mark, idle_timeout_s=0.6, timeout_s=6), on_output=lambda _s, _d: None)
    assert result.killed == "idle"
    assert marked(mark) == set()


@pytest.mark.parametrize("tier", TIERS)
def test_a_killed_launcher_leaves_no_escape(tmp_path: Path, tier: str) -> None:
    mark = f"escape-{secrets.token_hex(8)}"
    ready = threading.Event()
    with Launcher(confinement(tier)) as launcher, ThreadPoolExecutor(1) as pool:
        script = HEAD + ZOO["double-fork"]
        running = pool.submit(
            launcher.run, spec(script, tmp_path, mark), on_output=lambda _s, said: ready.set() if said else None
        )
        assert ready.wait(30)
        os.kill(launcher.pid, signal.SIGKILL)
        with pytest.raises(StepInterruptedError):
            running.result(timeout=30)
        deadline = time.monotonic() + 20
        while marked(mark):
            assert time.monotonic() < deadline, "something survived the launcher"
            time.sleep(0.01)
