"""The ``repository`` type against real git: each step runs under the real launcher with the rights it declares."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.launch import Launcher
from clockwork_nb.forge.logs import LogFolder
from clockwork_nb.forge.runtimes import find_runtime
from clockwork_nb.forge.step import StepOutcome, Workbench
from clockwork_nb.ids import step_id
from clockwork_nb.ports import Action, ChangeKind, Observation, ObserveContext
from clockwork_nb.resources.repository import TYPE
from clockwork_nb.secrets import Redactor, Sensitive

if shutil.which("git") is None:
    pytest.skip("git is not installed", allow_module_level=True)

ADDRESS = "repository.app"
WHO = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ALLOW_PROTOCOL": "file",
}  # fmt: skip


def git(*words: str, cwd: Path) -> str:
    done = subprocess.run(
        ["git", *words], cwd=cwd, env={**os.environ, **WHO}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Upstream:
    """A bare repository with a history, and a work tree to add to it."""

    bare: Path
    work: Path

    def commit(self, name: str, text: str) -> str:
        (self.work / name).write_text(text)
        git("add", "--all", cwd=self.work)
        git("commit", "--quiet", "-m", name, cwd=self.work)
        git("push", "--quiet", "origin", "HEAD", "--tags", cwd=self.work)
        return git("rev-parse", "HEAD", cwd=self.work)


def _history(folder: Path, first: str) -> None:
    made = Upstream(folder / "bare", folder / "work")
    folder.mkdir()
    git("init", "--quiet", "--bare", "--initial-branch=main", str(made.bare), cwd=folder)
    git("clone", "--quiet", str(made.bare), str(made.work), cwd=folder)
    git("checkout", "--quiet", "-B", "main", cwd=made.work)
    (made.work / ".gitignore").write_text("*.log\n")
    made.commit("a.txt", f"{first}\n")
    git("tag", "v1", cwd=made.work)
    made.commit("a.txt", "two\n")
    git("checkout", "--quiet", "-b", "next", cwd=made.work)
    made.commit("next.txt", "next\n")
    git("checkout", "--quiet", "main", cwd=made.work)


@dataclass
class Site:
    """A project in which actions are carried out as an apply does it."""

    root: Path
    launcher: Launcher
    templates: Path
    outcomes: list[StepOutcome] = field(default_factory=list)

    @property
    def place(self) -> Path:
        return self.root / "src" / "app"

    def upstream(self, name: str = "up.git", first: str = "one") -> Upstream:
        """Return the bare repository ``name`` in the project: one commit tagged v1, then one on main and one on next."""
        template = self.templates / first.replace(" ", "-")
        if not template.exists():
            _history(template, first)
        made = Upstream(self.root / name, self.root / f"{name}.work")
        for kind, target in (("bare", made.bare), ("work", made.work)):
            shutil.copytree(template / kind, target)
        git("remote", "set-url", "origin", str(made.bare), cwd=made.work)
        return made

    def config(self, **attributes: Any) -> dict[str, Any]:
        given = {"url": "./up.git", "path": "src/app", **attributes}
        out: dict[str, Any] = TYPE.model().model_validate(given).model_dump()
        return out

    def do(self, change: ChangeKind, config: dict[str, Any] | None, recorded: dict[str, Any] | None = None) -> str:
        """Carry out *change*; return what the last step printed last, or its output when it failed."""
        for spec in TYPE.actions(change, config, recorded):
            action = Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args, change=change)
            outcome = self.run(action)
            self.outcomes.append(outcome)
            if outcome.status != "ok":
                return f"FAILED {outcome.note}\n{outcome.tail}"
        return self.outcomes[-1].note

    def run(self, action: Action) -> StepOutcome:
        made = TYPE.compile(action)
        step = BundleStep(
            action.id, action.name, action.address, made.cmd, made.vars, made.secret_vars, made.data, made.write,
            made.network, made.cls, made.cwd, interpreter=find_runtime(made.cmd[0]),
        )  # fmt: skip
        redactor = Redactor()
        log = LogFolder(self.root / ".clockwork" / "logs").step(ADDRESS, action.name, redactor)
        with Workbench(
            Bundle(made.artifacts, (step,), made.secrets), root=self.root, workspace=self.root / ".clockwork",
            launcher=self.launcher, redactor=redactor, mark="job:1",
        ) as bench:  # fmt: skip
            return bench.run(
                step, timeout_s=60, key="key", log=log, removes=action.name == "remove_repo",
                cancel=threading.Event(),
            )  # fmt: skip

    def look(self, config: dict[str, Any], recorded: dict[str, Any] | None = None) -> Observation:
        return TYPE.observe(config, recorded, ObserveContext(self.root, self.root / ".clockwork", ADDRESS))

    def drift(self, config: dict[str, Any]) -> dict[str, Any]:
        return dict(TYPE.drift(config, self.look(config)))


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as running:
        yield running


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def site(tmp_path: Path, launcher: Launcher, templates: Path) -> Site:
    root = tmp_path / "project"
    (root / ".clockwork").mkdir(parents=True)
    return Site(root.resolve(), launcher, templates)


# --- cloning ----------------------------------------------------------------------------------------------------------


def test_a_branch_is_checked_out_as_a_branch_and_nothing_stays_beside_it(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    assert site.look(config).exists is False
    assert site.do("create", config).startswith("main at ")
    assert git("status", "--porcelain", "--branch", cwd=site.place) == "## main...origin/main"
    seen = site.look(config)
    assert seen.attributes["commit"] == git("rev-parse", "main", cwd=up.bare)
    assert (seen.attributes["branch"], seen.attributes["dirty"], site.drift(config)) == ("main", False, {})
    assert os.listdir(site.place.parent) == ["app"]


def test_cloning_is_confined_to_the_folder_of_the_checkout(site: Site) -> None:
    site.upstream()
    spec = TYPE.actions("create", site.config(), None)[0]
    step = TYPE.compile(Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args))
    assert (step.cls, step.network) == ("confined", False)
    evil = step.artifacts[0].content + b"\n: > elsewhere\n"
    outside = Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args)
    made = BundleStep(
        outside.id, outside.name, ADDRESS, step.cmd, step.vars, write=step.write, interpreter=find_runtime("sh")
    )
    artifact = type(step.artifacts[0])(step.cmd[1], evil.replace(b"    exit 0\n", b""), "0755", "x", "sh")
    with Workbench(
        Bundle((artifact,), (made,), {}), root=site.root, workspace=site.root / ".clockwork", launcher=site.launcher,
        redactor=Redactor(), mark="m",
    ) as bench:  # fmt: skip
        log = LogFolder(site.root / ".clockwork" / "logs").step(ADDRESS, "x", Redactor())
        bench.run(made, timeout_s=60, key="k", log=log, removes=False, cancel=threading.Event())
    if site.launcher.confinement.tier == "standard":
        assert not (site.root / "elsewhere").exists()


@pytest.mark.parametrize("ref", ["v1", "refs/tags/v1", "full", "short"])
def test_a_tag_or_commit_is_checked_out_detached(site: Site, ref: str) -> None:
    up = site.upstream()
    commit = git("rev-parse", "v1", cwd=up.bare)
    config = site.config(ref={"full": commit, "short": commit[:7]}.get(ref, ref))
    assert "at " + commit[:12] in site.do("create", config)
    seen = site.look(config).attributes
    assert (seen["commit"], seen["branch"], site.drift(config)) == (commit, None, {})
    assert (site.place / "a.txt").read_text() == "one\n"


def test_a_shallow_checkout_has_as_many_commits_as_asked_for_and_follows_its_ref(site: Site) -> None:
    up = site.upstream()
    config = site.config(url="file://" + str(site.root / "up.git"), depth=1)
    assert site.do("create", config).startswith("main at ")
    assert git("rev-list", "--count", "HEAD", cwd=site.place) == "1"
    assert site.look(config).attributes["shallow"] is True
    tag = {**config, "ref": "v1"}
    assert site.do("update", tag, config).startswith("v1 at ")
    assert git("rev-list", "--count", "HEAD", cwd=site.place) == "1"
    commit = git("rev-parse", "next", cwd=up.bare)
    whole = {**config, "ref": commit}
    assert site.do("update", whole, tag).startswith("at " + commit[:12])
    deep = {**config, "depth": None, "ref": "next"}
    assert site.do("update", deep, whole).startswith("next at ")
    assert git("rev-list", "--count", "HEAD", cwd=site.place) == "3"
    assert site.look(deep).attributes["shallow"] is False


def test_a_short_commit_cannot_be_had_without_the_history(site: Site) -> None:
    up = site.upstream()
    config = site.config(ref=git("rev-parse", "--short", "main", cwd=up.bare), depth=1)
    assert "a commit must be written whole" in site.do("create", config)
    assert not site.place.exists()


@pytest.mark.parametrize("ref", ["nowhere", "abcdef12", "refs/heads/nowhere", "f" * 40])
def test_a_ref_that_is_not_there_is_told_and_leaves_nothing(site: Site, ref: str) -> None:
    site.upstream()
    said = site.do("create", site.config(ref=ref))
    assert said.startswith("FAILED") and "./up.git has no " in said
    assert os.listdir(site.place.parent) == []


def test_an_empty_remote_and_a_missing_one_are_told_apart(site: Site) -> None:
    git("init", "--quiet", "--bare", str(site.root / "up.git"), cwd=site.root)
    assert "no commit to check out yet" in site.do("create", site.config())
    assert "does not appear to be a git repository" in site.do("create", site.config(url="./other.git"))


@pytest.mark.parametrize("name", ["-rf/-u", "in/a b", "in/quote'\"s", "in/$(touch pwned)", "in/ü", "in/*"])
def test_a_checkout_may_have_any_name(site: Site, name: str) -> None:
    site.upstream()
    config = site.config(path=name)
    assert site.do("create", config).startswith("main at ")
    assert site.drift(config) == {}
    assert site.do("update", {**config, "ref": "v1"}, config).startswith("v1 at ")
    assert site.do("delete", None, {**config, "ref": "v1"}) == f"removed {'./' if name[0] == '-' else ''}{name}"
    assert not (site.root / name).exists() and not list(site.root.rglob("pwned"))


def test_what_is_in_the_way_stays(site: Site) -> None:
    site.upstream()
    config = site.config()
    site.place.mkdir(parents=True)
    (site.place / "mine").write_text("x")
    assert "is no git checkout; nothing was changed" in site.do("create", config)
    assert (site.place / "mine").read_text() == "x"
    (site.place / "mine").unlink()
    git("init", "--quiet", "--initial-branch=main", str(site.place), cwd=site.root)
    git("remote", "add", "origin", "https://me:token@example.org/x", cwd=site.place)
    said = site.do("create", config)
    assert "a checkout of something else" in said and "token" not in said
    shutil.rmtree(site.place)
    site.place.mkdir()  # an empty folder is in nobody's way
    assert site.do("create", config).startswith("main at ")
    shutil.rmtree(site.place)
    site.place.symlink_to(site.root / "up.git.work")
    assert "is a symbolic link" in site.do("create", config)
    assert site.look(config).attributes == {"kind": "symbolic link"}


def test_creating_again_what_is_there_already_changes_nothing(site: Site) -> None:
    site.upstream()
    config = site.config()
    assert site.do("create", config) == site.do("create", config)
    assert site.do("replace", config, config).startswith("main at ")
    assert site.drift(config) == {}


# --- changing ---------------------------------------------------------------------------------------------------------


def test_a_ref_is_followed_both_ways_and_ignored_files_stay(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    site.do("create", config)
    (site.place / "build.log").write_text("mine")
    other = {**config, "ref": "next"}
    assert site.do("update", other, config).startswith("next at ")
    assert (site.place / "next.txt").exists()
    assert site.do("update", config, other).startswith("main at ")
    assert not (site.place / "next.txt").exists()
    newest = up.commit("a.txt", "three\n")
    assert site.drift(config) == {}  # only a fetch can tell
    assert site.do("update", config, None) == f"main at {newest[:12]}"
    assert (site.place / "build.log").read_text() == "mine"
    git("commit", "--quiet", "--amend", "-m", "rewritten", cwd=up.work)
    git("push", "--quiet", "--force", "origin", "main", cwd=up.work)
    rewritten = git("rev-parse", "main", cwd=up.bare)
    assert site.do("update", config, None) == f"main at {rewritten[:12]}"


def test_an_ignored_file_is_not_overwritten(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    site.do("create", config)
    (site.place / "own.log").write_text("mine")
    git("checkout", "--quiet", "next", cwd=up.work)
    (up.work / "own.log").write_text("theirs")
    git("add", "--force", "own.log", cwd=up.work)
    up.commit("b.txt", "b")
    assert site.do("update", {**config, "ref": "next"}, config).startswith("FAILED")
    assert (site.place / "own.log").read_text() == "mine" and site.drift(config) == {}


@pytest.mark.parametrize("kind", ["edited", "staged", "untracked", "assumed", "merging"])
def test_a_dirty_tree_is_refused_and_nothing_is_lost(site: Site, kind: str) -> None:
    site.upstream()
    config = site.config()
    site.do("create", config)
    name = "mine.txt" if kind == "untracked" else "a.txt"
    if kind == "assumed":
        git("update-index", "--assume-unchanged", "a.txt", cwd=site.place)
    if kind == "merging":
        (site.place / ".git" / "MERGE_HEAD").write_text(site.look(config).attributes["commit"] + "\n")
    else:
        (site.place / name).write_text("my work\n")
    if kind == "staged":
        git("add", "a.txt", cwd=site.place)
    if kind in {"edited", "staged", "untracked"}:
        assert site.drift(config) == {"dirty": (False, True)}
        assert "1 change in no commit" in site.look(config).detail
    for said in (site.do("update", {**config, "ref": "v1"}, config), site.do("delete", None, config)):
        assert said.startswith("FAILED") and "othing was changed" in said
    if kind != "merging":
        assert (site.place / name).read_text() == "my work\n"
    assert git("rev-parse", "--abbrev-ref", "HEAD", cwd=site.place) == "main"


def test_commits_that_are_nowhere_else_are_refused_until_they_are_pushed(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    site.do("create", config)
    (site.place / "a.txt").write_text("mine\n")
    git("commit", "--quiet", "--all", "-m", "mine", cwd=site.place)
    mine = git("rev-parse", "HEAD", cwd=site.place)
    assert set(site.drift(config)) == {"commit"}
    for said in (site.do("update", {**config, "ref": "v1"}, config), site.do("delete", None, config)):
        assert "commits that were not pushed" in said and mine[:7] in said
    git("checkout", "--quiet", "next", cwd=site.place)
    assert "commits that were not pushed" in site.do("update", config, config | {"ref": "x"})
    assert "commits that were not pushed" in site.do("delete", None, config)
    git("push", "--quiet", "origin", "main", cwd=site.place)
    assert site.do("update", config, None) == f"main at {mine[:12]}"
    assert git("rev-parse", "main", cwd=up.bare) == mine and site.drift(config) == {}


def test_removal_keeps_a_stash_and_what_is_no_checkout_of_ours(site: Site) -> None:
    site.upstream()
    config = site.config()
    site.do("create", config)
    (site.place / "a.txt").write_text("later\n")
    git("stash", "--quiet", cwd=site.place)
    assert "has a stash" in site.do("delete", None, config)
    git("stash", "drop", "--quiet", cwd=site.place)
    git("remote", "set-url", "origin", "https://example.org/fork", cwd=site.place)
    assert set(site.drift(config)) == {"url"}
    assert site.do("delete", None, config).startswith("left in place: ")
    git("remote", "set-url", "origin", str(site.root / "up.git"), cwd=site.place)
    (site.place / "kept.log").write_text("ignored files go with the checkout")
    assert site.do("delete", None, config) == "removed src/app"
    assert site.do("delete", None, config) == ""
    assert site.look(config).exists is False


def test_a_new_address_of_the_same_history_changes_the_address_alone(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    site.do("create", config)
    (site.place / "build.log").write_text("mine")
    shutil.copytree(up.bare, site.root / "moved.git")
    moved = site.config(url="./moved.git")
    assert site.do("update", moved, config).startswith("main at ")
    assert git("remote", "get-url", "origin", cwd=site.place) == str(site.root / "moved.git")
    assert (site.place / "build.log").exists() and site.drift(moved) == {}


def test_an_address_of_another_history_is_a_new_checkout(site: Site) -> None:
    site.upstream()
    site.upstream("other.git", first="something else")
    config = site.config()
    site.do("create", config)
    other = site.config(url="./other.git", ref="v1")
    (site.place / "a.txt").write_text("mine\n")
    assert "changes that are in no commit" in site.do("update", other, config)
    git("checkout", "--quiet", "a.txt", cwd=site.place)
    assert site.do("update", other, config).startswith("v1 at ")
    assert (site.place / "a.txt").read_text() == "something else\n"
    assert os.listdir(site.place.parent) == ["app"] and site.drift(other) == {}
    assert git("rev-list", "--all", "--count", cwd=site.place) == "3"


def test_a_fetch_that_got_old_is_drift(site: Site) -> None:
    site.upstream()
    config = site.config(refresh="1h")
    site.do("create", config)
    assert site.drift(config) == {}
    fetched = site.place / ".git" / "FETCH_HEAD"
    os.utime(fetched, (fetched.stat().st_mtime - 3700,) * 2)
    assert set(site.drift(config)) == {"ref"}
    site.do("update", config, None)
    assert site.drift(config) == {}


def test_submodules_come_along_and_their_work_is_kept_too(site: Site) -> None:
    up = site.upstream()
    lib = site.upstream("lib.git", first="lib")
    git("submodule", "--quiet", "add", str(lib.bare), "lib", cwd=up.work)
    up.commit("b.txt", "with a submodule")
    config = site.config(submodules=True)
    assert site.do("create", config).startswith("main at ")
    assert (site.place / "lib" / "a.txt").read_text() == "two\n"
    assert site.drift(config) == {}
    assert site.do("update", {**config, "ref": "v1"}, config).startswith("v1 at ")
    assert not (site.place / "lib").exists()
    assert site.do("update", config, {**config, "ref": "v1"}).startswith("main at ")
    (site.place / "lib" / "a.txt").write_text("mine\n")
    assert "changes that are in no commit" in site.do("delete", None, config)
    git("checkout", "--quiet", "a.txt", cwd=site.place / "lib")
    without = {**config, "submodules": False}
    assert TYPE.replaces(config, without) == {"submodules"}
    assert site.do("replace", without, config).startswith("main at ")
    assert os.listdir(site.place / "lib") == [] and site.drift(without) == {}


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def test_a_clone_that_was_killed_is_begun_again(site: Site) -> None:
    site.upstream()
    config = site.config()
    half = site.place.parent / ".cw-app.new"
    half.mkdir(parents=True)
    git("init", "--quiet", str(half), cwd=site.root)
    (half / ".git" / "index.lock").write_text("")
    assert site.do("create", config).startswith("main at ")
    assert os.listdir(site.place.parent) == ["app"]


def _cut_off(site: Site, before: str, to: str) -> None:
    """Leave the checkout as a git that was killed while it wrote the files of *to* leaves it."""
    (site.place / ".git" / "clockwork-unfinished").write_text(f"{before} {to}\n")
    (site.place / ".git" / "index.lock").write_text("")
    (site.place / "a.txt").write_text("thr")  # half a file
    (site.place / "new.txt").write_text("new\n")


def test_a_checkout_that_was_killed_is_completed(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    site.do("create", config)
    before = git("rev-parse", "HEAD", cwd=site.place)
    (up.work / "new.txt").write_text("new\n")
    to = up.commit("a.txt", "three\n")
    git("fetch", "--quiet", "origin", cwd=site.place)
    _cut_off(site, before, to)
    assert set(site.drift(config)) >= {"unfinished", "dirty"}
    assert site.do("update", config, None) == f"main at {to[:12]}"
    assert (site.place / "a.txt").read_text() == "three\n" and site.drift(config) == {}
    kept = git("for-each-ref", "--format=%(objectname)", "refs/clockwork/unfinished", cwd=site.place)
    assert git("show", f"{kept}:a.txt", cwd=site.place) == "thr"


def test_a_checkout_that_was_killed_and_then_worked_in_is_refused(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    site.do("create", config)
    before = git("rev-parse", "HEAD", cwd=site.place)
    (up.work / "new.txt").write_text("new\n")
    to = up.commit("a.txt", "three\n")
    git("fetch", "--quiet", "origin", cwd=site.place)
    _cut_off(site, before, to)
    (site.place / "mine.txt").write_text("mine\n")
    for said in (site.do("update", config, None), site.do("delete", None, config)):
        assert "not of its making" in said and "mine.txt" in said
    assert (site.place / "mine.txt").read_text() == "mine\n" and (site.place / "a.txt").read_text() == "thr"


def test_locks_of_a_fetch_that_was_killed_are_in_nobodys_way(site: Site) -> None:
    site.upstream()
    config = site.config()
    site.do("create", config)
    head = git("rev-parse", "HEAD", cwd=site.place)
    lock = site.place / ".git" / "refs" / "remotes" / "origin" / "main.lock"
    for path in (lock, site.place / ".git" / "config.lock", site.place / ".git" / "packed-refs.lock"):
        path.write_text("")
    assert site.do("update", config, None).startswith("FAILED")  # somebody's own git may be at work
    assert site.look(config).attributes["unfinished"] is False
    (site.place / ".git" / "clockwork-unfinished").write_text(f"{head} {head}\n")
    assert site.do("update", config, None).startswith("main at ")
    assert git("rev-parse", "--abbrev-ref", "HEAD", cwd=site.place) == "main" and not lock.exists()


@pytest.mark.parametrize("kind", ["create", "update"])
def test_a_step_that_is_killed_at_any_time_can_be_done_again(site: Site, tmp_path: Path, kind: ChangeKind) -> None:
    up = site.upstream()
    for number in range(600):
        (up.work / f"f{number}").write_text(f"{number}\n" * 20)
    up.commit("many", "many")
    new, old = site.config(), site.config(ref="v1")
    if kind == "update":
        site.do("create", old)
    began = time.monotonic()
    _killed(site, tmp_path, kind, new, 60)
    whole = time.monotonic() - began
    for share in (0.2, 0.4, 0.6, 0.8):
        if kind == "create":
            shutil.rmtree(site.place)
        else:
            assert not site.do("update", old, None).startswith("FAILED")
        _killed(site, tmp_path, kind, new, whole * share)
        assert site.do(kind, new, None).startswith("main at ")
        assert site.drift(new) == {} and os.listdir(site.place.parent) == ["app"]


def _killed(site: Site, tmp_path: Path, kind: ChangeKind, config: dict[str, Any], after_s: float) -> None:
    """Run the step's script and kill everything it started after *after_s*."""
    spec = TYPE.actions(kind, config, None)[0]
    made = TYPE.compile(Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args))
    (tmp_path / "script").write_bytes(made.artifacts[0].content)
    env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "LANG": "C.UTF-8", **made.vars}
    with subprocess.Popen(["sh", str(tmp_path / "script")], cwd=site.root, env=env, start_new_session=True) as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


