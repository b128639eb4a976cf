"""Services as supervised processes, with the real supervisor: start, change, restart, stop, remove."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.canonical import digest
from clockwork_nb.errors import (
    AdapterFailedError,
    BundleSchemaError,
    InterruptedByUserError,
    InvalidInputError,
    StepTimeoutError,
)
from clockwork_nb.forge import services, supervisor
from clockwork_nb.forge.services import ServiceResult, ensure, port_holder, remove, status


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    return supervisor.start_time(pid) != 0


class Site:
    """A project with one service folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / ".clockwork" / "services" / "service.web"
        self.script = root / "service.py"

    def spec(self, *command: str, **changes: Any) -> dict[str, Any]:
        return {
            "version": "1",
            "service": "service.web",
            "address": "service.web",
            "command": list(command),
            "env": {},
            "secret_env": {},
            "cwd": ".",
            "ports": [],
            "restart": "no",
            "stop_timeout_s": 1,
            "health": None,
            "state": "running",
            **changes,
        }

    def shell(self, script: str, **changes: Any) -> dict[str, Any]:
        return self.spec("/bin/sh", "-c", script, **changes)

    def http(self, port: int, **changes: Any) -> dict[str, Any]:
        words = (sys.executable, "-I", "-m", "http.server", str(port), "--bind", "127.0.0.1")
        return self.spec(*words, **{"ports": [port], **changes})

    def ensure(self, spec: dict[str, Any], **more: Any) -> ServiceResult:
        options = {"secrets": {}, "timeout_s": 20, **more}
        return ensure(spec, directory=self.directory, root=self.root, **options)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.directory / "state.json").read_text())
        return state

    def log(self) -> str:
        return (self.directory / "out.log").read_text()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    remove("service.web", directory=made.directory, timeout_s=5)


def test_a_web_server_is_started_answers_and_is_removed(site: Site) -> None:
    port = free_port()
    health = {"url": f"http://127.0.0.1:{port}/", "expect_status": 200, "timeout_s": 2}
    spec = site.http(port, health=health)
    result = site.ensure(spec)
    assert result.changed
    now = status(site.directory)
    assert (now.status, now.pid, now.ports, now.restarts) == ("running", result.pid, (port,), 0)
    assert now.spec_digest == digest(spec)
    assert f"pid {result.pid} (" in port_holder(port)
    assert site.directory.stat().st_mode & 0o777 == 0o700

    removed = remove(spec, directory=site.directory, timeout_s=5)
    assert removed.changed
    assert not site.directory.exists()
    wait_for(lambda: not alive(result.pid), "the service outlived its removal")
    assert not remove("service.web", directory=site.directory, timeout_s=5).changed


def test_the_same_spec_again_changes_nothing(site: Site) -> None:
    first = site.ensure(site.shell("exec sleep 60"))
    second = site.ensure(site.shell("exec sleep 60"))
    assert (second.pid, second.changed) == (first.pid, False)


def test_another_spec_replaces_the_process_on_the_same_port(site: Site) -> None:
    port = free_port()
    first = site.ensure(site.http(port))
    second = site.ensure(site.http(port, env={"A": "1"}))
    assert second.changed
    assert second.pid != first.pid
    assert not alive(first.pid)
    assert "restarted" in second.note


def test_the_supervisor_is_nobodys_child_and_survives_its_starter(site: Site) -> None:
    code = (
        "import sys, json; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from clockwork_nb.forge.services import ensure\n"
        "root = Path(sys.argv[2])\n"
        "print(ensure(json.loads(sys.argv[4]), directory=Path(sys.argv[3]), root=root, secrets={}, timeout_s=20).pid)\n"
    )
    words = [sys.executable, "-c", code, str(Path(services.__file__).parents[2]), str(site.root), str(site.directory)]
    spec = json.dumps(site.shell("exec sleep 60"))
    starter = subprocess.run([*words, spec], capture_output=True, text=True, check=True, start_new_session=True)
    pid = int(starter.stdout)
    assert alive(pid)
    state = site.state()
    fields = Path(f"/proc/{state['supervisor_pid']}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()
    assert int(fields[3]) != os.getsid(0)
    assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == state["supervisor_pid"]


def test_a_killed_service_is_restarted(site: Site) -> None:
    first = site.ensure(site.shell("exec sleep 60", restart="always"))
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: status(site.directory).restarts == 1, "it was not restarted")
    wait_for(lambda: status(site.directory).status == "running", "it did not come back")
    now = status(site.directory)
    assert now.pid not in {0, first.pid}
    assert now.last_exit == {"code": None, "signal": 9}


