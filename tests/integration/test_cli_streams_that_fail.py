"""Streams that are closed, full or of another encoding: the work is carried out, and what is lost is told."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Finished, Project

SITE = 'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'


def shell(project: Project, redirection: str, *words: str) -> Finished:
    """Run the command through ``sh`` with *redirection*, and return its own status."""
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *project.command(*words)], cwd=project.folder,
        env=project.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_stop_an_apply(project: Project, redirection: str) -> None:
    project.write({"main.cw": SITE})
    done = shell(project, redirection, "apply", "--auto-approve")
    assert done.status == 0, done.err
    assert (project.folder / "out/a").read_text() == "x"
    assert "Traceback" not in done.err
    assert [e["type"] for e in project.events()][-1] == "lease.released"


def test_reader_that_goes_away_does_not_stop_an_apply(project: Project) -> None:
    project.write({"main.cw": SITE})
    process = subprocess.Popen(
        project.command("apply", "--auto-approve"), cwd=project.folder, env=project.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert err == b""
    assert project.jobs()[0]["status"] == "completed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_full_disk_behind_stdout_is_told_and_does_not_stop_an_apply(project: Project, flags: list[str]) -> None:
    project.write({"main.cw": SITE})
    done = shell(project, ">/dev/full", "apply", "--auto-approve", *flags)
    assert done.status == 1
    assert "No space left on device" in done.err
    assert project.jobs()[0]["status"] == "completed"


def test_terminal_that_cannot_show_a_character_gets_an_escape(project: Project) -> None:
    project.write({"main.cw": SITE.replace('"x"', '"gr\u00fc\u00df"')})
    project.run("apply", "--auto-approve")
    project.env |= {"PYTHONIOENCODING": "ascii"}
    assert b"\\xb7" in raw(project, "job", "status", project.jobs()[0]["id"])
    shown = raw(project, "show", "--json")
    assert json.loads(shown)["resources"][0]["config"]["content"] == "gr\u00fc\u00df"
    assert shown.isascii()


def raw(project: Project, *words: str) -> bytes:
    return subprocess.run(
        project.command(*words), cwd=project.folder, env=project.environment(), stdin=subprocess.DEVNULL,
        capture_output=True, timeout=60, check=True,
    ).stdout  # fmt: skip


def test_name_that_is_not_unicode_is_shown_and_not_a_crash(project: Project) -> None:
    words: list[str | bytes] = [*project.command("plan", "-C"), b"\xff\xfe"]
    done = subprocess.run(words, cwd=project.folder, env=project.environment(), capture_output=True, check=False)
    assert done.returncode == 6
    assert b"is not a folder" in done.stderr


def test_folder_that_was_removed_under_the_shell_is_told(project: Project) -> None:
    gone = project.root / "gone"
    gone.mkdir()
    command = subprocess.list2cmdline(project.command("plan"))
    done = subprocess.run(
        ["sh", "-c", f"cd {gone} && rmdir {gone} && exec {command}"], env=project.environment() | {"PYTHONPATH": os.getcwd()},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert "the current folder is not there any more" in done.stderr
