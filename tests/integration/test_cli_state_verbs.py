"""``clockwork state …``: what is recorded is listed, shown, pulled and edited, and every edit can be found later."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.testing.inside import Inside
from clockwork_nb.testing.project import Project

SITE = """
variable "token" {
  default   = "canary-hush-token"
  sensitive = true
}
directory "site" { path = "out/site" }
file "page" {
  path    = "${directory.site.path}/page"
  content = "hello"
}
file "conf" {
  path    = "out/conf"
  content = "t=${var.token}"
}
check "page" { file_exists = file.page.path }
output "where" { value = file.conf.path }
"""
ADDRESSES = ["check.page", "directory.site", "file.conf", "file.page"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two files, a folder and a check, applied once."""
    made = Project(tmp_path_factory.mktemp("applied"))
    made.write({"main.cw": SITE})
    made.run("apply", "--auto-approve")
    return made


@pytest.fixture
def applied(template: Project, tmp_path: Path) -> Project:
    """A copy of the template."""
    shutil.copytree(template.root, tmp_path, dirs_exist_ok=True)
    return Inside(tmp_path)


def recorded(project: Project, *patterns: str) -> dict[str, str]:
    """Return address → status."""
    listed = project.run("state", "list", *patterns, "--json").json
    return {entry["address"]: entry["status"] for entry in listed["resources"]}


def state_file(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.folder / ".clockwork/state.json").read_text())
    return found


def test_list_and_show_tell_what_is_recorded_without_secrets(applied: Project) -> None:
    listed = applied.run("state", "list").out
    assert "State     serial 1 · 4 resources" in listed
    assert "file.conf" in listed
    assert list(recorded(applied)) == ADDRESSES
    assert list(recorded(applied, "file.*")) == ["file.conf", "file.page"]
    assert recorded(applied, "service.*") == {}
    assert "Did you mean file.page?" in applied.run("state", "list", "file.pgae", expect=6).err
    shown = applied.run("state", "show", "file.conf")
    assert "content  (sensitive)" in shown.out
    assert "needed by" in applied.run("state", "show", "file.page").out
    document = applied.run("state", "show", "file.conf", "--json").json
    assert set(document["config"]["content"]) == {"$sensitive"}
    for done in (shown, applied.run("state", "pull"), applied.run("state", "list", "--json")):
        assert "canary-hush-token" not in done.out


def test_forgotten_things_stay_in_the_world_and_a_plan_makes_them_anew(applied: Project) -> None:
    done = applied.run("state", "rm", "file.page", "check.*", "--auto-approve", "--reason", "kept by hand now")
    assert "forget   file.page" in done.out
    assert "Done      serial 2" in done.out
    assert (applied.folder / "out/site/page").read_text() == "hello"
    assert list(recorded(applied)) == ["directory.site", "file.conf"]
    backup = json.loads((applied.folder / ".clockwork/state.json.backup").read_text())
    assert [e["address"] for e in backup["resources"]] == ADDRESSES
    (edit,) = applied.run("state", "history", "--json").json["edits"]
    assert (edit["verb"], edit["via"], edit["reason"], edit["outcome"]) == ("rm", "auto", "kept by hand now", "done")
    assert (edit["serial_before"], edit["serial_after"]) == (1, 2)
    assert "kept by hand now" in applied.run("state", "history").out
    plan = applied.run("plan", "--json").json
    assert {c["address"]: c["kind"] for c in plan["changes"]}["file.page"] == "create"


def test_a_renamed_entry_is_not_made_anew_when_its_block_is_renamed_too(applied: Project) -> None:
    applied.run("state", "mv", "file.conf", "file.config", "--auto-approve")
    text = (
        (applied.folder / "main.cw")
        .read_text()
        .replace('file "conf"', 'file "config"')
        .replace("file.conf.", "file.config.")
    )
    applied.write({"main.cw": text})
    assert applied.run("plan", "--detailed-exitcode").status == 0


