"""Steps in the real launcher: what they see, what comes back, how they end."""

from __future__ import annotations

import ast
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from clockwork_nb.errors import BundleLimitError
from clockwork_nb.forge import launcher as launcher_program
from clockwork_nb.forge.confinement import Confinement, interpreter_read_roots, read_roots
from clockwork_nb.forge.launch import Launcher, LaunchResult, LaunchSpec, sealed_memfd

PATH = "/usr/local/bin:/usr/bin:/bin"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as running:
        yield running


def shell(text: str, folder: Path, /, **changes: Any) -> LaunchSpec:
    spec = LaunchSpec(
        ("sh", "scripts/file.a/write_file.sh"),
        "/bin/sh",
        {"PATH": PATH},
        folder,
        script=text.encode(),
        script_name="scripts/file.a/write_file.sh",
        read_roots=read_roots(folder),
        timeout_s=30,
    )
    return structs.replace(spec, **changes)


def python(text: str, folder: Path, /, **changes: Any) -> LaunchSpec:
    roots = read_roots(folder, interpreters=[sys.executable])
    words = ("python3", "-I", "-S", "scripts/file.a/write_file.sh")
    return shell(text, folder, **{"argv": words, "exe": sys.executable, "read_roots": roots, **changes})


def run(launcher: Launcher, spec: LaunchSpec, **more: Any) -> tuple[LaunchResult, str, str]:
    got = {"out": b"", "err": b""}

    def keep(stream: Any, data: bytes) -> None:
        got[stream] += data

    result = launcher.run(spec, on_output=keep, **more)
    return result, got["out"].decode(), got["err"].decode()


def test_output_and_exit_code_come_back(launcher: Launcher, tmp_path: Path) -> None:
    result, out, err = run(launcher, shell("echo good; echo bad >&2; exit 3", tmp_path))
    assert (out, err) == ("good\n", "bad\n")
    assert (result.exit_code, result.signal, result.killed, result.error) == (3, None, None, "")
    assert result.strays == 0
    assert not result.ok


def test_a_signal_is_told_from_an_exit(launcher: Launcher, tmp_path: Path) -> None:
    result, _, _ = run(launcher, shell("kill -KILL $$", tmp_path))
    assert (result.exit_code, result.signal, result.killed) == (None, 9, None)


def test_the_script_is_called_by_its_name(launcher: Launcher, tmp_path: Path) -> None:
    _, out, _ = run(launcher, shell("echo $0", tmp_path))
    assert out.endswith("/write_file.sh\n")
    _, _, err = run(launcher, python("raise ValueError('seen')", tmp_path))
    assert "write_file.sh" in err
    assert "ValueError: seen" in err


def test_only_the_declared_environment_is_there(launcher: Launcher, tmp_path: Path) -> None:
    os.environ["CW_TEST_LEAK"] = "1"
    try:
        spec = python("import os; print(sorted(os.environ))", tmp_path, env={"A": "1", "B": "2"})
        _, out, _ = run(launcher, spec)
    finally:
        del os.environ["CW_TEST_LEAK"]
    assert set(ast.literal_eval(out)) - {"LC_CTYPE"} == {"A", "B"}


def test_only_the_declared_descriptors_are_open(launcher: Launcher, tmp_path: Path) -> None:
    code = (
        "import os\n"
        "def there(n):\n"
        "    try:\n        os.fstat(n)\n    except OSError:\n        return False\n    return True\n"
        "print([n for n in range(1024) if there(n)])\n"
    )
    # The interpreter has its script open a second time while it reads it.
    _, plain, err = run(launcher, python(code, tmp_path))
    _, with_data, _ = run(launcher, python(code, tmp_path, data={31: b"a", 40: b"b", 62: b"c"}))
    assert set(ast.literal_eval(plain)) <= {0, 1, 2, 3, 30}, err
    assert {0, 1, 2, 30, 31, 40, 62} <= set(ast.literal_eval(with_data)) <= {0, 1, 2, 3, 30, 31, 40, 62}


