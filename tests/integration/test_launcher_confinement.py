"""What Landlock really lets a step do. Every right of `forge.confinement` is tried on this kernel."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.forge.confinement import (
    Grant,
    prepare_write_roots,
    probe,
    read_roots,
    remove_prepared,
    resolve_write_roots,
)
from clockwork_nb.forge.launch import Launcher, LaunchResult, LaunchSpec

pytestmark = pytest.mark.skipif(probe().tier != "standard", reason=f"needs Landlock: {probe().reason}")


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as running:
        yield running


class Project:
    """A project folder with a workspace in it, and a way to run a script with a bundle step's declarations."""

    def __init__(self, launcher: Launcher, root: Path) -> None:
        self.launcher = launcher
        self.root = root
        self.own = root / ".clockwork"
        (self.own / "empty").mkdir(parents=True)
        (self.own / "secret.key").write_text("key material")
        (root / "input.txt").write_text("input")

    def sh(self, script: str, *write: str, network: bool | tuple[int, ...] = False) -> tuple[LaunchResult, str]:
        grants = resolve_write_roots(write, self.root, [self.own])
        prepare_write_roots(grants)
        return self.run(script, tuple(grants), network)

    def run(
        self,
        script: str,
        grants: tuple[Grant, ...] = (),
        network: bool | tuple[int, ...] = False,
        words: tuple[str, ...] = ("sh",),
        exe: str = "/bin/sh",
    ) -> tuple[LaunchResult, str]:
        spec = LaunchSpec(
            (*words, "scripts/s"),
            exe,
            {"PATH": "/usr/bin:/bin"},
            self.root,
            script=script.encode(),
            script_name="scripts/s",
            read_roots=read_roots(self.root, hidden=[self.own], interpreters=[exe]),
            write_roots=grants,
            network=network,
            timeout_s=30,
        )
        said: list[bytes] = []
        result = self.launcher.run(spec, on_output=lambda _stream, data: said.append(data))
        return result, b"".join(said).decode()


@pytest.fixture
def project(launcher: Launcher, tmp_path: Path) -> Project:
    return Project(launcher, tmp_path / "project")


def test_the_project_is_readable_but_nothing_in_it_writable_undeclared(project: Project) -> None:
    result, said = project.sh("cat input.txt; echo x > input.txt")
    assert result.exit_code != 0
    assert said.startswith("input")
    assert "Permission denied" in said
    assert (project.root / "input.txt").read_text() == "input"


def test_a_new_file_in_a_declared_folder_can_be_written_by_rename(project: Project) -> None:
    result, said = project.sh("set -e; echo new > out/.page.tmp; mv out/.page.tmp out/page.html", "out/page.html")
    assert result.ok, said
    assert (project.root / "out" / "page.html").read_text() == "new\n"


def test_outside_the_declared_folder_nothing_can_be_written(project: Project, tmp_path: Path) -> None:
    (project.root / "other").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for attack in (
        "echo x > other/a",
        f"echo x > {victim}",
        f"echo x > {tmp_path}/new",
        f": > {victim}",
        f"rm -f {victim}",
        "mkdir other/d",
        "mv input.txt out/",
        "ln input.txt out/hard",
        "echo x > /etc/clockwork-test",
        "mkfifo other/pipe",
        "mktemp",
    ):
        result, said = project.sh(attack, "out/page.html")
        assert result.exit_code not in {0, None}, (attack, said)
    assert victim.read_text() == "mine"
    assert not (tmp_path / "new").exists()
    assert list((project.root / "other").iterdir()) == []
    assert (project.root / "input.txt").exists()


