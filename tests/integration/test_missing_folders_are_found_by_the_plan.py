"""A module or a build context that is not there is an error of the plan, unless the configuration itself makes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import ObserveContext
from clockwork_nb.resources import containers_inspect
from clockwork_nb.resources.containers import ENGINE_PATH
from clockwork_nb.resources.image import TYPE as IMAGE
from clockwork_nb.testing.project import Project

MODULE = 'terraform "net" {\n  source = "infra/own/net"\n}\n'
IMAGE_BLOCK = 'image "web" {\n  context = "src/web"\n  tags = ["cw-test-missing:1"]\n}\n'
MAKERS = [
    'directory "d" {\n  path = "PLACE"\n}\n',
    'file "f" {\n  path = "PLACE/Dockerfile"\n  content = "FROM scratch"\n}\n',
    'repository "r" {\n  url = "https://example.org/r.git"\n  path = "ABOVE"\n}\n',
    'command "c" {\n  command = ["make"]\n  creates = "PLACE/made"\n}\n',
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def kinds(project: Project) -> dict[str, str]:
    return {c["address"]: c["kind"] for c in project.run("plan", "--json").json["changes"]}


def test_a_missing_module_is_named_with_what_to_do(project: Project) -> None:
    project.write({"main.cw": MODULE})
    for words in ((), ("--allow-data", "terraform")):
        said = project.run("plan", *words, expect=6).err
        assert "terraform.net (infra/own/net): there is no module: the folder infra/own/net is not there" in said
        assert "Make this folder, correct source" in said
        assert "main.cw, line 1, column 1" in said
    project.write({"infra/own/net": "a file is no folder\n"})
    assert "there is no module" in project.run("plan", expect=6).err


@pytest.mark.parametrize("maker", MAKERS)
def test_a_module_that_another_resource_makes_waits_for_it(project: Project, maker: str) -> None:
    project.write({"main.cw": MODULE + maker.replace("PLACE", "infra/own/net").replace("ABOVE", "infra/own")})
    assert kinds(project)["terraform.net"] == "create"
    project.run("plan", "--allow-data", "terraform")


def test_after_a_command_nobody_knows_what_is_there(project: Project) -> None:
    command = 'command "fetch" {\n  command = ["make", "fetch"]\n}\n'
    project.write({"main.cw": command + MODULE})
    assert "there is no module" in project.run("plan", expect=6).err
    project.write({"main.cw": command + MODULE.replace("}", "  depends_on = [command.fetch]\n}")})
    assert kinds(project)["terraform.net"] == "create"


def test_a_module_beside_one_with_a_longer_name_is_not_made_by_that(project: Project) -> None:
    project.write({"main.cw": MODULE + 'directory "d" {\n  path = "infra/own/network"\n}\n'})
    assert "there is no module" in project.run("plan", expect=6).err


@pytest.mark.skipif(shutil.which("podman", path=ENGINE_PATH) is None, reason="podman is not installed")
def test_a_missing_context_is_named_and_one_that_is_made_is_waited_for(project: Project) -> None:
    project.write({"main.cw": IMAGE_BLOCK})
    said = project.run("plan", expect=6).err
    assert "image.web: the context src/web is not there" in said and "declare what makes it" in said
    for maker in MAKERS:
        project.write({"main.cw": IMAGE_BLOCK + maker.replace("PLACE", "src/web").replace("ABOVE", "src/web")})
        assert kinds(project)["image.web"] == "create"
    project.write({"main.cw": IMAGE_BLOCK, "src/web/index.html": "x"})
    assert "image.web: the context src/web has no Containerfile or Dockerfile" in project.run("plan", expect=6).err
    project.write({"src/web/Dockerfile": "FROM scratch\n"})
    assert kinds(project) == {"image.web": "create"}


# --- an image, looked at by itself ------------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a podman that has no image."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "podman").write_text("#!/bin/sh\necho 'Error: no such image' >&2\nexit 125\n")
    (folder / "podman").chmod(0o755)
    monkeypatch.setattr(containers_inspect, "ENGINE_PATH", str(folder))
    yield folder


def image(**more: Any) -> dict[str, Any]:
    made = IMAGE.model().model_validate({"context": "web", "tags": ["a:1"], **more}).model_dump()
    return {**made, "engine": "podman"}


def test_only_a_build_needs_the_context_and_by_what_is_declared_now(engine: Path, tmp_path: Path) -> None:
    old, new = image(), image(context="other", dockerfile="build/File")
    (tmp_path / "other/build").mkdir(parents=True)
    context = ObserveContext(tmp_path, tmp_path / ".clockwork", "image.web", wanted=new)
    seen = IMAGE.observe(old, {}, context)
    assert seen.attributes["missing"] == "image.web: the context other has no build/File"
    for change in ("create", "update", "replace"):
        with pytest.raises(InvalidInputError, match="has no build/File"):
            IMAGE.actions_observed(change, new, old, seen)
    assert [s.name for s in IMAGE.actions_observed("delete", None, old, seen)] == ["remove_image"]
    removed = ObserveContext(tmp_path, tmp_path / ".clockwork", "image.web", asked="removed")
    assert "missing" not in IMAGE.observe(old, {}, removed).attributes
    (tmp_path / "other/build/File").write_text("FROM scratch\n")
    assert "missing" not in IMAGE.observe(old, {}, context).attributes


def test_an_image_that_is_built_does_not_need_its_context_again(engine: Path, tmp_path: Path) -> None:
    from clockwork_nb.assembly.changes import decide_wanted
    from clockwork_nb.assembly.claims import Claims
    from clockwork_nb.assembly.prior import PriorResource
    from clockwork_nb.diagnostics import SourceRange, SourceText
    from clockwork_nb.intake.desired import ResourceInstance
    from clockwork_nb.ports import Observation
    from clockwork_nb.resources.containers import spec_digest
    from clockwork_nb.resources.image.templates import image_spec

    config = image()
    place = SourceRange(SourceText("main.cw", "x"), 0, 1)
    instance = ResourceInstance("image.web", "image", "web", config, "main.cw", (), place)
    seen = Observation(
        True,
        {
            "missing": "the context web is not there",
            "hint": "",
            "spec": spec_digest(image_spec(config)),
            "named": ["a:1"],
        },
    )
    decision = decide_wanted(instance, IMAGE, PriorResource("image", config), seen, b"k" * 32, Claims([], {}))
    assert decision.change.kind == "noop"