def test_a_tainted_resource_is_done_again_and_untaint_takes_that_back(applied: Project) -> None:
    applied.run("state", "taint", "file.page", "--auto-approve")
    assert recorded(applied)["file.page"] == "tainted"
    assert "not to be relied on" in applied.run("state", "list").out
    plan = applied.run("plan", "--json").json
    assert {c["address"]: c["kind"] for c in plan["changes"]}["file.page"] in {"update", "replace"}
    applied.run("state", "untaint", "file.page", "--auto-approve")
    assert applied.run("plan", "--detailed-exitcode").status == 0
    assert "is not tainted" in applied.run("state", "untaint", "file.page", expect=6).err


def test_a_saved_plan_is_stale_after_an_edit(applied: Project) -> None:
    applied.run("plan", "--destroy", "--out", "plan.json")
    applied.run("state", "rm", "check.page", "--auto-approve")
    done = applied.run("apply", "plan.json", "--auto-approve", expect=13)
    assert "it had serial 1 and has serial 2 now" in done.err


def test_pull_edit_push_works_once_and_refuses_what_does_not_fit(applied: Project) -> None:
    pulled = json.loads(applied.run("state", "pull").out)
    assert pulled == applied.run("state", "pull", "--json").json
    pulled["resources"] = [e for e in pulled["resources"] if e["address"] != "check.page"]
    applied.write({"s.json": json.dumps(pulled)})
    assert "forget   check.page" in applied.run("state", "push", "s.json", "--auto-approve").out
    assert "check.page" not in recorded(applied)
    assert state_file(applied)["serial"] == 2
    before = (applied.folder / ".clockwork/state.json").read_bytes()
    assert "has moved on" in applied.run("state", "push", "s.json", "--auto-approve", expect=13).err
    applied.write({
        "other.json": json.dumps({**pulled, "serial": 9, "lineage": "other"}),
        "bad.json": json.dumps({**pulled, "more": 1}), "none.json": "{", "newer.json": '{"schema":"clockwork.state.v9"}',
    })  # fmt: skip
    assert "another workspace" in applied.run("state", "push", "other.json", "--auto-approve", expect=8).err
    assert "'more' does not belong" in applied.run("state", "push", "bad.json", "--auto-approve", expect=6).err
    assert "none.json is not JSON" in applied.run("state", "push", "none.json", "--auto-approve", expect=6).err
    assert "newer version" in applied.run("state", "push", "newer.json", "--auto-approve", expect=6).err
    applied.run("state", "push", "missing.json", "--auto-approve", expect=6)
    assert "needs a reason" in applied.run("state", "push", "other.json", "--force", "--auto-approve", expect=6).err
    assert (applied.folder / ".clockwork/state.json").read_bytes() == before
    applied.run("state", "push", "other.json", "--force", "--reason", "moved here", "--auto-approve")
    assert (state_file(applied)["serial"], state_file(applied)["lineage"]) == (10, "other")
    assert applied.run("state", "history", "--json").json["edits"][-1]["forced"] == "another lineage"


def test_an_edit_asks_and_anything_but_yes_leaves_the_state_alone(applied: Project) -> None:
    before = (applied.folder / ".clockwork/state.json").read_bytes()
    assert "nobody to ask" in applied.run("state", "rm", "file.page", expect=8).err
    assert applied.run("state", "rm", "file.page", "--json", expect=8).error["code"] == "E_UNSAFE_OPERATION"
    for answer in ("no\n", "\n", "YES please\n", "y\n"):
        done = applied.converse("state", "rm", "file.page", answers=[("Type yes: ", answer)], expect=8)
        assert "forget   file.page" in done.out
    assert (applied.folder / ".clockwork/state.json").read_bytes() == before
    assert applied.run("state", "history", "--json").json == {"edits": []}
    applied.converse("state", "rm", "file.page", answers=[("Type yes: ", "yes\n")])
    assert "file.page" not in recorded(applied)
    assert applied.run("state", "history", "--json").json["edits"][0]["via"] == "terminal"


