"""The same words with the docker command, talking to an engine's socket that DOCKER_HOST names."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.resources.containers import ASIDE_ENDING
from tests.integration.container_engine import Engine, Site, docker_engine, get, podman_engine, site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    with podman_engine(folder) as podman, docker_engine(podman, folder) as found:
        yield found


@pytest.fixture
def web(engine: Engine, tmp_path: Path) -> Iterator[Site]:
    with site(engine, tmp_path) as made:
        yield made


def test_a_container_is_made_changed_stopped_healed_and_removed(web: Site) -> None:
    web.server('  env = { A = "1" }\n  memory = "64m"\n  restart = "no"')
    assert web.plan()["facts"]["engine"].startswith("docker ")
    web.apply()
    first = web.container
    assert get(web.port, "/hostname").strip() == first["Id"][:12] and "A=1" in first["Config"]["Env"]
    assert web.changes() == {}
    web.engine.run("stop", "-t", "1", web.name)
    web.apply()
    assert web.container["Id"] == first["Id"] and web.container["State"]["Status"] == "running"
    web.server('  env = { A = "2" }\n  memory = "96m"\n  restart = "no"')
    web.apply()
    assert web.container["Id"] != first["Id"] and web.container["HostConfig"]["Memory"] == 96 << 20
    web.server('  env = { A = "2" }\n  memory = "96m"\n  restart = "no"\n  state = "stopped"')
    web.apply()
    assert web.container["State"]["Status"] == "exited" and web.changes() == {}
    web.project.run("destroy", "--auto-approve")
    assert not web.engine.there(web.name)


def test_a_container_that_cannot_be_made_gives_the_old_one_back(web: Site) -> None:
    web.server()
    web.apply()
    first, old_port = web.container["Id"], web.port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        web.port = taken.getsockname()[1]
        web.server()
        said = web.fail()
    assert "the container that was there before is back and runs" in said
    assert web.container["Id"] == first and get(old_port, "/hostname").strip() == first[:12]
    web.server('  env = { A = "2" }')
    web.apply()
    assert web.container["Id"] != first and not web.engine.there(web.name + ASIDE_ENDING)
    assert get(web.port, "/hostname").strip() == web.container["Id"][:12]


def test_an_image_is_built_and_used(web: Site) -> None:
    context = web.project.folder / "web"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {web.engine.image}\nCOPY index.html /www/\n")
    (context / "index.html").write_text("one\n")
    image = f'resource "image" "web" {{\n  context = "web"\n  tags = ["{web.name}:dev"]\n}}'
    command = '"httpd", "-f", "-p", "8080", "-h", "/www"'
    web.write(f'  image = image.web.id\n  command = [{command}]\n  ports = ["{web.port}:8080"]', image)
    web.apply()
    assert get(web.port) == "one\n" and web.changes() == {}
    (context / "index.html").write_text("two\n")
    web.apply()
    assert get(web.port) == "two\n"
    web.project.run("destroy", "--auto-approve")
    assert web.engine.run("images", "--quiet", f"{web.name}:dev") == ""
