"""The same rights on every tier, and what ``strict`` denies beyond them. All tried in the real launcher."""

from __future__ import annotations

import ast
import os
import platform
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.forge.confinement import Confinement, prepare_write_roots, probe, read_roots, resolve_write_roots
from clockwork_nb.forge.launch import Launcher, LaunchResult, LaunchSpec
from clockwork_nb.forge.sandbox import bubblewrap_words
from clockwork_nb.forge.syscall_filter import ARCHITECTURES
from clockwork_nb.forge.tiers import choose, probe_strict

SECURE = ("standard", "strict")


def tier(name: str) -> Confinement:
    found: Confinement | str = probe_strict() if name == "strict" else probe()
    if isinstance(found, str) or found.tier != name:
        pytest.skip(f"{name} is not offered here: {found}")
    return found


@pytest.fixture(scope="module", params=SECURE)
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    with Launcher(tier(request.param)) as running:
        yield running


@pytest.fixture(scope="module")
def strict() -> Iterator[Launcher]:
    with Launcher(tier("strict")) as running:
        yield running


class Project:
    """A project with a workspace, and scripts run with a bundle step's declarations."""

    def __init__(self, launcher: Launcher, root: Path) -> None:
        self.launcher, self.root, self.own = launcher, root, root / ".clockwork"
        (self.own / "empty").mkdir(parents=True)
        (self.own / "secret.key").write_text("key material")
        (root / "input.txt").write_text("input")
        (root / "out").mkdir()

    def run(
        self, script: str, *write: str, network: bool | tuple[int, ...] = False, python: bool = False
    ) -> tuple[LaunchResult, str]:
        grants = resolve_write_roots(write, self.root, [self.own])
        prepare_write_roots(grants)
        exe = sys.executable if python else "/bin/sh"
        spec = LaunchSpec(
            ("python3", "-I", "-S", "scripts/s") if python else ("sh", "scripts/s"),
            exe,
            {"PATH": "/usr/bin:/bin", "GIVEN": "yes"},
            self.root,
            script=script.encode(),
            script_name="scripts/s",
            read_roots=read_roots(self.root, hidden=[self.own], interpreters=[exe]),
            write_roots=tuple(grants),
            network=network,
            data={31: b"data"},
            timeout_s=30,
        )
        said: list[bytes] = []
        result = self.launcher.run(spec, on_output=lambda _stream, data: said.append(data))
        return result, b"".join(said).decode()


@pytest.fixture
def project(launcher: Launcher, tmp_path: Path) -> Project:
    return Project(launcher, tmp_path / "project")


@pytest.fixture
def strict_project(strict: Launcher, tmp_path: Path) -> Project:
    return Project(strict, tmp_path / "project")


def test_reading_writing_and_descriptors_are_the_same(project: Project) -> None:
    result, said = project.run("set -e; cat input.txt /proc/self/fd/31; echo new > out/f; echo $0; pwd", "out/f")
    assert result.ok, said
    assert said.startswith("inputdata")
    assert said.split()[-2].endswith("/s")
    assert said.split()[-1] == str(project.root)
    assert (project.root / "out/f").read_text() == "new\n"