def test_data_arrives_on_its_descriptor_however_many_there_are(launcher: Launcher, tmp_path: Path) -> None:
    data = {n: f"content {n};".encode() for n in range(31, 63)}
    script = 'n=31; while [ $n -le 62 ]; do cat "/proc/self/fd/$n"; n=$((n+1)); done'
    result, out, err = run(launcher, shell(script, tmp_path, data=data))
    assert result.ok, err
    assert out.encode() == b"".join(data.values())


def test_data_can_be_read_by_redirection_too(launcher: Launcher, tmp_path: Path) -> None:
    spec = shell(
        "cat <&31", tmp_path, argv=("bash", "scripts/file.a/write_file.sh"), exe="/bin/bash", data={31: b"all"}
    )
    assert run(launcher, spec)[1] == "all"


def test_stdin_is_empty_unless_given(launcher: Launcher, tmp_path: Path) -> None:
    assert run(launcher, shell("cat; echo end", tmp_path))[1] == "end\n"
    assert run(launcher, shell("cat; echo end", tmp_path, stdin=b"text "))[1] == "text end\n"


def test_the_working_folder_and_umask_are_the_declared_ones(launcher: Launcher, tmp_path: Path) -> None:
    assert run(launcher, shell("pwd; umask", tmp_path, umask=0o027))[1].split() == [str(tmp_path), "0027"]


def test_a_binary_can_be_the_script_itself(launcher: Launcher, tmp_path: Path) -> None:
    content = Path("/bin/true").resolve().read_bytes()
    result, _, _ = run(
        launcher, shell("", tmp_path, argv=("scripts/x",), script_name="scripts/x", script=content, exe="")
    )
    assert result.ok, result.error


def test_a_missing_interpreter_is_told_from_exit_127(launcher: Launcher, tmp_path: Path) -> None:
    missing, _, _ = run(launcher, shell("exit 0", tmp_path, exe="/nowhere/sh"))
    assert missing.exit_code is None
    assert "/nowhere/sh" in missing.error
    real, _, _ = run(launcher, shell("exit 127", tmp_path))
    assert (real.exit_code, real.error) == (127, "")


def test_a_missing_working_folder_is_an_error_not_a_crash(launcher: Launcher, tmp_path: Path) -> None:
    result, _, _ = run(launcher, shell("exit 0", tmp_path, cwd=tmp_path / "gone"))
    assert "gone" in result.error
    assert run(launcher, shell("exit 0", tmp_path))[0].ok


def test_words_that_are_too_large_are_refused_with_a_way_out(launcher: Launcher, tmp_path: Path) -> None:
    with pytest.raises(BundleLimitError, match="too much"):
        run(launcher, shell("exit 0", tmp_path, env={"A": "x" * 300_000}))
    result, _, _ = run(launcher, shell("exit 0", tmp_path, env={"A": "x" * 140_000}))
    assert "rgument list too long" in result.error


def test_fifty_megabytes_of_output_arrive_complete(launcher: Launcher, tmp_path: Path) -> None:
    sizes = {"out": 0, "err": 0}

    def count(stream: Any, data: bytes) -> None:
        assert len(data) <= 1 << 16
        sizes[stream] += len(data)

    script = "head -c 50000000 /dev/zero; head -c 1000 /dev/zero >&2"
    assert launcher.run(shell(script, tmp_path), on_output=count).ok
    assert sizes == {"out": 50_000_000, "err": 1000}


def test_three_hundred_steps_at_parallelism_eight_keep_their_own_output(launcher: Launcher, tmp_path: Path) -> None:
    before = launcher.stats()["runs"]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: run(launcher, shell(f"echo {n}; exit {n % 7}", tmp_path)), range(300)))
    assert [(r.exit_code, out) for r, out, _ in results] == [(n % 7, f"{n}\n") for n in range(300)]
    stats = launcher.stats()
    assert stats["running"] == 0
    assert stats["runs"] == before + 300


