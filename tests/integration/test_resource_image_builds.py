"""Images built with a real engine: from a folder, again when it changes, used by a service through their id."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.container_engine import CONTAINERFILE, Engine, Site, get, podman_engine, site


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with podman_engine(tmp_path_factory.mktemp("engine")) as found:
        yield found


@pytest.fixture
def web(engine: Engine, tmp_path: Path) -> Iterator[Site]:
    with site(engine, tmp_path) as made:
        context = made.project.folder / "web"
        context.mkdir()
        shutil.copy(shutil.which("busybox") or "/bin/busybox", context / "busybox")
        (context / "Containerfile").write_text(
            f"{CONTAINERFILE}ARG GREETING=none\nCOPY index.html /www/\nRUN echo $GREETING > /www/arg\n"
        )
        (context / "index.html").write_text("one\n")
        (context / ".dockerignore").write_text("*.log\n!keep.log\n")
        yield made
        made.engine.run("rmi", "--force", f"localhost/{made.name}:dev", f"localhost/{made.name}:two", check=False)


def declare(web: Site, more: str = "", *, tags: str = "") -> None:
    image = f"""
resource "image" "web" {{
  context = "web"
  tags = [{tags or f'"localhost/{web.name}:dev"'}]
  network = false
{more}
}}"""
    web.write(
        f"""
  image = image.web.id
  command = ["httpd", "-f", "-p", "8080", "-h", "/www"]
  ports = ["{web.port}:8080"]""",
        image,
    )


def image_of(web: Site) -> str:
    return web.engine.run("image", "inspect", "--format", "{{.Id}}", f"localhost/{web.name}:dev")


def test_an_image_is_built_used_rebuilt_when_its_context_changes_and_removed(web: Site) -> None:
    declare(web)
    plan = web.plan()
    assert {c["address"]: (c["kind"], c["risk"]) for c in plan["changes"]} == {
        "image.web": ("create", []),
        "service.web": ("create", ["ports"]),
    }
    web.apply()
    first = image_of(web)
    assert get(web.port) == "one\n"
    assert web.container["Image"] == first
    assert web.changes() == {}

    context = web.project.folder / "web"
    (context / "noise.log").write_text("not part of it\n")
    assert web.changes() == {}, "what is ignored does not count"
    (context / "index.html").write_text("two\n")
    plan = web.plan()
    (image,) = (c for c in plan["changes"] if c["address"] == "image.web")
    assert image["kind"] == "update" and [a["path"] for a in image["attributes"]] == ["context"]
    web.apply()
    assert get(web.port) == "two\n" and image_of(web) != first
    assert web.changes() == {}

    web.project.run("destroy", "--auto-approve")
    assert not web.engine.there(web.name)
    assert web.engine.run("images", "--quiet", f"localhost/{web.name}:dev") == ""


@pytest.mark.slow
def test_arguments_and_names_change_an_image_and_a_strangers_name_is_told(web: Site) -> None:
    dev, two = f"localhost/{web.name}:dev", f"localhost/{web.name}:two"
    web.engine.run("tag", web.engine.image, dev)
    declare(web, '  build_args = { GREETING = "hi" }', tags=f'"{dev}", "{two}"')
    (image,) = (c for c in web.plan()["changes"] if c["address"] == "image.web")
    assert image["risk"] == ["overwrite"]
    web.apply()
    assert get(web.port, "/arg") == "hi\n"
    web.engine.run("rmi", two)
    assert web.changes()["image.web"] == "update", "a name that is gone is put back"
    declare(web, '  build_args = { GREETING = "ho" }')
    web.apply()
    assert get(web.port, "/arg") == "ho\n"
    assert web.engine.run("images", "--quiet", two) == "", "a name that is not wanted any more goes"
    web.engine.run("tag", web.engine.image, dev)
    web.project.run("destroy", "--auto-approve", expect=None)
    assert image_of(web) == web.engine.run("image", "inspect", "--format", "{{.Id}}", web.engine.image)


def test_a_build_that_fails_says_why_and_leaves_no_image(web: Site) -> None:
    (web.project.folder / "web" / "Containerfile").write_text("FROM scratch\nCOPY missing /\n")
    declare(web)
    assert "missing" in web.fail()
    assert web.engine.run("images", "--quiet", f"localhost/{web.name}:dev") == ""
    shutil.rmtree(web.project.folder / "web")
    assert "is not there" in web.fail()


def test_asked_for_anew_it_is_really_built_again_and_never_away(web: Site) -> None:
    declare(web)
    web.apply()
    first = image_of(web)
    dockerfile = web.project.folder / "web" / "Containerfile"
    whole = dockerfile.read_text()
    dockerfile.write_text(f"{whole}RUN exit 7\n")
    web.project.run("apply", "--auto-approve", "--replace", "image.web", expect=1)
    assert image_of(web) == first and get(web.port) == "one\n", "a build that fails takes nothing away"
    dockerfile.write_text(whole)
    web.apply("--replace", "image.web")
    assert image_of(web) != first, "not taken from the cache"
    assert web.container["Image"] == image_of(web) and web.changes() == {}


def test_two_workspaces_of_a_folder_do_not_remove_each_others_image(web: Site) -> None:
    image = f'image "web" {{\n  context = "web"\n  tags = ["localhost/{web.name}:dev"]\n  network = false\n}}\n'
    web.project.write({"main.cw": image})
    web.apply("--workspace", "two")
    (change,) = web.plan()["changes"]
    assert (change["kind"], change["risk"]) == ("create", ["overwrite"])
    web.apply()
    mine = image_of(web)
    web.project.run("destroy", "--auto-approve", "--workspace", "two")
    assert image_of(web) == mine and web.changes() == {}