def test_nothing_else_may_be_written_or_seen(project: Project, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    for attack in (
        "echo x > input.txt",
        f"echo x > {tmp_path}/victim",
        f"cat {tmp_path}/victim",
        "cat .clockwork/secret.key",
        "rmdir .clockwork/empty",
        "mv .clockwork moved",
        "mktemp",
        "echo x > /etc/clockwork-test",
        "mkdir other",
    ):
        result, said = project.run(attack, "out/f")
        assert result.exit_code not in {0, None}, (attack, said)
        assert "key material" not in said
        assert "mine" not in said
    assert (tmp_path / "victim").read_text() == "mine"
    assert (project.own / "secret.key").read_text() == "key material"
    assert sorted(p.name for p in project.root.iterdir()) == [".clockwork", "input.txt", "out"]


def test_a_folder_may_be_made_where_nothing_may_be_written(project: Project) -> None:
    assert project.run("mkdir -p site/deep", "site/deep/")[0].ok
    assert (project.root / "site/deep").is_dir()
    (project.root / "site/deep").rmdir()
    (project.root / "site").rmdir()
    assert not project.run("mkdir site; echo x > site/f", "site/deep/")[0].ok
    assert not project.run("echo x > f", "site/deep/")[0].ok
    assert not (project.root / "f").exists()


CONNECT = """
import errno, socket
for port in (%d, %d):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        print("open", end=" ")
    except OSError as error:
        print("closed", end=" ")
"""


def test_the_network_is_what_was_declared(project: Project) -> None:
    if probe().abi < 4:
        pytest.skip("needs Landlock ABI 4")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        first, second = one.getsockname()[1], two.getsockname()[1]
        for network, expected in ((False, "closed closed"), ((second,), "closed open"), (True, "open open")):
            _, said = project.run(CONNECT % (first, second), network=network, python=True)
            assert said.strip() == expected, network


def test_exit_codes_come_back(project: Project) -> None:
    assert project.run("exit 7")[0].exit_code == 7
    killed = project.run("kill -9 $$")[0]
    assert killed.signal == 9 or killed.exit_code == 137


def test_only_the_declared_environment_is_there(project: Project) -> None:
    _, said = project.run("import os; print(sorted(os.environ))", python=True)
    assert set(ast.literal_eval(said)) - {"LC_CTYPE"} == {"PATH", "GIVEN"}


def test_no_descriptor_but_the_declared_ones_is_open(project: Project) -> None:
    code = "import os\nfor n in range(256):\n    try:\n        os.fstat(n); print(n)\n    except OSError:\n        pass"
    _, said = project.run(code, python=True)
    # The interpreter has its script open a second time while it reads it.
    assert {0, 1, 2, 30, 31} <= {int(n) for n in said.split()} <= {0, 1, 2, 3, 30, 31}


def test_strict_sees_no_process_of_ours_and_has_no_capability(strict_project: Project) -> None:
    code = "import os; print(os.getpid() < 10, os.getppid() < 10, os.geteuid())"
    assert strict_project.run(code, python=True)[1].split()[:2] == ["True", "True"]
    for pid in (strict_project.launcher.pid, os.getpid()):
        result, said = strict_project.run(f"kill -0 {pid}")
        assert not result.ok, said
    assert not strict_project.run("chown 1:1 out/f", "out/f")[0].ok


CALLS = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    print(name, result, errno.errorcode.get(ctypes.get_errno(), "none"))
for name, number in NUMBERS.items():
    tried(name, number, 0, 0, 0, 0, 0)
tried("clone-newuser", CLONE, 0x10000000 | 17, 0, 0, 0, 0)
tried("clone3", 435, 0, 0)
"""


def test_the_calls_that_no_step_needs_are_denied_under_strict(strict_project: Project) -> None:
    _, clone, _, denied = ARCHITECTURES[platform.machine()]
    script = CALLS.replace("NUMBERS", repr(dict(denied))).replace("CLONE", str(clone))
    result, said = strict_project.run(script, python=True)
    assert result.ok, said
    answers = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert answers.pop("clone3") == ["-1", "ENOSYS"]
    assert set(map(tuple, answers.values())) == {("-1", "EPERM")}, answers
    assert len(answers) == len(denied) + 1


def test_threads_and_processes_work_under_strict(strict_project: Project) -> None:
    code = (
        "import subprocess, threading\nt = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "print(subprocess.run(['/bin/echo', 'process'], capture_output=True, text=True).stdout)"
    )
    result, said = strict_project.run(code, python=True)
    assert (result.ok, said.split()) == (True, ["thread", "process"])


def test_a_script_that_cannot_be_started_says_why(strict: Launcher, tmp_path: Path) -> None:
    said: list[bytes] = []
    exe = "/usr/bin/nothing-of-that-name"
    spec = LaunchSpec(("nothing", "s"), exe, {}, tmp_path, script=b"", script_name="s", read_roots=read_roots(tmp_path))
    result = strict.run(spec, on_output=lambda _s, data: said.append(data))
    assert result.exit_code == 127
    assert b"could not be started: No such file or directory" in b"".join(said)


def test_a_step_is_asked_to_end_before_it_is_killed(project: Project) -> None:
    spec_text = "trap 'echo cleaned; exit 3' TERM; echo ready; sleep 60 & wait"
    cancel, said = threading.Event(), bytearray()

    def hear(_stream: str, data: bytes) -> None:
        said.extend(data)
        if b"ready" in said:
            cancel.set()

    spec = LaunchSpec(
        ("sh", "s"), "/bin/sh", {"PATH": "/usr/bin:/bin"}, project.root, script=spec_text.encode(), script_name="s",
        read_roots=read_roots(project.root, hidden=[project.own]), timeout_s=60, grace_s=10,
    )  # fmt: skip
    result = project.launcher.run(spec, on_output=hear, cancel=cancel)
    assert (result.exit_code, result.killed, bytes(said)) == (3, "cancelled", b"ready\ncleaned\n")


def test_hidden_folders_are_masked_even_where_their_parent_is_writable(tmp_path: Path) -> None:
    from clockwork_nb.forge.confinement import Grant

    root = tmp_path / "p"
    (root / ".clockwork").mkdir(parents=True)
    words = bubblewrap_words(
        "/usr/bin/bwrap", [Grant(str(root), "children", (".clockwork",)), Grant(str(root), "mkdir")],
        network=False, cwd=str(root),
    )  # fmt: skip
    mask = words.index("--tmpfs")
    assert words[mask + 1] == str(root / ".clockwork")
    assert words.index("--bind") < mask
    assert "--share-net" not in words
    assert words[-5:-1] == ["--remount-ro", "/", "--chdir", str(root)]


def test_choosing_a_tier_is_probing_this_machine() -> None:
    assert choose().tier == probe().tier
    if isinstance(probe_strict(), str):
        with pytest.raises(UnsafeOperationError):
            choose("strict")
    else:
        assert choose("strict").tier == "strict"