def test_a_link_planted_by_an_earlier_step_opens_nothing(project: Project, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    assert project.sh(f"ln -s {victim} out/link", "out/x")[0].ok
    assert not project.sh("echo x > out/link/f", "out/x")[0].ok
    with pytest.raises(UnsafeOperationError):
        project.sh("echo x > out/link/f", "out/link/f")
    assert list(victim.iterdir()) == []


def test_a_folder_swapped_for_a_link_after_the_check_is_noticed(project: Project, tmp_path: Path) -> None:
    (project.root / "out").mkdir()
    grants = tuple(resolve_write_roots(["out/x"], project.root, [project.own]))
    (project.root / "out").rmdir()
    (project.root / "out").symlink_to(project.own)
    result, _ = project.run("echo x > out/x", grants)
    assert result.exit_code is None
    assert "not what it was" in result.error
    shutil.rmtree(project.root / "out", ignore_errors=True)
    (project.root / "out").unlink(missing_ok=True)
    assert project.run("exit 0", grants)[0].error == f"No such file or directory: {project.root}/out"


def test_secrets_of_the_person_and_of_the_workspace_are_unreadable(project: Project, tmp_path: Path) -> None:
    ssh = tmp_path / "home" / ".ssh"
    ssh.mkdir(parents=True)
    (ssh / "id_ed25519").write_text("private")
    for path in (ssh / "id_ed25519", project.own / "secret.key", f"/proc/{os.getpid()}/environ"):
        result, said = project.sh(f"cat {path}")
        assert result.exit_code == 1
        assert "Permission denied" in said
    assert not project.sh(f"ls {ssh}")[0].ok


def test_a_link_of_the_project_to_elsewhere_gives_no_right_to_read_there(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f").write_text("private")
    (project.root / "link").symlink_to(tmp_path / "elsewhere")
    assert not project.sh("cat link/f")[0].ok


def test_a_first_folder_can_be_made_and_only_that(project: Project) -> None:
    result, said = project.sh("set -e; mkdir -p out/site; chmod 750 out/site", "out/site/")
    assert result.ok, said
    assert (project.root / "out" / "site").stat().st_mode & 0o777 == 0o750
    (project.root / "out" / "site").rmdir()
    (project.root / "out").rmdir()
    for attack in (
        "mkdir out; echo x > out/f",
        "echo x > f",
        "rm input.txt",
        "mv .clockwork moved",
        "rmdir .clockwork/empty",
    ):
        assert not project.sh(attack, "out/site/")[0].ok, attack
    assert (project.own / "secret.key").read_text() == "key material"
    assert (project.own / "empty").is_dir()


def test_a_top_level_folder_can_be_emptied_and_removed(project: Project) -> None:
    (project.root / "out" / "deep").mkdir(parents=True)
    (project.root / "out" / "deep" / "f").write_text("")
    assert not project.sh("mv .clockwork moved || mkdir fresh", "out/")[0].ok
    result, said = project.sh("rm -r out", "out/")
    assert result.ok, said
    assert not (project.root / "out").exists()
    assert (project.own / "secret.key").exists()


def test_two_folders_of_one_step_do_not_add_up_to_a_rename(project: Project) -> None:
    (project.root / "old").mkdir()
    for attack in ("mv .clockwork moved", "mv old other"):
        assert not project.sh(attack, "old/", "new/")[0].ok, attack
    assert (project.own / "secret.key").exists()


def test_a_missing_parent_is_there_when_the_step_starts(project: Project) -> None:
    grants = resolve_write_roots(["a/b/page.html"], project.root, [project.own])
    made = prepare_write_roots(grants)
    result, said = project.run("echo x > a/b/page.html; echo y > a/other", tuple(grants))
    assert result.exit_code != 0
    assert "Permission denied" in said
    assert (project.root / "a" / "b" / "page.html").exists()
    remove_prepared(made)
    assert (project.root / "a" / "b" / "page.html").exists()


def test_a_folder_made_anew_between_two_steps_is_granted_anew(project: Project) -> None:
    assert project.sh("echo 1 > out/f", "out/f")[0].ok
    shutil.rmtree(project.root / "out")
    result, said = project.sh("echo 2 > out/f", "out/f")
    assert result.ok, said


def test_a_step_cannot_signal_the_launcher_or_its_caller(project: Project) -> None:
    if probe().abi < 6:
        pytest.skip("needs Landlock ABI 6")
    for pid in (project.launcher.pid, os.getpid()):
        result, said = project.sh(f"kill -CONT {pid}")
        assert not result.ok
        assert "not permitted" in said


def test_ordinary_tools_work(project: Project) -> None:
    script = "set -e; echo b > /dev/null; printf 'b\\na\\n' | sort | head -n 1; test -r /etc/passwd; date > /dev/null"
    result, said = project.sh(script)
    assert (result.exit_code, said) == (0, "a\n")


CONNECT = """
import errno, socket, sys
for port in map(int, sys.argv[1:]):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        print("open", end=" ")
    except OSError as error:
        print(errno.errorcode[error.errno], end=" ")
"""


def test_only_declared_ports_can_be_reached(project: Project) -> None:
    if probe().abi < 4:
        pytest.skip("needs Landlock ABI 4")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        first, second = one.getsockname()[1], two.getsockname()[1]
        script = CONNECT.replace("sys.argv[1:]", f"[{first}, {second}]")

        def reached(network: bool | tuple[int, ...]) -> str:
            return project.run(script, (), network, ("python3", "-I", "-S"), sys.executable)[1].strip()

        assert reached(False) == "EACCES EACCES"
        assert reached((second,)) == "EACCES open"
        assert reached(True) == "open open"


def test_hidden_folders_that_are_not_there_yet_are_no_obstacle(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    roots = read_roots(project, hidden=[project / "deep/er/home", project / ".clockwork"])
    assert [g.path for g in roots if g.kind == "children"] == [str(project)]