def test_without_a_restart_policy_an_end_is_an_end(site: Site) -> None:
    site.ensure(site.shell("sleep 0.6; exit 4"))
    wait_for(lambda: status(site.directory).status == "failed", "it was not recorded")
    assert status(site.directory).last_exit == {"code": 4, "signal": None}
    assert status(site.directory).pid == 0
    wait_for(lambda: not alive(site.state()["supervisor_pid"]), "the supervisor stayed")


def test_on_failure_leaves_a_clean_exit_alone_and_gives_up_after_n(site: Site) -> None:
    site.ensure(site.shell("sleep 0.6; exit 0", restart="on-failure:2"))
    wait_for(lambda: status(site.directory).status == "exited", "a clean exit was restarted")
    site.ensure(site.shell("test -e up && exit 1; touch up; sleep 0.6; exit 1", restart="on-failure:2"))
    wait_for(lambda: status(site.directory).status == "failed", "it never gave up")
    assert status(site.directory).restarts == 2


def test_stopped_is_a_state_that_can_be_asked_for(site: Site) -> None:
    running = site.ensure(site.shell("exec sleep 60"))
    stopped = site.ensure(site.shell("exec sleep 60", state="stopped"))
    assert stopped.changed
    assert not alive(running.pid)
    assert status(site.directory).status == "stopped"
    assert not site.ensure(site.shell("exec sleep 60", state="stopped")).changed
    assert site.ensure(site.shell("exec sleep 60")).changed


def test_stopping_lets_the_service_clean_up(site: Site) -> None:
    site.ensure(site.shell("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"))
    site.ensure(site.shell("exec sleep 60", state="stopped"))
    assert "bye" in site.log()
    assert status(site.directory).last_exit == {"code": 0, "signal": None}


def test_a_service_that_ignores_sigterm_is_killed_with_its_escaped_children(site: Site) -> None:
    script = """
        trap '' TERM
        setsid sleep 60 & echo $! > kids
        (setsid sh -c 'echo $$ >> kids; exec sleep 60' &)
        while :; do sleep 0.05; done
    """
    result = site.ensure(site.shell(script, stop_timeout_s=0.2))
    wait_for(lambda: len((site.root / "kids").read_text().split()) == 2, "the children never came up")
    kids = [int(p) for p in (site.root / "kids").read_text().split()]
    assert all(alive(p) for p in kids)
    remove("service.web", directory=site.directory, timeout_s=10)
    assert not [p for p in (result.pid, *kids) if alive(p)]


def test_children_of_a_killed_process_are_gone_before_the_restart(site: Site) -> None:
    result = site.ensure(site.shell("setsid sleep 60 & echo $! >> kids; wait", restart="always"))
    wait_for(lambda: (site.root / "kids").exists(), "the child never came up")
    os.kill(result.pid, signal.SIGKILL)
    wait_for(lambda: len((site.root / "kids").read_text().split()) == 2, "it was not restarted")
    first, second = (int(p) for p in (site.root / "kids").read_text().split())
    assert not alive(first)
    assert alive(second)


def test_a_second_supervisor_is_refused(site: Site) -> None:
    result = site.ensure(site.shell("exec sleep 60"))
    words = [sys.executable, "-I", "-S", supervisor.__file__, str(site.directory)]
    second = subprocess.run(words, input=b"{}\n", capture_output=True, check=False)
    assert second.returncode == 3
    assert b"another supervisor" in second.stderr
    assert alive(result.pid)
    assert status(site.directory).pid == result.pid


def test_an_unusable_order_is_refused(site: Site) -> None:
    site.directory.mkdir(parents=True)
    words = [sys.executable, "-I", "-S", supervisor.__file__, str(site.directory)]
    assert subprocess.run(words, input=b"{}\n", capture_output=True, check=False).returncode == 2