def test_descriptors_do_not_grow_with_the_number_of_steps(launcher: Launcher, tmp_path: Path) -> None:
    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{launcher.pid}/fd"))

    run(launcher, shell("exit 0", tmp_path))
    before = counts()
    for _ in range(20):
        run(launcher, shell("exit 0", tmp_path, data={31: b"x"}, stdin=b"y"))
    assert counts() == before


def test_limits_hold(launcher: Launcher, tmp_path: Path) -> None:
    result, _, _ = run(launcher, shell("while :; do :; done", tmp_path, limits={"CPU": 1}))
    assert result.signal in {9, 24}
    assert run(launcher, shell("ulimit -n; ulimit -c", tmp_path, limits={"NOFILE": 12, "CORE": 0}))[1].split() == [
        "12",
        "0",
    ]


def test_a_timeout_ends_the_step_with_sigterm(launcher: Launcher, tmp_path: Path) -> None:
    result, _, _ = run(launcher, shell("sleep 60", tmp_path, timeout_s=0.3))
    assert result.killed == "timeout"
    assert 300 <= result.duration_ms < 10_000


def test_a_step_may_clean_up_within_the_grace_time(launcher: Launcher, tmp_path: Path) -> None:
    script = "trap 'echo cleaned; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    result, out, _ = run(launcher, shell(script, tmp_path, timeout_s=0.5))
    assert (result.exit_code, result.killed, out) == (5, "timeout", "up\ncleaned\n")


def test_a_step_that_ignores_sigterm_is_killed_after_the_grace_time(launcher: Launcher, tmp_path: Path) -> None:
    script = "trap '' TERM; (trap '' TERM; sleep 60) & sleep 60; sleep 60"
    result, _, _ = run(launcher, shell(script, tmp_path, timeout_s=0.2, grace_s=0.2))
    assert (result.signal, result.killed) == (9, "timeout")


def test_cancel_ends_a_running_step(launcher: Launcher, tmp_path: Path) -> None:
    cancel = threading.Event()
    spec = shell("echo first; sleep 60", tmp_path)
    result = launcher.run(spec, on_output=lambda _stream, _data: cancel.set(), cancel=cancel)
    assert (result.killed, result.signal) == ("cancelled", 15)


