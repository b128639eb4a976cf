"""Every kind of check against the real thing: it holds, it does not hold, and what is said then in one line."""

from __future__ import annotations

import grp
import http.server
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.secrets import Sensitive
from clockwork_nb.testing.project import Project
from clockwork_nb.testing.steps import Ran, StepPlace

QUICK = {"retries": 1, "interval": 0.01, "timeout": 3}


@pytest.fixture
def place(tmp_path: Path) -> StepPlace:
    root, side = tmp_path / "project", tmp_path / "side"
    root.mkdir()
    side.mkdir()
    return StepPlace(root, side)


def check(place: StepPlace, **attributes: Any) -> Ran:
    return place.do("check.c", "verify", place.config("check", **{**QUICK, **attributes}))


def holds(place: StepPlace, said: str = "", **attributes: Any) -> None:
    done = check(place, **attributes)
    assert done.code == 0, done.err
    assert said in done.out and done.out.count("\n") == 1 and not done.err


def fails(place: StepPlace, *said: str, **attributes: Any) -> None:
    done = check(place, **attributes)
    assert done.code == 1 and done.err.count("\n") == 1 and not done.out, done.err
    assert all(words in done.err for words in said), done.err


# --- network ----------------------------------------------------------------------------------------------------------


class Echo(http.server.BaseHTTPRequestHandler):
    wait = threading.Event()

    def answer(self) -> None:
        if self.path == "/slow":
            self.wait.wait(0.15)
        self.send_response(200 if self.headers.get("X-Key") != "wrong" else 401)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(f"{self.command} {self.headers.get('X-Key')} {self.headers.get('Accept')}".encode())

    do_GET = do_POST = do_HEAD = do_PUT = answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


def test_an_http_check_asks_by_method_and_with_headers(place: StepPlace, url: str) -> None:
    secret = {"X-Key": Sensitive("hunter2"), "Accept": "text/plain"}
    holds(place, http={"url": url, "headers": secret, "contains": "GET hunter2 text/plain"})
    (step,) = place.steps("check.c", "verify", place.config("check", http={"url": url, "headers": secret}))
    assert "hunter2" not in str(step.vars) and b"hunter2" not in step.artifacts[0].content
    holds(place, http={"url": url, "method": "POST", "contains": "POST None"})
    holds(place, http={"url": url, "method": "HEAD"})
    fails(place, "answered 401, expected 200", http={"url": url, "headers": {"X-Key": "wrong"}})
    fails(place, "a header cannot be sent", http={"url": url, "headers": {"X-Key": Sensitive("ünsendable€")}})


def test_a_slow_answer_is_told_with_its_time(place: StepPlace, url: str) -> None:
    holds(place, "200 in ", response_time={"url": url, "max_ms": 5000})
    fails(place, "answered in 1", "expected at most 50 ms", response_time={"url": f"{url}/slow", "max_ms": 50})
    fails(place, "expected 404", response_time={"url": url, "max_ms": 5000, "expect_status": 404})


def test_ports_of_both_protocols(place: StepPlace, url: str) -> None:
    port = int(url.rpartition(":")[2])
    holds(place, f"port {port} accepts", port_accessible={"port": port})
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        free = server.getsockname()[1]
        holds(place, f"UDP port {free} is not refused", port_accessible={"port": free, "protocol": "udp"}, timeout=0.1)
    fails(place, f"UDP port {free}", "expected somebody", port_accessible={"port": free, "protocol": "udp"})
    fails(place, f"no connection to 127.0.0.1 port {free}", port_accessible={"port": free})


# --- files ------------------------------------------------------------------------------------------------------------


def test_permissions(place: StepPlace) -> None:
    target = place.root / "key"
    target.write_text("x")
    target.chmod(0o640)
    me, us = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    whole = {"path": "key", "mode": "0640", "owner": me.pw_name, "group": str(us.gr_gid)}
    holds(place, "key is as expected", file_permissions=whole)
    fails(place, "has the mode 0640, expected 0600", file_permissions={"path": "key", "mode": "0600"})
    fails(place, f"has the owner {me.pw_name}, expected nobody2", file_permissions={"path": "key", "owner": "nobody2"})
    fails(place, "has the group", "expected 54321", file_permissions={"path": "key", "group": "54321"})
    fails(place, "cannot be looked at: No such file", file_permissions={"path": "no", "mode": "0600"})


def test_sizes(place: StepPlace) -> None:
    (place.root / "f").write_bytes(b"x" * 10)
    holds(place, "f has 10 bytes", file_size={"path": "f", "min": 10, "max": 10})
    fails(place, "has 10 bytes, expected at least 11", file_size={"path": "f", "min": 11})
    fails(place, "has 10 bytes, expected at most 9", file_size={"path": "f", "max": 9})
    (place.root / "d").mkdir()
    fails(place, "d is no file", file_size={"path": "d", "min": 0})