def test_a_foreign_process_with_a_remembered_pid_is_never_touched(site: Site) -> None:
    site.ensure(site.shell("exec sleep 60"))
    site.ensure(site.shell("exec sleep 60", state="stopped"))
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            for which in ("pid", "supervisor_pid"):
                state = site.state() | {"status": "running", which: stranger.pid}
                (site.directory / "state.json").write_text(json.dumps(state))
                assert status(site.directory).pid == 0
                assert status(site.directory).status == "lost"
                assert not site.ensure(site.shell("exec sleep 60", state="stopped")).changed
            # The right start time, but of an earlier boot.
            real = {"pid": stranger.pid, "starttime": supervisor.start_time(stranger.pid)}
            state = site.state() | real | {"supervisor_pid": 0, "boot_id": "an earlier boot"}
            (site.directory / "state.json").write_text(json.dumps(state))
            remove("service.web", directory=site.directory, timeout_s=5)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_killed_supervisor_is_noticed_and_its_leftovers_are_replaced(site: Site) -> None:
    port = free_port()
    # The server is a child of the service's process: it survives when that dies with the supervisor.
    server = " ".join(site.http(port)["command"])
    spec = site.shell(f"{server} & echo $! >> kids; wait", ports=[port])
    first = site.ensure(spec)
    child = int((site.root / "kids").read_text())
    os.kill(site.state()["supervisor_pid"], signal.SIGKILL)
    wait_for(lambda: status(site.directory).status == "lost", "the loss was not noticed")
    wait_for(lambda: not alive(first.pid), "the service outlived its supervisor")
    assert alive(child)
    again = site.ensure(spec)
    assert again.changed
    assert not alive(child)
    assert status(site.directory).status == "running"