# --- hostile checkouts ------------------------------------------------------------------------------------------------


def _trap(site: Site, key: str) -> Path:
    """Make a checkout whose settings start a program; return what that program would write."""
    site.upstream()
    site.do("create", site.config())
    sign, program = site.root / "src" / "pwned", site.root / "src" / "evil.sh"
    program.write_text(f"#!/bin/sh\n: > {sign}\ncat\n")
    program.chmod(0o755)
    if key.startswith("filter."):
        (site.place / ".git" / "info").mkdir()
        (site.place / ".git" / "info" / "attributes").write_text("* filter=x\n")
    git("config", key, str(program), cwd=site.place)
    (site.place / "a.txt").touch()
    return sign


HOSTILE = ["core.fsmonitor", "filter.x.clean", "core.sshCommand", "remote.origin.uploadpack", "core.hooksPath"]


@pytest.mark.parametrize("key", HOSTILE)
def test_settings_of_a_checkout_start_nothing(site: Site, key: str) -> None:
    sign = _trap(site, key)
    config = site.config()
    seen = site.look(config)
    assert seen.exists and seen.attributes["dirty"] is False and not sign.exists()
    for said in (site.do("update", {**config, "ref": "v1"}, config), site.do("delete", None, config)):
        assert "could start a program" in said and key.lower() in said.lower()
    assert not sign.exists() and site.place.exists()