def test_a_state_that_moves_on_while_the_question_is_open_is_not_overwritten(applied: Project) -> None:
    here, there = os.openpty()
    asked = subprocess.Popen(
        applied.command("state", "rm", "file.page"), cwd=applied.folder, env=applied.environment(), stdin=there,
        stdout=there, stderr=there, start_new_session=True,
    )  # fmt: skip
    os.close(there)
    shown = b""
    while b"Type yes: " not in shown:
        shown += os.read(here, 4096)
    applied.run("state", "taint", "file.conf", "--auto-approve")  # nothing is locked while a person thinks
    os.write(here, b"yes\n")
    assert asked.wait(60) == 13
    os.close(here)
    assert recorded(applied)["file.page"] == "ok"
    assert state_file(applied)["serial"] == 2


def test_before_the_first_apply_there_is_nothing_to_edit(project: Project) -> None:
    project.write({"main.cw": SITE})
    assert "nothing was applied yet" in project.run("state", "list").out
    assert project.run("state", "list", "--json").json == {"serial": 0, "resources": []}
    for words in (("rm", "file.a"), ("pull",), ("show", "file.a"), ("mv", "file.a", "file.b"), ("taint", "file.a")):
        project.run("state", *words, expect=6)
    assert not (project.folder / ".clockwork").exists()


# --- owners ------------------------------------------------------------------------------------------------------

SLOW = (
    'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'
    'command "wait" {\n  script = "touch out/began; while [ ! -e out/go ]; do sleep 0.05; done"\n'
    '  writes = ["out/began"]\n  depends_on = [file.a]\n}\n'
)


@pytest.fixture
def held(project: Project) -> Iterator[tuple[Project, subprocess.Popen[str]]]:
    """A project whose state an apply holds that has made file.a and waits for ``out/go``."""
    project.write({"main.cw": SLOW})
    process = project.start("apply", "--auto-approve")
    deadline = time.monotonic() + 60
    while not (project.folder / "out/began").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    yield project, process
    (project.folder / "out/go").touch()
    process.communicate(timeout=60)