def test_a_taken_port_is_reported_with_its_holder_and_nothing_is_stopped(site: Site) -> None:
    running = site.ensure(site.shell("exec sleep 60"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(AdapterFailedError, match=rf"port {port} is held by pid {os.getpid()} \(") as caught:
            site.ensure(site.http(port))
    assert caught.value.details["port"] == port
    assert alive(running.pid)


def test_a_service_that_dies_while_it_starts_fails_with_the_end_of_its_log(site: Site) -> None:
    with pytest.raises(AdapterFailedError, match="exit code 3: no database") as caught:
        site.ensure(site.shell("echo first; echo no database >&2; exit 3"))
    assert caught.value.details["tail"] == "first\nno database"
    assert status(site.directory).pid == 0


def test_a_restarting_service_is_not_a_started_one(site: Site) -> None:
    with pytest.raises(AdapterFailedError, match="did not stay up"):
        site.ensure(site.shell("exit 1", restart="always"))
    assert status(site.directory).status == "stopped"


def test_a_command_that_does_not_exist_says_so(site: Site) -> None:
    with pytest.raises(AdapterFailedError, match="could not be started"):
        site.ensure(site.spec("/nowhere/server"))


def test_a_service_that_never_answers_is_stopped_again(site: Site) -> None:
    with pytest.raises(StepTimeoutError, match="Connection refused") as caught:
        site.ensure(site.shell("echo up; exec sleep 60", ports=[free_port()]), timeout_s=0.6)
    assert caught.value.details["tail"] == "up"
    assert status(site.directory).status == "stopped"


def test_a_wrong_status_is_not_healthy(site: Site) -> None:
    port = free_port()
    with pytest.raises(StepTimeoutError, match="answered 404"):
        site.ensure(site.http(port, health={"url": f"http://127.0.0.1:{port}/missing"}), timeout_s=2)
    health = {"url": f"http://127.0.0.1:{port}/missing", "expect_status": 404}
    assert site.ensure(site.http(port, health=health)).changed


def test_a_start_can_be_cancelled(site: Site) -> None:
    cancel = threading.Event()
    timer = threading.Timer(0.4, cancel.set)
    timer.start()
    with pytest.raises(InterruptedByUserError):
        site.ensure(site.shell("exec sleep 60", ports=[free_port()]), cancel=cancel)
    timer.join()
    assert status(site.directory).status == "stopped"


def test_the_environment_is_explicit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CW_TEST_LEAK", "1")
    site.ensure(site.shell("env; exec sleep 60", env={"MODE": "test"}))
    names = {line.partition("=")[0] for line in site.log().splitlines()}
    assert {"MODE", "HOME", "PATH"} <= names
    assert names <= {"MODE", "HOME", "PATH", "LANG", "TZ", "PWD", "OLDPWD", "SHLVL", "_", supervisor.INSTANCE_VARIABLE}
    assert f"HOME={site.root}" in site.log()


def test_secrets_reach_the_process_but_no_file(site: Site) -> None:
    secret = "pass-word-4711"
    # Printed in two pieces, so that no single read of the supervisor sees it whole.
    script = """
        test "${#TOKEN}" = 14 && echo it fits
        printf %s "$TOKEN" | head -c 7; sleep 0.1; printf %s "$TOKEN" | tail -c 7; echo
        exec sleep 60
    """
    spec = site.shell(script, secret_env={"TOKEN": "db"})
    site.ensure(spec, secrets={"db": secret})
    wait_for(lambda: "(sensitive)" in site.log(), "the masked line never came")
    assert "it fits" in site.log()
    for path in site.directory.iterdir():
        assert secret.encode() not in path.read_bytes(), path
    for pid in (site.state()["supervisor_pid"], site.state()["pid"]):
        assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    with pytest.raises(InvalidInputError, match="db"):
        site.ensure(spec | {"env": {"A": "1"}})


def test_the_service_has_no_open_file_of_ours(site: Site) -> None:
    result = site.ensure(site.shell("exec sleep 60"))
    assert {p.name for p in Path(f"/proc/{result.pid}/fd").iterdir()} == {"0", "1", "2"}


def test_a_folder_of_another_service_is_not_removed(site: Site) -> None:
    running = site.ensure(site.shell("exec sleep 60"))
    with pytest.raises(InvalidInputError, match="belongs to"):
        remove("service.other", directory=site.directory, timeout_s=5)
    assert alive(running.pid)


def test_files_that_are_not_ours_stay(site: Site) -> None:
    site.ensure(site.shell("exec sleep 60"))
    (site.directory / "notes.txt").write_text("mine")
    remove("service.web", directory=site.directory, timeout_s=5)
    assert [p.name for p in site.directory.iterdir()] == ["notes.txt"]


def test_a_missing_folder_is_an_error_before_anything_starts(site: Site) -> None:
    with pytest.raises(AdapterFailedError, match="does not exist"):
        site.ensure(site.shell("exec sleep 60", cwd="gone"))
    assert status(site.directory).status == "absent"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": "2"}, "version"),
        ({"command": []}, "command"),
        ({"command": "sh"}, "command"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"A": 1}}, "env"),
        ({"ports": [0]}, "ports"),
        ({"ports": [True]}, "ports"),
        ({"restart": "sometimes"}, "restart"),
        ({"restart": "on-failure:0"}, "restart"),
        ({"stop_timeout_s": -1}, "stop_timeout_s"),
        ({"health": {"url": "file:///etc/passwd"}}, "health"),
        ({"health": {"colour": 1}}, "health"),
        ({"state": "paused"}, "state"),
        ({"service": "a/b"}, "service"),
        ({"more": 1}, "more"),
    ],
)
def test_a_spec_with_a_mistake_names_it(site: Site, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BundleSchemaError, match=named):
        site.ensure(site.shell("exec sleep 60", **changes))
    assert not site.directory.exists()


def test_a_spec_that_lacks_a_part_names_it(site: Site) -> None:
    spec = site.shell("exec sleep 60")
    del spec["restart"]
    with pytest.raises(BundleSchemaError, match="restart is missing"):
        site.ensure(spec)


def test_links_that_came_with_the_folder_are_not_written_through(site: Site, tmp_path: Path) -> None:
    site.directory.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("state.json", "state.json.tmp", "service.json", "service.new"):
        (site.directory / name).symlink_to(victim)
    assert site.ensure(site.shell("exec sleep 60")).changed
    remove("service.web", directory=site.directory, timeout_s=5)
    for name in ("out.log", "lock", "supervisor.log"):
        site.directory.mkdir(parents=True, exist_ok=True)
        (site.directory / name).symlink_to(victim)
        with pytest.raises(AdapterFailedError):
            site.ensure(site.shell("exec sleep 60"))
        remove("service.web", directory=site.directory, timeout_s=5)
    assert victim.read_text() == "mine"


def test_a_state_file_cut_off_by_a_crash_reads_as_absent(site: Site) -> None:
    site.directory.mkdir(parents=True)
    for content in ("", "{", "[]", "{}", '{"version": "1"}'):
        (site.directory / "state.json").write_text(content)
        assert status(site.directory).status == "absent"
    assert site.ensure(site.shell("exec sleep 60")).changed