def test_included_settings_and_hooks_start_nothing(site: Site) -> None:
    sign = _trap(site, "user.name")
    config = site.config()
    hooks = site.place / ".git" / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "fsmonitor-watchman", "post-index-change"):
        shutil.copy(site.root / "src" / "evil.sh", hooks / name)
    assert site.drift(config) == {}
    assert site.do("update", {**config, "ref": "v1"}, config).startswith("v1 at ")
    (site.root / "src" / "more").write_text(f"[core]\n\tfsmonitor = {site.root}/src/evil.sh\n")
    git("config", "include.path", str(site.root / "src" / "more"), cwd=site.place)
    sign.unlink(missing_ok=True)  # git itself ran it
    site.look(config)
    assert "could start a program" in site.do("update", config, {**config, "ref": "v1"})
    assert not sign.exists()


def test_a_submodule_whose_repository_is_elsewhere_is_refused(site: Site) -> None:
    up = site.upstream()
    lib = site.upstream("lib.git")
    git("submodule", "--quiet", "add", str(lib.bare), "lib", cwd=up.work)
    up.commit("b.txt", "with a submodule")
    config = site.config(submodules=True)
    site.do("create", config)
    for target in (f"gitdir: {site.root}/lib.git\n", "gitdir: ../.git/modules/../../../../lib.git\n"):
        (site.place / "lib" / ".git").write_text(target)
        site.look(config)
        said = site.do("update", config, None)
        assert "keeps its repository or its files elsewhere" in said
    (site.place / "lib" / ".git").write_text("gitdir: ../.git/modules/lib\n")
    assert site.do("update", config, None).startswith("main at ")
    git("config", "--file", str(site.place / ".git/modules/lib/config"), "core.worktree", str(lib.work), cwd=site.root)
    assert "keeps its repository or its files elsewhere" in site.do("update", config, None)


