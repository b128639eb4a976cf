"""What a fingerprint rule reads from this machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session import environment
from clockwork_nb.session.environment import Place, collect, installed_packages, package_changes, place_of

KEY = b"k" * 32


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, lambda: KEY)


def value(rule: str, place: Place | None = None) -> str:
    (found,) = collect([rule], place)
    assert found["rule"] == rule
    return found["value"]


def test_the_usual_rules_are_told_without_a_place() -> None:
    assert collect() == [
        {"rule": "arch", "value": platform.machine()},
        {"rule": "os", "value": sys.platform},
        {"rule": "python", "value": platform.python_version()},
    ]


def test_rules_about_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert value("cwd") == str(tmp_path)
    assert value("hostname") == os.uname().nodename


def test_packages_are_one_digest_over_their_sorted_names_and_versions() -> None:
    listed = installed_packages()
    assert value("packages") == hashlib.sha256(listed.encode()).hexdigest()
    lines = listed.splitlines()
    assert lines == sorted(lines)
    assert any(line.startswith("pytest==") for line in lines)
    assert not any("_" in line.partition("==")[0] for line in lines)


def test_differing_packages_are_listed_and_a_long_list_is_cut() -> None:
    before = "".join(f"p{n:02}==1\n" for n in range(30))
    after = before.replace("==1", "==2")
    lines = package_changes(before, after)
    assert (lines[0], lines[-1], len(lines)) == ("p00: 1 -> 2", "and 10 more", 21)
    assert package_changes(before, before) == []


def test_a_variable_is_a_keyed_digest_and_never_its_value(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CW_TEST_A", "s3cret")
    monkeypatch.setenv("CW_TEST_B", "s3cret")
    monkeypatch.delenv("CW_TEST_C", raising=False)
    found = value("env:CW_TEST_A", place)
    assert found.startswith("hmac-sha256:")
    assert "s3cret" not in found
    assert found == value("env:CW_TEST_A", place)
    assert found != value("env:CW_TEST_B", place)
    assert found != value("env:CW_TEST_A", Place(place.root, lambda: b"x" * 32))
    assert value("env:CW_TEST_C", place) == "(unset)"
    monkeypatch.setenv("CW_TEST_C", "")
    assert value("env:CW_TEST_C", place).startswith("hmac-sha256:")


def test_the_key_is_made_only_for_variables(tmp_path: Path) -> None:
    def no_key() -> bytes:
        raise AssertionError("asked for the key")

    assert value("file:none", Place(tmp_path, no_key)) == "(missing)"


def test_a_file_is_the_digest_of_its_content(place: Place) -> None:
    (place.root / "data").mkdir()
    (place.root / "data" / "a.txt").write_bytes(b"one")
    assert value("file:data/a.txt", place) == hashlib.sha256(b"one").hexdigest()
    assert value("file:data", place) == "(not a file)"
    assert value("file:data/b.txt", place) == "(missing)"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "link"])
def test_a_file_outside_the_folder_is_refused(place: Place, path: str) -> None:
    (place.root / "link").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInputError, match="not below"):
        value(f"file:{path}", place)


def test_a_file_is_taken_up_to_a_size(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "MAX_FILE", 3)
    (place.root / "a").write_bytes(b"123")
    assert len(value("file:a", place)) == 64
    (place.root / "a").write_bytes(b"1234")
    with pytest.raises(InvalidInputError, match="has 4 bytes"):
        value("file:a", place)


def test_a_pipe_does_not_block(place: Place) -> None:
    os.mkfifo(place.root / "pipe")
    assert value("file:pipe", place) == "(not a file)"


def notebook(path: Path, *cells: tuple[str, object], **more: object) -> Place:
    made = [{"cell_type": kind, "source": source, **more} for kind, source in cells]
    path.write_text(json.dumps({"cells": made, "nbformat": 4}))
    return Place(path.parent, lambda: KEY, path)


def test_a_notebook_is_what_its_code_cells_say(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    first = value("notebook", notebook(path, ("markdown", "# a"), ("code", ["x = 1\n", "y = 2"])))
    assert value("notebook", notebook(path, ("code", "x = 1\ny = 2"), ("markdown", "b"), outputs=[1])) == first
    assert value("notebook", notebook(path, ("code", "x = 1\ny = 3"))) != first


def test_the_notebook_rule_needs_a_notebook(place: Place, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="jobs that run a notebook"):
        value("notebook", place)
    (tmp_path / "a.ipynb").write_text("[]")
    with pytest.raises(InvalidInputError, match="not a notebook"):
        value("notebook", Place(tmp_path, lambda: KEY, tmp_path / "a.ipynb"))


def test_a_runtime_is_its_version_path_and_content(place: Place) -> None:
    version, path, content = value("runtime:sh", place).split(" ")
    assert version
    assert content == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    with pytest.raises(InvalidInputError, match="no runtime") as caught:
        value("runtime:reboot", place)
    assert "python3" in caught.value.hint


def test_a_rule_about_a_folder_needs_one() -> None:
    with pytest.raises(InvalidInputError, match="needs a job with a folder"):
        collect(["git"])


@pytest.mark.parametrize(
    ("spec", "root"),
    [
        ({"notebook": "/n/a.ipynb", "cwd": "/n"}, "/n"),
        ({"workspace": {"root": "/w", "folder": "/w/.clockwork"}}, "/w"),
        ({"root": "/s", "jobspec": {}}, "/s"),
        ({}, None),
        (None, None),
    ],
)
def test_where_a_job_is_looked_at_stands_in_its_spec(spec: object, root: str | None) -> None:
    found = place_of(spec, lambda: KEY)
    assert (None if found is None else str(found.root)) == root


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = Place(root, lambda: KEY)

    def git(self, *words: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        words = ("-c", "user.name=t", "-c", "user.email=t@example.org", *words)
        done = subprocess.run(
            ["git", *words], cwd=self.root, capture_output=True, text=True, check=True, env=environment
        )
        return done.stdout.strip()

    def value(self) -> str:
        return value("git", self.place)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    assert shutil.which("git"), "the tests need git"
    made = Repository(tmp_path)
    made.git("init", "-q")
    (tmp_path / "a").write_text("one")
    made.git("add", "a")
    return made


def test_git_is_the_commit_and_what_differs_from_it(repository: Repository) -> None:
    assert repository.value() == "(no commit)"
    repository.git("commit", "-q", "-m", "first")
    commit = repository.git("rev-parse", "HEAD")
    assert repository.value() == commit
    (repository.root / "untracked").write_text("a job's own output")
    assert repository.value() == commit
    (repository.root / "a").write_text("two")
    dirty = repository.value()
    assert dirty.startswith(f"{commit} with changes ")
    (repository.root / "a").write_text("three")
    assert repository.value() not in {dirty, commit}
    (repository.root / "a").unlink()
    assert repository.value() not in {dirty, commit}
    (repository.root / "a").write_text("one")
    assert repository.value() == commit


def test_staged_changes_count_too(repository: Repository) -> None:
    repository.git("commit", "-q", "-m", "first")
    commit = repository.value()
    (repository.root / "b").write_text("new")
    repository.git("add", "b")
    assert repository.value() != commit


def test_a_folder_inside_a_repository_is_in_it_and_another_is_in_none(repository: Repository, tmp_path: Path) -> None:
    repository.git("commit", "-q", "-m", "first")
    (tmp_path / "inner").mkdir()
    assert value("git", Place(tmp_path / "inner", lambda: KEY)) == repository.value()
    assert value("git", Place(Path("/"), lambda: KEY)) == "(no repository)"
    assert value("git", Place(tmp_path / "gone", lambda: KEY)) == "(no repository)"


def test_without_git_there_is_no_repository(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.git("commit", "-q", "-m", "first")
    monkeypatch.setenv("PATH", str(repository.root))
    assert repository.value() == "(no repository)"


def test_nothing_that_a_repository_names_is_started(repository: Repository) -> None:
    repository.git("commit", "-q", "-m", "first")
    trap, mark = repository.root / "trap.sh", repository.root / "mark"
    trap.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    trap.chmod(0o755)
    (repository.root / ".git" / "info").mkdir(exist_ok=True)
    (repository.root / ".git" / "info" / "attributes").write_text("* filter=trap diff=trap\n")
    for name, what in (
        ("core.fsmonitor", str(trap)), ("filter.trap.clean", str(trap)), ("diff.trap.command", str(trap)),
        ("diff.external", str(trap)), ("core.pager", str(trap)), ("diff.trap.textconv", str(trap)),
    ):  # fmt: skip
        repository.git("config", name, what)
    (repository.root / "a").write_text("two")
    assert "with changes" in repository.value()
    assert not mark.exists()
