"""What ``job status`` and ``job list`` say at each point of a job's life, and which pack ``jobpack verify JOB`` accepts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

SITE = 'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'
TWO = SITE + 'command "bad" {\n  script     = "test -e out/key"\n  depends_on = [file.a]\n}\n'

STATUS_KEYS = {
    "id", "name", "adapter", "status", "reason", "created_at", "updated_at", "age", "tainted", "running", "cells",
    "steps", "waiting", "counters", "limits", "budgets", "lease", "events", "snapshot", "sections", "message", "next", "doing",
}  # fmt: skip


def status(project: Project, job: str) -> dict[str, object]:
    document: dict[str, object] = project.run("job", "status", job, "--json").json
    assert set(document) == STATUS_KEYS
    return document


def test_status_of_a_waiting_a_blocked_and_a_finished_job(project: Project) -> None:
    project.write({"main.cw": TWO})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    waiting = status(project, job)
    assert (waiting["status"], waiting["steps"], waiting["lease"]) == ("blocked_decision", [0, 2], "free")
    text = project.run("job", "status", job).out
    assert text.startswith(f"{job}  blocked_decision (approval) · apply project · 0 of 2 steps\n  waiting since ")
    assert "Next   clockwork approve" in text
    assert "clockwork reject" in text

    project.approve(job)
    project.run("job", "resume", job, expect=1)
    blocked = status(project, job)
    assert (blocked["status"], blocked["reason"], blocked["steps"]) == ("blocked_error", "E_ADAPTER_FAIL", [1, 2])
    assert "command.bad:run_command failed" in str(blocked["message"])
    assert blocked["next"] == [f"clockwork job resume {job}"]
    assert blocked["sections"] == [
        {"number": 1, "verb": "apply", "cell": "", "outcome": "open", "changes": 2, "done": 1, "failed": 1}
    ]

    (project.folder / "out/key").touch()
    project.run("job", "resume", job)
    done = status(project, job)
    assert (done["status"], done["steps"], done["waiting"], done["message"]) == ("completed", [2, 2], [], "")
    assert done["next"] == [f"clockwork jobpack export {job}"]
    assert "2 of 2 steps" in project.run("job", "list").out


def test_job_whose_process_was_killed_says_so_and_how_to_go_on(project: Project) -> None:
    project.write({"main.cw": 'command "slow" {\n  script = "touch out/on; sleep 30"\n  writes = ["out/on"]\n}\n'})
    (project.folder / "out").mkdir()
    process = project.start("apply", "--auto-approve")
    while not (project.folder / "out/on").exists():
        assert process.poll() is None
    process.kill()
    process.communicate()
    job = project.jobs()[0]
    assert (job["status"], job["reason"], job["running"]) == ("running", "its process is gone", False)
    again = f"clockwork job resume {job['id']} --rerun command.slow:run_command"
    assert status(project, job["id"])["next"] == [again]
    assert "its process is gone" in project.run("job", "list").out


def test_damaged_job_is_in_the_list_and_hides_no_other(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    good = project.jobs()[0]["id"]
    project.run("destroy", "--auto-approve")
    bad = project.jobs()[0]["id"]
    (project.store / "jobs" / bad / "events.jsonl").write_text("{\n")
    listed = {job["id"]: job["status"] for job in project.jobs()}
    assert listed == {good: "completed", bad: "damaged"}
    project.run("job", "status", bad, expect=10)


@pytest.fixture
def exported(project: Project) -> tuple[Project, str, Path]:
    """A project with one finished job and its exported pack."""
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    job = project.jobs()[0]["id"]
    return project, job, Path(project.run("jobpack", "export", job, "--json").json["path"])


def test_pack_of_a_job_is_the_one_exported_last(exported: tuple[Project, str, Path]) -> None:
    project, job, pack = exported
    assert project.run("jobpack", "verify", job).out.startswith("VERIFIED")
    # Another run of the same thing, packed by the same key, under this job's name: intact, signed, and not it.
    memory = project.store / "jobs" / job / "exports.jsonl"
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps({**known, "manifest": "0" * 64}) + "\n")
    done = project.run("jobpack", "verify", job, expect=2)
    assert done.out.startswith("NOT VERIFIED")
    assert "0000" in done.out
    assert project.run("jobpack", "verify", str(pack)).status == 0  # the file by itself is what it says
    memory.write_text("{")
    assert "is damaged" in project.run("jobpack", "verify", job, expect=10).err
    memory.unlink()
    project.run("jobpack", "verify", job)


def test_signed_and_unsigned_export_of_the_same_log_both_count(exported: tuple[Project, str, Path]) -> None:
    project, job, _pack = exported
    project.run("jobpack", "export", job, "--unsigned")
    assert "INTACT" in project.run("jobpack", "verify", job, "--require", "integrity").out
    project.run("jobpack", "export", job)
    assert project.run("jobpack", "verify", job).out.startswith("VERIFIED")


def test_pack_of_a_longer_log_wins_while_the_job_is_not_finished(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    first = project.run("jobpack", "export", job, "--json").json
    assert not first["final"]
    older = Path(first["path"])
    shutil.copyfile(older, older.with_name(f"jobpack_{job}.at9.zip"))  # sorts after .at12 as text
    project.approve(job)
    second = project.run("jobpack", "export", job, "--json").json
    report = project.run("jobpack", "verify", job, "--json").json
    assert report["file_name"] == Path(second["path"]).name


@pytest.mark.parametrize(
    ("key", "status"), [("/dev/zero", 6), ("missing.pub", 6), (".", 6), ("main.cw", 6)], ids=["device", "missing", "folder", "other"]
)  # fmt: skip
def test_key_that_is_none_is_a_usage_error(exported: tuple[Project, str, Path], key: str, status: int) -> None:
    project, job, _pack = exported
    done = project.run("jobpack", "verify", job, "--key", key, expect=status)
    assert "E_INVALID_INPUT_SCHEMA" in done.err


def test_pack_behind_a_link_is_verified(exported: tuple[Project, str, Path], tmp_path: Path) -> None:
    project, _job, pack = exported
    link = tmp_path / pack.name
    link.symlink_to(pack)
    project.run("jobpack", "verify", str(link))


def test_show_says_what_each_resource_is(project: Project) -> None:
    project.write(
        {
            "main.cw": SITE
            + 'command "b" {\n  script  = "touch out/b"\n  creates = "out/b"\n  depends_on = [file.a]\n}\n'
        }
    )
    project.run("apply", "--auto-approve")
    assert project.run("show").out.splitlines()[2:] == ["  command.b   out/b", "  file.a      out/a"]


def test_a_job_is_named_by_its_last_characters_or_as_the_last_one(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    first = project.jobs()[0]["id"]
    project.run("destroy", "--auto-approve")
    second = project.jobs()[0]["id"]
    assert project.run("job", "status", first[-6:], "--json").json["id"] == first
    assert project.run("job", "status", "last", "--json").json["id"] == second
    assert "2 jobs fit 'job_'" in project.run("job", "status", "job_", expect=6).err
    assert "there is no job 'nonsense'" in project.run("job", "status", "nonsense", expect=6).err


def test_the_pack_verbs_know_a_job_by_every_name_that_the_job_verbs_know(
    exported: tuple[Project, str, Path], tmp_path: Path
) -> None:
    project, job, pack = exported
    for name in ("last", job[-8:]):
        assert project.run("jobpack", "verify", name, "--json").json["file_name"] == pack.name
        assert project.run("jobpack", "inspect", name, "--json").json["job"]["id"] == job
        assert f"job_id={job}" in project.run("jobpack", "receipt", name).out
        assert project.run("jobpack", "diff", name, job, "--json").json["relation"] == "same"
        assert "VERIFIED" in project.run("jobpack", "unpack", name, str(tmp_path / name)).out
    project.run("destroy", "--auto-approve")
    newest = project.jobs()[0]["id"]
    assert f"no pack of job {newest}" in project.run("jobpack", "verify", "last", expect=6).err


def test_a_pack_that_is_here_under_that_very_name_comes_before_a_job_that_is_called_alike(
    exported: tuple[Project, str, Path],
) -> None:
    project, job, pack = exported
    other = pack.with_name(f"jobpack_{job[-8:]}.zip")
    shutil.copyfile(pack, other)
    report = project.run("jobpack", "verify", job[-8:], "--json", expect=2).json
    assert report["file_name"] == other.name


def test_a_verb_that_is_planned_says_so_and_what_there_is_instead(project: Project) -> None:
    assert "fmt is not built yet" in project.run("fmt", expect=6).err
    assert "did you mean 'apply'" in project.run("aply", expect=6).err


def test_after_a_repair_the_job_is_judged_by_its_new_pack(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    job = project.jobs()[0]["id"]
    project.run("jobpack", "export", job)
    log = project.store / "jobs" / job / "events.jsonl"
    data = bytearray(log.read_bytes())
    data[data.rindex(b'"type":"step.completed"') + 10] ^= 1
    log.write_bytes(data)
    project.run("store", "repair", job, "--to-last-valid", "--reason", "a byte was flipped", "--yes")
    project.run("jobpack", "export", job)
    report = project.run("jobpack", "verify", job, "--json", expect=None).json
    assert report["tainted"]
    assert "tainted" in project.run("jobpack", "verify", job, expect=None).out


def test_a_pack_that_another_form_replaces_is_kept_and_named(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    job = project.jobs()[0]["id"]
    first = project.run("jobpack", "export", job, "--json").json
    told = project.run("jobpack", "export", job, "--unsigned")
    kept = f"jobpack_{job}.{first['manifest_sha256'][:12]}.zip"
    assert f"is kept as {kept}" in told.err
    project.run("jobpack", "verify", f"clockwork-out/jobpacks/{kept}")