def test_digests(place: StepPlace) -> None:
    (place.root / "f").write_text("hello")
    good = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    holds(place, file_matches={"path": "f", "sha256": f"sha256:{good.upper()}"})
    fails(place, "has the digest 2cf24dba5fb0, expected 000000000000", file_matches={"path": "f", "sha256": "0" * 64})
    os.mkfifo(place.root / "pipe")
    fails(place, "has the digest e3b0c44298fc", file_matches={"path": "pipe", "sha256": "0" * 64})


def test_logs_are_read_from_their_end(place: StepPlace) -> None:
    (place.root / "log").write_text("error: old\n" + "fine\n" * 10)
    holds(place, "log has such a line", log_contains={"path": "log", "pattern": "^error"})
    fails(
        place,
        "none of the last 5 lines of log matches '^error'",
        log_contains={"path": "log", "pattern": "^error", "lines": 5},
    )
    (place.root / "empty").touch()
    fails(place, "empty is empty", log_contains={"path": "empty", "pattern": "x"})
    fails(place, "cannot be read", log_contains={"path": "no", "pattern": "x"})


def test_disks(place: StepPlace) -> None:
    (place.root / "d").mkdir()
    (place.root / "d/f").write_bytes(b"x" * (3 << 20))
    os.link(place.root / "d/f", place.root / "d/same")
    (place.root / "d/loop").symlink_to(".")
    holds(place, "d takes 3.", disk_usage={"path": "d", "max_mb": 4})
    fails(place, "d takes 3.", "expected at most 1 MiB", disk_usage={"path": "d", "max_mb": 1})
    holds(place, "MiB are free", disk_usage={"min_free_mb": 0})
    fails(place, "MiB are free, expected at least", disk_usage={"min_free_mb": 2**40})
    holds(place, "% full", disk_usage={"max_percent": 100})
    fails(place, "% full, expected at most 0 %", disk_usage={"max_percent": 0})
    fails(place, "cannot be looked at", disk_usage={"path": "no", "max_mb": 1})


# --- commands ---------------------------------------------------------------------------------------------------------


def test_commands(place: StepPlace) -> None:
    holds(place, "fine after 1 try", command="echo fine")
    holds(place, "a b|$(id)", command=["printf", "%s|%s", "a b", "$(id)"])
    fails(place, "exit 3, expected 0 (bad luck)", command="echo bad luck >&2; exit 3")
    holds(place, "exit 3", command={"script": "exit 3", "expect_exit": 3})
    fails(place, "exit 0 without the expected text", command={"command": ["echo", "x"], "contains": "ready"})
    holds(place, command={"script": "import os\nprint(os.getcwd())", "interpreter": "python3", "contains": "project"})
    fails(place, "it cannot be started: No such file", command=["no-such-program"])
    fails(place, "did not end within 0.2 s", command="sleep 20", timeout=0.2)
    fails(place, "exit -9, expected 0", command="kill -9 $$")
    (place.root / "w").mkdir()
    holds(place, "/w after", command={"command": ["pwd"], "working_dir": "w"})
    fails(place, "expected 1", command={"script": "yes | head -c 5000000", "expect_exit": 1})


def test_a_command_check_may_neither_write_nor_use_the_network(project: Project) -> None:
    script = 'touch out/x 2> /dev/null && exit 1; touch \\"$TMPDIR/x\\" && echo walls stand'
    project.write(
        {
            "main.cw": f'check "walls" {{\n  command = "{script}"\n  retries = 1\n}}\n'
            'check "argv" {\n  command = ["cat", "main.cw"]\n  retries = 1\n}\n'
        }
    )
    (project.folder / "out").mkdir()
    plan = project.run("plan", "--json").json
    assert {c["address"]: c["risk"] for c in plan["changes"]} == {"check.walls": ["command"], "check.argv": ["command"]}
    assert "walls stand" in project.run("apply", "--auto-approve").out
    assert not list((project.folder / "out").iterdir())


# --- processes and the machine ----------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Iterator[str]:
    """A program of a name of its own that runs twice, one of them busy."""
    name = f"cwprog{os.getpid()}"
    exe = tmp_path / "bin" / name
    exe.parent.mkdir()
    shutil.copy("/bin/sh", exe)
    busy = subprocess.Popen([str(exe), "-c", "while :; do :; done"])
    idle = subprocess.Popen([str(exe), "-c", "sleep 60; true"])
    yield name
    for process in (busy, idle):
        process.kill()
        process.wait()


def test_processes(place: StepPlace, program: str) -> None:
    holds(place, f"2 processes of {program}", process_running={"name": program, "min_count": 2})
    holds(place, process_running=program)
    fails(place, "2 processes", "expected at least 3", process_running={"name": program, "min_count": 3})
    fails(place, f"{program} runs (pid ", "expected none", process_not_running=program)
    holds(place, "no process of nothing-like-it", process_not_running="nothing-like-it")
    fails(place, "0 processes of nothing-like-it, expected at least 1", process_running="nothing-like-it")


