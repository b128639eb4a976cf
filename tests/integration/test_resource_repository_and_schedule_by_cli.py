"""Checkouts and schedules as a person declares them: plan, apply, look again, change, destroy."""

from __future__ import annotations

import grp
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

WHO = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def git(*words: str, cwd: Path) -> str:
    done = subprocess.run(
        ["git", *words], cwd=cwd, env={**os.environ, **WHO}, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def upstream(project: Project) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    place = project.folder / "up"
    place.mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=place)
    (place / "a.txt").write_text("one\n")
    git("add", ".", cwd=place)
    git("commit", "--quiet", "-m", "one", cwd=place)
    git("tag", "v1", cwd=place)
    (place / "a.txt").write_text("two\n")
    git("commit", "--quiet", "--all", "-m", "two", cwd=place)
    return place


def declare(ref: str) -> str:
    return (
        f'repository "app" {{\n  url = "./up"\n  path = "src/app"\n  ref = "{ref}"\n}}\n'
        'output "commit" { value = repository.app.commit }\n'
    )


def test_a_checkout_from_plan_to_destroy(project: Project, upstream: Path) -> None:
    project.write({"main.cw": declare("main")})
    assert "(known after apply)" in project.run("plan").out
    assert "main at " in project.run("apply", "--auto-approve").out
    again = project.run("plan").out
    assert "Nothing to do" in again or "1 unchanged" in again
    assert project.run("apply", "--auto-approve").status == 0  # the output is known now
    project.write({"main.cw": declare("v1")})
    assert "ref changed" in project.run("plan").out
    assert "v1 at " in project.run("apply", "--auto-approve").out
    (project.folder / "src" / "app" / "mine.txt").write_text("x")
    planned = project.run("plan").out
    assert "dirty" in planned and "it stops until what is in no commit is settled" in planned
    assert "puts it back" not in planned
    refused = project.run("destroy", "--auto-approve", expect=1)
    assert "mine.txt" in refused.out and "Commit and push" in refused.out
    (project.folder / "src" / "app" / "mine.txt").unlink()
    project.run("destroy", "--auto-approve")
    assert not (project.folder / "src" / "app").exists()


def test_planning_in_a_strangers_folder_starts_nothing(project: Project, upstream: Path) -> None:
    project.write({"main.cw": declare("main")})
    project.run("apply", "--auto-approve")
    place, sign = project.folder / "src" / "app", project.root / "pwned"
    program = project.root / "evil.sh"
    program.write_text(f"#!/bin/sh\n: > '{sign}'\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "diff.external", "filter.x.clean", "core.pager", "alias.status"):
        git("config", key, str(program), cwd=place)
    (place / "a.txt").touch()
    project.run("plan")
    project.write({"main.cw": declare("v1")})
    project.run("plan")
    refused = project.run("apply", "--auto-approve", expect=1)
    assert "could start a program" in refused.out and not sign.exists()


@pytest.mark.parametrize("url", ["ext::sh -c id", "-u", "https://me:secret@example.org/x", "https://example.org/a\\nb"])
def test_a_hostile_address_is_an_error_at_its_attribute(project: Project, url: str) -> None:
    project.write({"main.cw": f'repository "app" {{\n  path = "src/app"\n  url = "{url}"\n}}\n'})
    said = project.run("validate", "--json", expect=6)
    findings = json.loads(said.out)["diagnostics"]
    assert [(f["address"], f["range"]["start"]["line"]) for f in findings] == [("repository.app", 3)]


def _mounts_allowed() -> bool:
    return shutil.which("unshare") is not None and subprocess.call(["unshare", "-m", "true"]) == 0


class OwnSpool(Project):
    """A project whose commands see a crontab spool of the test's own."""

    def command(self, *words: str) -> list[str]:
        spool = self.root / "spool"
        if not spool.exists():
            spool.mkdir()
            os.chown(spool, 0, grp.getgrnam("crontab").gr_gid)
            spool.chmod(0o1730)
        script = 'mount --bind "$0" /var/spool/cron/crontabs && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, str(spool), *super().command(*words)]


@pytest.mark.skipif(shutil.which("crontab") is None, reason="crontab is not installed (cron)")
@pytest.mark.skipif(os.geteuid() != 0 or not _mounts_allowed(), reason="no spool of the test's own")
def test_a_schedule_from_plan_to_destroy(tmp_path: Path) -> None:
    project = OwnSpool(tmp_path)
    project.write(
        {
            "main.cw": 'schedule "night" {\n  cron = "30 3 * * mon-fri"\n  command = ["echo", "100%"]\n}\n'
            'schedule "report" {\n  on_calendar = "daily"\n  runbook = "r.ipynb"\n}\n'
        }
    )
    assert "schedule" in project.run("plan").out
    refused = project.run("apply", "--auto-approve", expect=1)
    assert "the notebook r.ipynb is not there" in refused.out
    project.write({"r.ipynb": "{}"})
    project.run("apply", "--auto-approve")
    assert "Nothing to do" in project.run("plan").out
    crontab = tmp_path / "spool" / "root"
    assert "echo 100\\%" in crontab.read_text()
    crontab.write_text(crontab.read_text().replace("30 3", "31 3"))
    assert "schedule.night" in project.run("plan").out
    project.run("apply", "--auto-approve")
    assert "30 3 * * mon-fri cd " in crontab.read_text()
    project.run("destroy", "--auto-approve")
    assert not crontab.exists() and os.listdir(tmp_path / "config" / "systemd" / "user") == []


def test_a_wrong_time_is_an_error_at_its_attribute(project: Project) -> None:
    project.write({"main.cw": 'schedule "a" {\n  command = ["true"]\n  cron = "61 * * * *"\n}\n'})
    said = project.run("validate", "--json", expect=6)
    (finding,) = json.loads(said.out)["diagnostics"]
    assert finding["range"]["start"]["line"] == 3 and "between 0 and 59" in json.dumps(finding)
