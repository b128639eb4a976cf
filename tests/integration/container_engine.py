"""A real container engine for tests: how it must be called on this machine, an image from nothing, and clearing up."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.resources.containers import ENGINE_PATH
from clockwork_nb.testing.project import Project

CONTAINERFILE = 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'

# What a machine needs whose kernel mixes both cgroup versions and whose hard limits are low; see podman's manual.
_SETTINGS = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@dataclass(slots=True)
class Engine:
    """One engine's command line with the variables it needs here, and an image with a shell and a web server."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    image: str = ""

    def run(self, *words: str, check: bool = True) -> str:
        """Run the engine with *words* and return what it printed."""
        done = subprocess.run(
            [self.name, *words], env={**os.environ, **self.env}, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{self.name} {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine says of *container*."""
        found: dict[str, Any] = json.loads(self.run("container", "inspect", container))[0]
        return found

    def there(self, container: str) -> bool:
        """Return whether there is a container of this name."""
        return bool(self.run("ps", "--all", "--quiet", "--filter", f"name=^{container}$"))


@contextmanager
def podman_engine(folder: Path) -> Iterator[Engine]:
    """Give podman as it works here, with an image; skip the test when it does not."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (apt-get install podman)")
    busybox = Path(shutil.which("busybox") or "/bin/busybox")
    if not busybox.exists():
        pytest.skip("busybox is not installed (apt-get install busybox-static)")
    context = folder / "context"
    context.mkdir()
    shutil.copy(busybox, context / "busybox")
    (context / "Containerfile").write_text(CONTAINERFILE)
    image = f"localhost/clockwork-test-{os.getpid()}:1"
    said = ""
    for engine in _ways(folder):
        engine.image = image
        try:
            engine.run("build", "--quiet", "--tag", image, str(context))
            engine.run("run", "--rm", "--pull=never", image, "true")
        except AssertionError as error:
            said = str(error)
            continue
        try:
            yield engine
        finally:
            engine.run("rmi", "--force", image, check=False)
        return
    pytest.skip(f"podman cannot run a container here: {said[-300:]}")


def _ways(folder: Path) -> Iterator[Engine]:
    yield Engine("podman")
    for runtime in (
        "",
        *(f'runtime = "{name}"\n' for name in ("runc", "crun") if shutil.which(name, path=ENGINE_PATH)),
    ):
        settings = folder / f"containers{len(runtime)}.conf"
        settings.write_text(_SETTINGS + runtime)
        yield Engine("podman", {"CONTAINERS_CONF": str(settings)})


@contextmanager
def docker_engine(podman: Engine, folder: Path) -> Iterator[Engine]:
    """Give the docker command with a daemon of its own, or with podman's socket; skip the test when neither works."""
    if shutil.which("docker") is None:
        pytest.skip("the docker command is not installed")
    place = folder / "engine.sock"
    real = shutil.which("dockerd") is not None and os.geteuid() == 0
    words = _dockerd(folder, place) if real else ["podman", "system", "service", "--time", "0", f"unix://{place}"]
    engine = Engine("docker", {"DOCKER_HOST": f"unix://{place}"}, podman.image)
    with open(folder / "engine.log", "wb") as log:
        service = subprocess.Popen(
            words, env={**os.environ, **podman.env}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for(lambda: place.exists() and engine.run("version", check=False), "the docker daemon")
        if real:
            podman.run("save", "--output", str(folder / "image.tar"), podman.image)
            engine.run("load", "--input", str(folder / "image.tar"))
        try:
            engine.run("run", "--rm", "--init", podman.image, "true")
        except AssertionError as error:
            pytest.skip(f"docker cannot run a container here: {str(error)[-300:]}")
        yield engine
    finally:
        service.terminate()
        service.wait(20)


def _dockerd(folder: Path, place: Path) -> list[str]:
    # Without rules in the firewall: a published port is a process of the daemon, which is enough on the loopback.
    limits = [f"--default-ulimit={name}=1024:4096" for name in ("nofile", "nproc")]
    return [
        "dockerd", "--host", f"unix://{place}", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
        "--pidfile", str(folder / "dockerd.pid"), "--iptables=false", "--ip6tables=false", "--bip", "172.31.250.1/24", *limits,
    ]  # fmt: skip


@dataclass(slots=True)
class Site:
    """A project whose services run in *engine*. ``name`` is a container's name that nobody else uses."""

    project: Project
    engine: Engine
    name: str
    port: int

    def write(self, service: str, before: str = "") -> None:
        """Write the configuration: *before*, and the body of the service ``web`` with its name and image."""
        self.project.write(
            {"main.cw": f'{before}\nresource "service" "web" {{\n  name = "{self.name}"\n{service}\n}}\n'}
        )

    def server(self, more: str = "", *, command: str = '"httpd", "-f", "-p", "8080", "-h", "/etc"') -> None:
        """Write a web server in the test image, published at the port."""
        self.write(f'  image = "{self.engine.image}"\n  command = [{command}]\n  ports = ["{self.port}:8080"]\n{more}')

    def apply(self, *words: str) -> Any:
        """Apply, which must succeed, and return how it ended."""
        return self.project.run("apply", "--auto-approve", *words)

    def fail(self) -> str:
        """Apply, which must not succeed, and return all that was said."""
        done = self.project.run("apply", "--auto-approve", expect=None)
        assert done.status != 0, done.out
        return done.out + done.err

    def plan(self) -> Any:
        """Return the plan's document."""
        return self.project.run("plan", "--json").json

    def changes(self) -> dict[str, str]:
        """Return address → kind of change, of what would change."""
        return {c["address"]: c["kind"] for c in self.plan()["changes"] if c["kind"] not in {"noop", "verify"}}

    @property
    def container(self) -> dict[str, Any]:
        """What the engine says of the container."""
        return self.engine.inspect(self.name)


@contextmanager
def site(engine: Engine, folder: Path) -> Iterator[Site]:
    """Give a project in *folder*; every container of it is removed afterwards, with the volumes of its name."""
    project = Project(folder)
    project.env |= engine.env
    made = Site(project, engine, f"cwt-{os.getpid()}-{time.monotonic_ns() % 10**9}", free_port())
    try:
        yield made
    finally:
        label = f"label=clockwork.project={project.folder.resolve()}"
        for container in engine.run("ps", "--all", "--quiet", "--filter", label, check=False).split():
            engine.run("rm", "--force", "--volumes", container, check=False)
        engine.run("image", "prune", "--force", "--filter", label, check=False)
        for volume in engine.run("volume", "ls", "--quiet", "--filter", f"name={made.name}", check=False).split():
            engine.run("volume", "rm", "--force", volume, check=False)


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def get(port: int, path: str = "/") -> str:
    """Return the body at *path*; ``""`` when there is no answer or it is no 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return ""


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when *condition* holds.

    Raises:
        AssertionError: it does not within 20 seconds.
    """
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.05)