def test_an_edit_while_a_job_runs_is_refused_naming_it_and_may_wait(
    held: tuple[Project, subprocess.Popen[str]],
) -> None:
    project, process = held
    job = project.jobs()[0]["id"]
    refused = project.run("state", "rm", "file.a", "--auto-approve", "--json", expect=7).error
    assert refused["code"] == "E_STATE_LOCKED"
    owner = refused["details"]["owner"]
    assert (owner["pid"], owner["job"], owner["verb"]) == (process.pid, job, "apply")
    assert f"process {process.pid} (apply, job {job}) holds" in refused["message"]
    assert list(recorded(project)) == ["file.a"]
    waiting = subprocess.Popen(
        project.command("state", "rm", "file.a", "--auto-approve", "--lock-timeout", "50"), cwd=project.folder,
        env=project.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert waiting.stderr is not None
    assert waiting.stderr.readline().startswith(f"waiting for process {process.pid} (apply, job {job})")
    (project.folder / "out/go").touch()
    process.wait(60)
    # Whoever waited finds another state than the one that was shown, and changes nothing.
    assert waiting.wait(60) == 13
    waiting.communicate()
    assert sorted(recorded(project)) == ["command.wait", "file.a"]


def test_an_edit_after_a_kill_holds_and_the_job_that_was_cut_off_cannot_undo_it(
    held: tuple[Project, subprocess.Popen[str]],
) -> None:
    project, process = held
    job = project.jobs()[0]["id"]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = project.run("state", "rm", "file.a", "--auto-approve")
    assert f"The job {job} is not at its end; it cannot go on with its plan after this." in done.out
    assert "ended without giving it back; it is free again" in done.err
    assert recorded(project) == {}
    assert state_file(project)["last"] is None
    (project.folder / "out/go").touch()
    resumed = project.run("job", "resume", job, "--rerun", "command.wait:run_command", expect=None)
    assert resumed.status == 13, resumed.err
    assert recorded(project) == {}
    project.run("job", "cancel", job)
    project.run("apply", "--auto-approve")
    assert recorded(project) == {"command.wait": "ok", "file.a": "ok"}
    # The log of the new job is the one to roll forward from again.
    assert state_file(project)["last"]["job"] == project.jobs()[0]["id"]


def test_an_owner_of_another_boot_or_a_reused_pid_is_not_named(project: Project) -> None:
    from clockwork_nb.errors import StateLockedError
    from clockwork_nb.forge.lock import WorkspaceLock

    path = project.folder / "state.lock"
    with WorkspaceLock(path, verb="state rm"):
        facts = json.loads(path.read_text())
        for wrong in ({"boot": "another"}, {"started": 1}):
            path.write_text(json.dumps({**facts, **wrong}))
            with pytest.raises(StateLockedError, match="another process holds"):
                WorkspaceLock(path).acquire()
        path.write_text(json.dumps(facts))
        with pytest.raises(StateLockedError, match=rf"process {os.getpid()} \(state rm\) holds"):
            WorkspaceLock(path).acquire()


def test_a_shared_file_system_is_refused_unless_the_user_vouches(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clockwork_nb import mounts
    from clockwork_nb.errors import UnsupportedFileSystemError
    from clockwork_nb.forge.lock import WorkspaceLock

    defaults = {**(mounts.require_locks.__kwdefaults__ or {}), "mount": lambda _: mounts.Mount("nfs4", shared=True)}
    monkeypatch.setattr(mounts.require_locks, "__kwdefaults__", defaults)
    monkeypatch.setattr(mounts, "_proven", {})
    path = project.folder / ".clockwork" / "state.lock"
    with pytest.raises(UnsupportedFileSystemError, match=r"the state .*nfs4") as caught:
        WorkspaceLock(path).acquire()
    assert "CW_SINGLE_HOST=1" in caught.value.hint
    assert not path.exists()
    with WorkspaceLock(path, single_host=True) as lock:
        assert lock.held


def test_graph_is_written_to_a_file_in_every_form(applied: Project) -> None:
    for form, begin in (("svg", "<svg "), ("dot", "digraph plan {"), ("json", "{"), ("text", "4 resources")):
        applied.run("graph", "--format", form, "-o", f"graph.{form}")
        assert (applied.folder / f"graph.{form}").read_text().startswith(begin)
    nodes = json.loads((applied.folder / "graph.json").read_text())["nodes"]
    assert sorted(n["address"] for n in nodes) == ADDRESSES
    applied.run("graph", "-o", str(Path("no/such/folder.svg")), expect=6)


def test_an_apply_waits_for_the_state_when_told_to_and_plans_then(held: tuple[Project, subprocess.Popen[str]]) -> None:
    project, process = held
    (project.folder / "main.cw").write_text(SLOW.replace('"x"', '"y"'))
    waiting = subprocess.Popen(
        project.command("apply", "--auto-approve", "--lock-timeout", "50"), cwd=project.folder,
        env=project.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert waiting.stderr is not None
    assert waiting.stderr.readline().startswith(f"waiting for process {process.pid} (apply, job ")
    (project.folder / "out/go").touch()
    process.wait(60)
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert (project.folder / "out/a").read_text() == "y"


def test_waiting_for_the_state_ends_when_the_time_is_over(held: tuple[Project, subprocess.Popen[str]]) -> None:
    project, _ = held
    assert "E_STATE_LOCKED" in project.run("apply", "--auto-approve", "--lock-timeout", "1", expect=7).err
    assert len(project.jobs()) == 1


def test_a_plan_that_was_made_while_another_job_ran_is_stale_after_it(
    held: tuple[Project, subprocess.Popen[str]],
) -> None:
    """The serial is the same before and after that job's end, and its command would run twice."""
    project, process = held
    here, there = os.openpty()
    asked = subprocess.Popen(
        project.command("apply"), cwd=project.folder, env=project.environment(), stdin=there, stdout=there, stderr=there,
        start_new_session=True,
    )  # fmt: skip
    os.close(there)
    shown = b""
    while b"leaves it waiting: " not in shown:
        shown += os.read(here, 4096)
    (project.folder / "out/go").touch()
    process.wait(60)
    (project.folder / "out/began").unlink()
    os.write(here, b"yes\n\n")
    assert asked.wait(60) == 13
    os.close(here)
    assert not (project.folder / "out/began").exists()
