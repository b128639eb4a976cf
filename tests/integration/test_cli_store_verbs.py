"""``store check|repair|prune`` as people and scripts use them."""

from __future__ import annotations

import json
from pathlib import Path

from clockwork_nb.testing.project import Project

SITE = 'file "a" {\n  path    = "out/a"\n  content = "x"\n}\n'


def damaged(project: Project) -> tuple[str, Path]:
    """Apply, then damage the log behind the step's completion; return the job and its log."""
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    job = project.jobs()[0]["id"]
    log = project.store / "jobs" / job / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"type":"step.completed"' in line) + 1
    lines[at] = lines[at].replace(b'"epoch":1', b'"epoch":2')
    log.write_bytes(b"".join(lines))
    return job, log


def test_a_damaged_job_is_found_repaired_and_goes_on(project: Project) -> None:
    job, log = damaged(project)
    before = log.read_bytes()
    report = project.run("store", "check", "--json", expect=10).json
    assert report["ok"] is False
    (finding, *_) = report["jobs"][0]["findings"]
    assert (finding["reason"], finding["severity"]) == ("midfile", "error")
    assert f"byte {finding['offset']} record {finding['seq']}" in project.run("store", "check", job, expect=10).out
    for words in (["job", "status", job], ["job", "resume", job], ["jobpack", "export", job]):
        assert "E_STORE_CORRUPT" in project.run(*words, expect=10).err

    why = ["--reason", "bad sector"]
    assert "--to-last-valid" in project.run("store", "repair", job, *why, expect=6).err
    asked = project.run("store", "repair", job, "--to-last-valid", *why, expect=8)
    assert "nobody to ask" in asked.err and "job.finished" in asked.out
    refused = project.run("store", "repair", job, "--truncate-at", "7", *why, "--yes", expect=6)
    assert "--truncate-at 0" in refused.err
    assert log.read_bytes() == before
    said_no = project.converse(
        "store", "repair", job, "--to-last-valid", *why, answers=[("Type yes:", "no\n")], expect=8
    )
    assert "is as it was" in said_no.out
    assert log.read_bytes() == before

    done = project.converse("store", "repair", job, "--to-last-valid", *why, answers=[("Type yes:", "yes\n")])
    assert "is repaired" in done.out
    (copy,) = log.parent.glob("events.jsonl.broken-*")
    assert copy.read_bytes() == before
    assert "tainted" in project.run("job", "status", job).out
    project.run("store", "check")
    project.run("job", "resume", job)
    assert project.jobs()[0]["status"] == "completed"
    project.run("jobpack", "export", job)
    verified = project.run("jobpack", "verify", job)
    assert "repaired by hand" in verified.out and "bad sector" in verified.out
    assert [e["payload"]["step_id"] for e in project.events(job) if e["type"] == "step.started"] == [
        "file.a:write_file"
    ]


def test_a_lost_lease_is_repaired_by_a_script(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    (project.store / "jobs" / job / "lease.json").unlink()
    assert project.run("store", "check", "--json", expect=10).json["jobs"][0]["findings"][0]["reason"] == "missing"
    done = project.run("store", "repair", job, "--reason", "lost", "--yes", "--json").json
    assert (done["kind"], done["tainted"], done["saved"]) == ("lease", True, "")
    project.approve(job)
    project.run("job", "resume", job)
    assert project.run("store", "check", "--json").json["jobs"][0]["tainted"] is True


def test_a_job_of_a_real_run_passes_the_check(project: Project) -> None:
    project.write({"main.cw": SITE + 'command "c" {\n  script = "echo hello"\n}\n'})
    project.run("apply", "--auto-approve")
    project.run("destroy", "--auto-approve")
    report = project.run("store", "check", "--json").json
    assert report["ok"] and report["store"] == []
    assert [job["findings"] for job in report["jobs"]] == [[], []]
    assert all(job["blobs"] >= 3 for job in report["jobs"])
    assert "no job" in project.run("store", "check", "job_nowhere", expect=6).err


def test_prune_asks_keeps_what_is_not_exported_and_reports(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    job = project.jobs()[0]["id"]
    assert "--job-max-age" in project.run("store", "prune", expect=6).err
    assert "length of time" in project.run("store", "prune", "--job-max-age", "soon", expect=6).err
    kept = project.run("store", "prune", "--job-max-age", "0m", "--json", "--yes").json
    assert kept["removed"] == [] and kept["kept"][0]["kept"] == "its final evidence was never exported"
    project.run("jobpack", "export", job)
    assert "nobody to ask" in project.run("store", "prune", "--job-max-age", "0m", expect=8).err
    dry = project.run("store", "prune", "--job-max-age", "0m", "--max-jobpacks", "0", "--dry-run", "--json").json
    assert [(entry["kind"], entry["path"].rpartition("/")[2]) for entry in dry["removed"]] == [
        ("job", job),
        ("jobpack", f"jobpack_{job}.zip"),
    ]
    assert project.jobs()
    done = project.converse("store", "prune", "--job-max-age", "0m", answers=[("Type yes:", "yes\n")])
    assert job in done.out
    assert project.jobs() == []
    assert json.loads((project.store / "pruned.jsonl").read_text())["job_id"] == job
    project.run("jobpack", "verify", f"clockwork-out/jobpacks/jobpack_{job}.zip")
    project.run("store", "check")