def test_a_step_that_is_cancelled_before_it_starts_never_runs(launcher: Launcher, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    before = launcher.stats()["runs"]
    result, _, _ = run(launcher, shell("exit 0", tmp_path), cancel=cancel)
    assert (result.killed, result.exit_code) == ("cancelled", None)
    assert launcher.stats()["runs"] == before


def test_a_step_that_closed_its_output_can_still_be_cancelled(launcher: Launcher, tmp_path: Path) -> None:
    cancel = threading.Event()
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    result, _, _ = run(launcher, shell("exec >&- 2>&-; sleep 60", tmp_path), cancel=cancel)
    timer.join()
    assert result.killed == "cancelled"


def test_silence_ends_a_step_only_when_asked(launcher: Launcher, tmp_path: Path) -> None:
    silent, _, _ = run(launcher, shell("sleep 60", tmp_path, idle_timeout_s=0.3))
    assert silent.killed == "idle"
    chatty, out, _ = run(launcher, shell("for i in 1 2 3 4 5; do sleep 0.1; echo $i; done", tmp_path, idle_timeout_s=5))
    assert chatty.ok
    assert out.split() == ["1", "2", "3", "4", "5"]


def test_an_exception_of_the_reader_kills_the_step_and_goes_on(launcher: Launcher, tmp_path: Path) -> None:
    def fail(_stream: Any, _data: bytes) -> None:
        raise RuntimeError("the log is full")

    with pytest.raises(RuntimeError, match="log is full"):
        launcher.run(shell("echo x; sleep 60", tmp_path), on_output=fail)
    assert launcher.stats()["running"] == 0


def test_a_program_of_a_version_manager_runs_confined(launcher: Launcher, tmp_path: Path) -> None:
    result, out, err = run(launcher, python("import socket, sys; print(sys.base_prefix)", tmp_path))
    assert (result.ok, out) == (True, f"{sys.base_prefix}\n"), (err, interpreter_read_roots(sys.executable))


def test_without_landlock_steps_still_run(tmp_path: Path) -> None:
    with Launcher(Confinement("basic", 0, "for this test")) as basic:
        result, out, _ = run(basic, shell("echo $0", tmp_path))
    assert result.ok
    assert out == "/proc/self/fd/30\n"


def test_shutdown_is_idempotent_and_leaves_no_folder(tmp_path: Path) -> None:
    launcher = Launcher()
    launcher.start()
    _, out, _ = run(launcher, shell("echo $0", tmp_path))
    launcher.shutdown()
    launcher.shutdown()
    assert not launcher.alive
    assert not Path(out.strip()).parent.exists()


def test_too_few_descriptors_are_reported_and_nothing_hangs(tmp_path: Path) -> None:
    data = dict.fromkeys(range(31, 41), b"x")
    with Launcher() as small:
        _, hard = resource.prlimit(small.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(small.pid, resource.RLIMIT_NOFILE, (16, hard))
        refused, _, _ = run(small, shell("exit 0", tmp_path, data=data))
        assert refused.exit_code is None
        assert "descriptors" in refused.error
        resource.prlimit(small.pid, resource.RLIMIT_NOFILE, (hard, hard))
        assert run(small, shell("exit 0", tmp_path, data=data))[0].ok


@pytest.mark.parametrize("number", range(3, 30))
def test_a_descriptor_that_stands_in_the_way_of_another_is_moved(tmp_path: Path, number: int) -> None:
    # At some of these numbers the launcher itself has what it received, or something of its own.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [sys.executable, "-I", "-S", launcher_program.__file__, str(theirs.fileno())]
    fds = [sealed_memfd(text) for text in (b"first", b"second", b"third")]
    output, write_end = os.pipe()
    fds.append(write_end)
    script = "".join(f"cat /proc/self/fd/{n}; " for n in (number, number + 1, number + 2))
    step: dict[str, Any] = {
        "op": "run",
        "id": "1",
        "argv": ["sh", "-c", script],
        "exe": "/bin/sh",
        "env": {"PATH": PATH},
    }
    step |= {"fds": [number + 2, number, number + 1, 1], "cwd": "/", "umask": 0, "rules": None, "nnp": True}
    step |= {"name": "", "limits": [], "timeout": 30, "grace": 1}
    env = {"TMPDIR": str(tmp_path)}
    with ours, theirs, subprocess.Popen(words, pass_fds=(theirs.fileno(),), env=env, start_new_session=True) as process:
        theirs.close()
        socket.send_fds(ours, [json.dumps(step).encode()], fds)
        for fd in fds:
            os.close(fd)
        with open(output, "rb") as said:
            assert said.read() == b"secondthirdfirst"
        ours.send(b'{"op":"shutdown"}')
        assert process.wait(timeout=20) == 0


def test_answers_that_nobody_reads_do_not_hold_up_a_timeout(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [sys.executable, "-I", "-S", launcher_program.__file__, str(theirs.fileno())]
    names, pid_file = tmp_path / "names", tmp_path / "pid"
    names.mkdir()
    env = {"TMPDIR": str(names)}
    script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 600"
    step: dict[str, Any] = {
        "op": "run",
        "id": "1",
        "argv": ["sh", "-c", script],
        "exe": "/bin/sh",
        "fds": [],
        "env": {"PATH": PATH},
    }
    step |= {"cwd": "/", "umask": 0, "rules": None, "nnp": True, "name": "", "limits": [], "timeout": 0.5, "grace": 1}
    with ours, theirs, subprocess.Popen(words, pass_fds=(theirs.fileno(),), env=env, start_new_session=True) as process:
        theirs.close()
        for _ in range(2000):  # more answers than the socket holds
            ours.send(b'{"op":"stats"}')
        ours.send(json.dumps(step).encode())
        wait_for(pid_file.exists, "the step never started")
        pid = int(pid_file.read_text())
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the timeout did not fire")
        ours.send(b'{"op":"shutdown"}')
        assert process.wait(timeout=20) == 0
    assert list(names.iterdir()) == []