def test_the_tool_that_runs_a_check_does_not_count(place: StepPlace, tmp_path: Path) -> None:
    name = f"cwtool{os.getpid()}"
    shutil.copy("/bin/sh", tmp_path / name)
    (step,) = place.steps("check.c", "verify", place.config("check", process_not_running=name, **QUICK))
    (place.side / "check.py").write_bytes(step.artifacts[0].content)
    done = subprocess.run(
        [tmp_path / name, "-c", '"$1" -I "$2"; exit $?', "sh", sys.executable, place.side / "check.py"],
        env=dict(step.vars), capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 0 and f"no process of {name}" in done.stdout


def test_memory_and_processors(place: StepPlace, program: str) -> None:
    holds(place, "the machine uses", memory_usage={"max_percent": 100})
    fails(place, "% of memory, expected at most 0 %", memory_usage={"max_percent": 0})
    holds(place, f"{program} uses", memory_usage={"max_mb": 500, "process": program})
    fails(place, "does not run", memory_usage={"max_mb": 500, "process": "nothing-like-it"})
    holds(place, "the machine is at", cpu_usage={"max_percent": 100, "window": 0.05})
    busy = {"max_percent": 1, "window": 0.3, "process": program}
    fails(place, f"{program} is at", "expected at most 1 %", cpu_usage=busy)
    holds(place, cpu_usage={**busy, "max_percent": 1000})


# --- services and containers ------------------------------------------------------------------------------------------


def test_a_service_of_this_workspace_and_its_log(project: Project) -> None:
    service = "import time; print('ready to serve', flush=True); time.sleep(600)"
    project.write(
        {
            "main.cw": f'service "web" {{ command = ["{sys.executable}", "-c", "{service}"] }}\n',
            "checks.cw": 'check "up" {\n  service_status = "service.web"\n  depends_on = [service.web]\n}\n'
            'check "log" {\n  log_contains = { service = "web", pattern = "^ready" }\n  depends_on = [service.web]\n}\n',
        }
    )
    shown = project.run("apply", "--auto-approve").out
    assert "service.web is running" in shown and "the log of service.web has such a line" in shown
    project.write(
        {
            "checks.cw": 'check "gone" {\n  service_status = "service.other"\n  retries = 1\n}\n'
            'check "log" {\n  log_contains = { service = "web", pattern = "^never" }\n  retries = 1\n}\n'
        }
    )
    failed = project.run("apply", "--auto-approve", expect=None)
    assert failed.status != 0
    assert "service.other is absent, expected running (no supervised process of that name" in failed.out
    assert "of a container ask container_running" in failed.out
    assert "the only line of the log of service.web does not match '^never'" in failed.out


@pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")
def test_containers(place: StepPlace, tmp_path: Path) -> None:
    name = f"cw-check-{os.getpid()}"
    (tmp_path / "image").mkdir()
    shutil.copy(shutil.which("busybox") or "/bin/busybox", tmp_path / "image/busybox")
    (tmp_path / "image/Containerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nENTRYPOINT ["/bin/busybox", "sh", "-c", "echo booted; exec /bin/busybox sleep 600"]\n'
    )

    def podman(*words: str, good: bool = True) -> str:
        done = subprocess.run(["podman", *words], capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0 or not good, done.stderr
        return done.stdout.strip()

    fails(place, f"there is no container {name}, expected it to run", container_running=name)
    image = podman("build", "--isolation", "chroot", "-q", str(tmp_path / "image"))
    try:
        podman(
            "--runtime", "runc", "run", "-d", "--name", name, "--ulimit", "nofile=1024:4096", "--ulimit",
            "nproc=4096:4096", "--network", "none", "--log-driver", "k8s-file", "--health-cmd", "/bin/busybox true",
            "--health-interval", "disable", "--pull", "never", image,
        )  # fmt: skip
        holds(place, f"{name} is running", container_running=name)
        holds(place, container_running={"name": name, "engine": "podman"}, retries=3)
        fails(place, "expected healthy", container_healthy=name)
        podman("healthcheck", "run", name)
        holds(place, f"{name} is healthy", container_healthy=name)
        holds(place, "such a line", log_contains={"container": name, "pattern": "^booted"})
        fails(place, "'^never'", log_contains={"container": name, "pattern": "^never"})
        podman("stop", "-t", "0", name)
        fails(place, f"{name} is exited, expected running", container_running=name)
    finally:
        podman("rm", "-f", "-t", "0", name, good=False)
        podman("rmi", "-f", image, good=False)


def test_without_an_engine_a_container_check_says_so(place: StepPlace) -> None:
    (step,) = place.steps("check.c", "verify", place.config("check", container_running="x", **QUICK))
    program = (
        step.artifacts[0]
        .content.decode()
        .replace("/usr/local/bin:/usr/bin", "/nowhere")
        .replace(":/bin:", ":/nowhere:")
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program.replace("/usr/local/sbin:/usr/sbin:/sbin", "/nowhere")],
        env={**step.vars}, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 1 and "no container engine is installed" in done.stderr
