"""What an image is built from and with: the words, the digest of a context, the ignore file, and what follows."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge.syntax import SyntaxChecker
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, Observation
from clockwork_nb.resources.containers import spec_digest
from clockwork_nb.resources.image import TYPE, context
from clockwork_nb.resources.image.context import context_digest, ignore_rules, ignored
from clockwork_nb.resources.image.templates import image_spec
from clockwork_nb.secrets import Sensitive


def config(**attributes: Any) -> dict[str, Any]:
    made: dict[str, Any] = TYPE.model().model_validate({"context": "web", "tags": ["web:1"], **attributes}).model_dump()
    return dict(TYPE.with_facts(made, {"engine": "podman 4"}))


def action(spec: ActionSpec) -> Action:
    return Action(f"image.web:{spec.name}", spec.name, "image.web", spec.args)


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag", ["web", "web:1", "localhost/web:dev", "registry.example.org:5000/team/web_a:v1.2-rc", "a/b/c", "a--b"]
)
def test_names_of_images(tag: str) -> None:
    assert config(tags=[tag])["tags"] == [tag]


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"context": "."}, ".clockwork"),
        ({"context": "../x"}, "leave the project"),
        ({"tags": []}, "needs a name"),
        ({"tags": ["Web"]}, "small letters"),
        ({"tags": ["--rm"]}, "small letters"),
        ({"tags": ["a", "a"]}, "twice"),
        ({"tags": ["a:b c"]}, "small letters"),
        ({"dockerfile": "../Dockerfile"}, "leave the project"),
        ({"build_args": {"a b": "1"}}, "build argument"),
        ({"build_args": {"A": Sensitive("hunter2")}}, "sensitive"),
        ({"target": "a b"}, "stage"),
        ({"engine": "process"}, "'podman'"),
    ],
)
def test_images_that_cannot_be_are_refused(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**attributes)
    said = str([e["msg"] for e in caught.value.errors(include_input=False, include_url=False)])
    assert words in said and "hunter2" not in said


def test_an_image_needs_an_engine() -> None:
    made = TYPE.model().model_validate({"context": "web", "tags": ["web:1"]}).model_dump()
    with pytest.raises(InvalidInputError, match="needs a container engine"):
        TYPE.with_facts(made, {"engine": "process"})
    assert TYPE.needs_engine(made)


# --- contexts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    (tmp_path / "a").write_text("a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_text("b")
    return tmp_path


def test_a_digest_depends_on_names_contents_kinds_and_modes_alone(folder: Path) -> None:
    first = context_digest(str(folder), "")
    os.utime(folder / "a", (1, 1))
    assert context_digest(str(folder), "") == first, "times do not count"
    seen = {first}
    for change in (
        lambda: (folder / "a").write_text("A"),
        lambda: (folder / "a").chmod(0o755),
        lambda: (folder / "a").rename(folder / "c"),
        lambda: (folder / "sub" / "b").unlink(),
        lambda: (folder / "sub").rmdir(),
        lambda: (folder / "link").symlink_to("c"),
        lambda: os.mkfifo(folder / "pipe"),
        lambda: (folder / "Containerfile").write_text("FROM busybox\n"),
    ):
        change()
        seen.add(context_digest(str(folder), ""))
    assert len(seen) == 9


def test_what_is_ignored_does_not_count_and_the_build_file_always_does(folder: Path) -> None:
    (folder / ".dockerignore").write_text("*.log\nsub\nContainerfile\n")
    first = context_digest(str(folder), "")
    (folder / "x.log").write_text("x")
    (folder / "sub" / "more").write_text("x")
    assert context_digest(str(folder), "") == first
    (folder / "Containerfile").write_text("FROM busybox\n")
    assert context_digest(str(folder), "") != first
    (folder / ".containerignore").write_text("nothing\n")
    assert context_digest(str(folder), "") != first, "its own ignore file comes first"


@pytest.mark.parametrize(
    ("rules", "path", "out"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "b/a", False),
        ("/a/", "a/b", True),
        ("*.log", "x.log", True),
        ("*.log", "sub/x.log", False),
        ("**/*.log", "x.log", True),
        ("**/*.log", "a/b/x.log", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/*/c", "a/b/c", True),
        ("a?", "ab", True),
        ("a?", "a/", False),
        ("[ab].txt", "b.txt", True),
        ("[^ab].txt", "b.txt", False),
        ("[a-c].txt", "b.txt", True),
        ("a\\*", "a*", True),
        ("a\\*", "ab", False),
        ("*\n!keep", "keep", False),
        ("*\n!sub/keep", "sub/keep", False),
        ("*\n!sub/keep", "sub/other", True),
        ("!a\na", "a", True),
        ("# a\n\n", "a", False),
        ("a.b", "axb", False),
        ("[", "[", True),
        ("./a/../b", "b", True),
        (".", "a", False),
    ],
)
def test_ignore_rules_are_dockers(rules: str, path: str, out: bool) -> None:
    assert ignored(path, ignore_rules(rules)) is out


def test_an_exception_below_an_ignored_folder_is_part_of_the_context(folder: Path) -> None:
    (folder / ".dockerignore").write_text("sub\n!sub/b\n")
    first = context_digest(str(folder), "")
    (folder / "sub" / "other").write_text("x")
    assert context_digest(str(folder), "") == first
    (folder / "sub" / "b").write_text("changed")
    assert context_digest(str(folder), "") != first


def test_a_context_that_cannot_be_read_in_time_or_at_all_says_so(folder: Path) -> None:
    with pytest.raises(TimeoutError, match="too large"):
        context_digest(str(folder), "", deadline=time.monotonic() - 1)
    with pytest.raises(FileNotFoundError, match="other"):
        context_digest(str(folder), "other")
    (folder / "Containerfile").unlink()
    with pytest.raises(FileNotFoundError, match="Containerfile or Dockerfile"):
        context_digest(str(folder), "")


def test_the_step_runs_the_same_code_as_whoever_looks(folder: Path) -> None:
    (spec,) = TYPE.actions("create", config(), None)
    step = TYPE.compile(action(spec))
    reader = next(a for a in step.artifacts if a.path == step.data["CW_READER"])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-", str(folder), ""], input=reader.content, capture_output=True, check=True
    )
    assert done.stdout.decode().splitlines() == ["Containerfile", context_digest(str(folder), "")]
    assert reader.content == Path(context.__file__).read_bytes()


# --- what follows -----------------------------------------------------------------------------------------------------


def test_the_script_of_a_build() -> None:
    wanted = config(
        tags=["web:1", "web:two"], build_args={"A": "it's"}, target="run", network=False, dockerfile="b/Containerfile"
    )
    (spec,) = TYPE.actions("create", wanted, None)
    step = TYPE.compile(action(spec))
    text = step.artifacts[0].content.decode()
    for words in ("--tag web:1", "--tag web:two", "--target run", "--network none", "--pull=never"):
        assert words in text, words
    assert "--build-arg 'A=it'\"'\"'s'" in text
    assert step.vars["CW_DOCKERFILE"] == "b/Containerfile" and step.network is False and step.cls == "host"
    assert not step.detaches
    assert SyntaxChecker().problem("sh", text.encode()) == ""
    (spec,) = TYPE.actions("delete", None, wanted)
    assert SyntaxChecker().problem("sh", TYPE.compile(action(spec)).artifacts[0].content) == ""


def seen_as(wanted: dict[str, Any], **changes: Any) -> Observation:
    attributes = {
        "id": "sha256:1",
        "named": wanted["tags"],
        "spec": spec_digest(image_spec(wanted)),
        "built_from": "a" * 64,
        "context_digest": "a" * 64,
    }
    return Observation(True, attributes | changes)


def test_a_changed_context_is_a_change_and_the_rest_is_drift() -> None:
    wanted = config(tags=["web:1", "web:2"])
    assert TYPE.drift(wanted, seen_as(wanted)) == {} and TYPE.pending("noop", wanted, seen_as(wanted)) == ()
    changed = seen_as(wanted, context_digest="b" * 64)
    assert TYPE.drift(wanted, changed) == {}
    assert TYPE.pending("noop", wanted, changed) == (("context", "sha256:" + "a" * 12, "sha256:" + "b" * 12, False),)
    unread = seen_as(wanted)
    unread = Observation(True, {k: v for k, v in unread.attributes.items() if k != "context_digest"})
    assert TYPE.pending("noop", wanted, unread) == ()
    assert TYPE.drift(wanted, Observation(False)) == {"id": ("web:1", None)}
    assert set(TYPE.drift(wanted, seen_as(wanted, spec="x"))) == {"image"}
    assert TYPE.drift(wanted, seen_as(wanted, named=["web:1"])) == {"tags": (["web:1", "web:2"], ["web:1"])}
    assert TYPE.drift(wanted, Observation(None)) == {}


def test_actions_and_risks() -> None:
    one, two = config(tags=["web:1", "web:2"]), config(tags=["web:2"])
    names = [(s.name, s.args["tags"]) for s in TYPE.actions("update", two, one)]
    assert names == [("build_image", ["web:2"]), ("remove_image", ["web:1"])]
    (anew,) = TYPE.actions("replace", one, one)
    assert (anew.name, anew.args["anew"]) == ("build_image", True), "the old one goes when the new one is there"
    moved = TYPE.actions("replace", {**one, "engine": "docker"}, one)
    assert [(s.name, s.args["engine"]) for s in moved] == [("remove_image", "podman"), ("build_image", "docker")]
    assert [s.name for s in TYPE.actions("update", one, one)] == ["build_image"], "for a context that changed"
    assert TYPE.replaces(config(), {**config(), "engine": "docker"}) == {"engine"}
    assert TYPE.risks("create", one, None, None) == ("network",)
    assert TYPE.risks("create", config(network=False), None, Observation(False, {"taken": True})) == ("overwrite",)
    assert TYPE.risks("delete", None, one, None) == ("destroy",)
    assert TYPE.claims(one) == ("image:web:1", "image:web:2")
    assert TYPE.describe(one) == "web:1 from web"
    made = TYPE.exports(one)
    assert made["tag"] == "web:1" and isinstance(made["id"], Unknown) and isinstance(made["digest"], Unknown)