def test_a_checkout_whose_parts_are_elsewhere_is_refused(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    site.do("create", config)
    git("config", "core.worktree", str(up.work), cwd=site.place)
    assert "core.worktree" in site.do("update", {**config, "ref": "v1"}, config)
    git("config", "--unset", "core.worktree", cwd=site.place)
    objects = site.place / ".git" / "objects"
    objects.rename(site.root / "elsewhere")
    objects.symlink_to(site.root / "elsewhere")
    assert "which git itself never makes" in site.do("delete", None, config)
    assert (up.work / "a.txt").exists() and site.place.exists()


def test_refspecs_and_remotes_that_somebody_added_stay_theirs(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    site.do("create", config)
    git("config", "--add", "remote.origin.fetch", "+refs/heads/*:refs/heads/*", cwd=site.place)
    git("branch", "mine", "v1", cwd=site.place)
    git("tag", "my-tag", "v1", cwd=site.place)
    git("push", "--quiet", "origin", "main:mine", cwd=up.work)
    newest = up.commit("a.txt", "three\n")
    assert site.do("update", config, None) == f"main at {newest[:12]}"
    assert git("rev-parse", "mine", cwd=site.place) == git("rev-parse", "v1", cwd=site.place)
    assert git("tag", "--list", "my-tag", cwd=site.place) == "my-tag"
    assert len(git("config", "--get-all", "remote.origin.fetch", cwd=site.place).splitlines()) == 2
    git("config", "--add", "remote.origin.url", "https://example.org/x", cwd=site.place)
    assert set(site.drift(config)) == {"url"}
    assert site.do("update", config, None) == f"main at {newest[:12]}"
    assert site.drift(config) == {}


@pytest.mark.parametrize("head", ["ref: ../../../etc/passwd\n", "ref: refs/../../x\n", "nonsense", "\x00" * 9, ""])
def test_a_damaged_checkout_is_said_to_be_unreadable(site: Site, head: str) -> None:
    site.upstream()
    config = site.config()
    site.do("create", config)
    (site.place / ".git" / "HEAD").write_text(head)
    seen = site.look(config)
    assert seen.exists is None and "cannot be read" in seen.detail
    (site.place / ".git" / "HEAD").unlink()
    os.mkfifo(site.place / ".git" / "HEAD")
    assert site.look(config).exists is None


def test_odd_files_in_the_place_of_gits_own_stop_nobody(site: Site) -> None:
    site.upstream()
    config = site.config()
    site.do("create", config)
    git_folder = site.place / ".git"
    os.mkfifo(git_folder / "sharedindex.x")
    assert site.look(config).exists is None
    (git_folder / "sharedindex.x").unlink()
    (git_folder / "index").write_bytes(b"DIRC" + os.urandom(500))
    seen = site.look(config)
    assert seen.exists and "dirty" not in seen.attributes and "cannot be told" in seen.detail
    (git_folder / "config").write_text("[core\n")
    assert site.look(config).exists is None
    assert site.do("update", config, None).startswith("FAILED") and site.place.exists()


def test_a_git_file_in_the_place_of_the_folder_is_not_followed(site: Site) -> None:
    site.upstream()
    config = site.config()
    site.do("create", config)
    (site.place / ".git").rename(site.root / "src" / "elsewhere")
    (site.place / ".git").write_text("gitdir: ../elsewhere\n")
    assert site.look(config).attributes == {"kind": "folder"}
    assert "is no git checkout" in site.do("update", config, None)
    assert site.do("delete", None, config).startswith("left in place")


# --- import -----------------------------------------------------------------------------------------------------------


def test_a_checkout_that_is_there_can_be_described(site: Site) -> None:
    up = site.upstream()
    config = site.config()
    context = ObserveContext(site.root, site.root / ".clockwork")
    assert TYPE.found("src/app", context) is None
    git("clone", "--quiet", str(up.bare), str(site.place), cwd=site.root)
    assert TYPE.import_id(config) == "src/app"
    found = TYPE.found("src/app", context)
    assert found == {"url": "./up.git", "path": "src/app", "ref": "main"}
    assert TYPE.found("../project/src/app", context) is None and TYPE.found(str(site.place), context) is None
    git("remote", "set-url", "origin", "https://me:token@example.org/x", cwd=site.place)
    assert (TYPE.found("src/app", context) or {})["url"] == "https://example.org/x"
    git("remote", "set-url", "origin", str(up.bare), cwd=site.place)
    imported = site.config(**found)
    assert site.drift(imported) == {}
    assert site.do("update", imported, None).startswith("main at ")
    assert site.do("delete", None, imported) == "removed src/app"


# --- over HTTP --------------------------------------------------------------------------------------------------------


class _Backend(BaseHTTPRequestHandler):
    """git http-backend as CGI: git-http-backend(1)."""

    root = Path()
    password = ""

    def _serve(self) -> None:
        if self.password and self.headers.get("Authorization") != self.password:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type") or "", "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "", "REMOTE_ADDR": "127.0.0.1", "HOME": "/nonexistent",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "", "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().splitlines() if ": " in line]
        self.send_response(int(next((v[:3] for k, v in fields if k == "Status"), "200")))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served(site: Site) -> Iterator[tuple[str, type[_Backend]]]:
    """The project's repositories over HTTP: the address, and the handler to set a password on."""
    handler = type("Handler", (_Backend,), {"root": site.root})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("depth", [None, 1])
def test_over_http_with_the_right_to_one_port(site: Site, served: tuple[str, Any], depth: int | None) -> None:
    up = site.upstream()
    config = site.config(url=f"{served[0]}/up.git", depth=depth)
    spec = TYPE.actions("create", config, None)[0]
    step = TYPE.compile(Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args))
    assert (step.cls, step.network) == ("confined", (int(served[0].rpartition(":")[2]),))
    assert site.do("create", config).startswith("main at ")
    assert site.do("update", {**config, "ref": "v1"}, config).startswith("v1 at ")
    commit = git("rev-parse", "next", cwd=up.bare)
    assert site.do("update", {**config, "ref": commit}, None).startswith("at " + commit[:12])
    assert site.drift({**config, "ref": commit}) == {}


def test_a_password_is_told_to_its_server_and_kept_nowhere(site: Site, served: tuple[str, Any]) -> None:
    import base64

    site.upstream()
    secret = 'pa"ss $wörd%\\n'
    served[1].password = "Basic " + base64.b64encode(f"deploy:{secret}".encode()).decode()
    config = site.config(url=f"{served[0]}/up.git")
    said = site.do("create", config)
    assert said.startswith("FAILED") and "terminal prompts disabled" in said
    with_password = {**config, "username": "deploy", "password": Sensitive(secret)}
    assert site.do("create", with_password).startswith("main at ")
    held = [p for p in site.root.rglob("*") if p.is_file() and b'pa"ss' in p.read_bytes()]
    assert held == []
    assert "terminal prompts disabled" in site.do("update", {**config, "ref": "v1"}, config)
    wrong = {**with_password, "ref": "v1", "password": Sensitive("wrong")}
    assert "uthentication failed" in site.do("update", wrong, with_password)
    assert site.drift(config) == {}


def test_another_server_than_the_declared_one_is_not_reached(site: Site, served: tuple[str, Any]) -> None:
    site.upstream()
    config = site.config(url=f"{served[0]}/up.git")
    spec = TYPE.actions("create", config, None)[0]
    made = TYPE.compile(Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args))
    if site.launcher.confinement.abi < 4:
        pytest.skip("this kernel does not limit the network of a step")
    step = BundleStep(
        "s", spec.name, ADDRESS, made.cmd, made.vars, write=made.write, network=(1,), interpreter=find_runtime("sh")
    )
    log = LogFolder(site.root / ".clockwork" / "logs").step(ADDRESS, "x", Redactor())
    with Workbench(
        Bundle(made.artifacts, (step,), {}), root=site.root, workspace=site.root / ".clockwork",
        launcher=site.launcher, redactor=Redactor(), mark="m",
    ) as bench:  # fmt: skip
        outcome = bench.run(step, timeout_s=60, key="k", log=log, removes=False, cancel=threading.Event())
    assert outcome.status == "failed" and not site.place.exists()
