"""Every mistake of an author or operator gets a code, a place and what to do next, and nothing is half done."""

from __future__ import annotations

import json
import shutil
import socket
import zipfile
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

SITE = """
directory "site" {
  path = "out/site"
}
file "index" {
  path    = "${directory.site.path}/index.html"
  content = "hello"
}
"""

MISTAKES = [
    (
        "a typo in an attribute",
        'service "web" {\n  imgae   = "nginx"\n  command = ["true"]\n}\n',
        "cw-unknown-attribute",
        "main.cw, line 2, column 3",
        'did you mean "image"?',
    ),
    (
        "a missing reference",
        'variable "port" {\n  default = 1\n}\nfile "a" {\n  path    = "out/a"\n  content = "${var.prot}"\n}\n',
        "cw-unknown-reference",
        "main.cw, line 6, column 16",
        'did you mean "var.port"',
    ),
    (
        "a cycle",
        'file "a" {\n  path    = "out/a"\n  content = file.b.content\n}\nfile "b" {\n  path    = "out/b"\n  content = file.a.content\n}\n',
        "cw-cycle",
        "file.a",
        "Break one",
    ),
    (
        "a wrong type",
        'file "a" {\n  path    = "out/a"\n  content = ["x"]\n}\n',
        "cw-wrong-type",
        "main.cw, line 3, column 13",
        "",
    ),
    ("a syntax error", 'file "a" {\n  path = \n}\n', "cw-", "main.cw, line 2", ""),
    ("a missing attribute", 'file "a" {\n  content = "x"\n}\n', "cw-missing-attribute", "main.cw, line 1", "path"),
    (
        "a block that is not built yet",
        'module "x" {\n  source = "./x"\n}\n',
        "cw-not-built",
        "main.cw, line 1",
        "module",
    ),
    (
        "an unknown resource type",
        'resource "fiel" "a" {\n  path = "out/a"\n}\n',
        "cw-unknown",
        "main.cw, line 1",
        '"file"',
    ),
]


@pytest.mark.parametrize(("what", "text", "code", "place", "advice"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_mistake_in_a_configuration(project: Project, what: str, text: str, code: str, place: str, advice: str) -> None:
    project.write({"main.cw": text})
    done = project.run("plan", expect=6)
    assert code in done.err
    assert place in done.err
    assert advice in done.err
    assert "Traceback" not in done.err
    assert "^" in done.err or code == "cw-cycle"
    assert done.out == ""
    envelope = project.run("plan", "--json", expect=6).error
    assert envelope["exit_code"] == 6
    assert envelope["details"]["diagnostics"][0]["code"].startswith(code)


def test_all_mistakes_are_told_at_once_in_order(project: Project) -> None:
    project.write({"main.cw": 'file "a" {\n  pth = "x"\n}\nfile "b" {\n  path = var.nope\n}\n'})
    found = project.run("validate", "--json", expect=6).json["diagnostics"]
    lines = [d["range"]["start"]["line"] for d in found]
    assert len(found) == 2  # the missing path is the misspelt one
    assert lines == sorted(lines)


def test_undeclared_variable_is_refused(project: Project) -> None:
    project.write({"main.cw": 'variable "port" {\n  default = 1\n}\n' + SITE})
    done = project.run("plan", "--var", "prot=2", expect=6)
    assert "prot" in done.err
    assert 'did you mean "port"' in done.err


def test_duplicate_block_in_two_files_names_both_places(project: Project) -> None:
    project.write({"a.cw": SITE, "b.cw": SITE})
    done = project.run("plan", expect=6)
    assert "a.cw" in done.err
    assert "b.cw" in done.err


def test_port_in_use_names_the_holder(project: Project) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        project.write(
            {
                "main.cw": f'service "web" {{\n  command = ["python3", "-m", "http.server", "{port}"]\n  port = {port}\n}}\n'
            }
        )
        done = project.run("apply", "--auto-approve", expect=1)
    assert f"ort {port} is held by pid" in done.out
    assert project.state()["resources"] == [] or project.state()["resources"][0]["status"] != "ok"


def test_failing_step_skips_dependents_blocks_the_job_and_shows_the_log(project: Project) -> None:
    project.write(
        {
            "main.cw": 'command "bad" {\n  script = "echo broken thing >&2; exit 3"\n}\n'
            'command "after" {\n  script     = "true"\n  depends_on = [command.bad]\n}\n'
            'file "other" {\n  path    = "out/other"\n  content = "x"\n}\n'
        }
    )
    done = project.run("apply", "--auto-approve", expect=1)
    assert "exit 3" in done.out
    assert "broken thing" in done.out
    assert "needs command.bad" in done.out
    assert "1 failed, 1 skipped, 1 done" in done.out
    log = next(word for word in done.out.split() if word.endswith("command.bad-run_command.err"))
    assert "broken thing" in (project.folder / log).read_text()
    job = project.jobs()[0]
    assert job["status"] == "blocked_error"
    assert (project.folder / "out/other").read_text() == "x"


def test_resume_after_a_fix_runs_only_what_is_left(project: Project) -> None:
    project.write(
        {
            "main.cw": 'command "once" {\n  script = "echo x >> out/log"\n  writes = ["out/log"]\n}\n'
            'command "needs_key" {\n  script     = "test -e out/key"\n  depends_on = [command.once]\n}\n'
        }
    )
    (project.folder / "out").mkdir()
    project.run("apply", "--auto-approve", expect=1)
    (project.folder / "out/key").touch()
    job = project.jobs()[0]["id"]
    project.run("job", "resume", job)
    assert (project.folder / "out/log").read_text() == "x\n"
    assert project.jobs()[0]["status"] == "completed"


def test_step_that_takes_too_long_is_killed_with_its_tree(project: Project) -> None:
    project.write({"main.cw": 'command "slow" {\n  script  = "setsid sleep 4711 & sleep 4711"\n  timeout = 1\n}\n'})
    done = project.run("apply", "--auto-approve", expect=12)
    assert "stopped after 1 s" in done.out
    assert project.jobs()[0]["reason"] == "E_TIMEOUT"
    assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x004711" in _read(p)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_damaged_event_log_fails_closed(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    log = project.store / "jobs" / job / "events.jsonl"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    done = project.run("job", "resume", job, expect=10)
    assert "E_STORE_CORRUPT" in done.err
    assert log.read_bytes() == data
    assert not (project.folder / "out").exists()


def test_tampered_pack_is_not_verified(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    job = project.jobs()[0]["id"]
    pack = Path(project.run("jobpack", "export", job, "--json").json["path"])
    assert "VERIFIED" in project.run("jobpack", "verify", str(pack)).out
    data = bytearray(pack.read_bytes())
    with zipfile.ZipFile(pack) as archive:
        at = archive.getinfo("clockwork/events.jsonl").header_offset + 120
    data[at] ^= 1
    bad = project.root / "bad.zip"
    bad.write_bytes(data)
    done = project.run("jobpack", "verify", str(bad), expect=2)
    assert done.out.startswith("NOT VERIFIED")
    assert "E_" in done.out


def test_pack_by_an_unknown_signer_is_not_verified_until_trusted(project: Project, tmp_path: Path) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", "--auto-approve")
    pack = Path(project.run("jobpack", "export", project.jobs()[0]["id"], "--json").json["path"])
    other = Project(tmp_path / "other")
    copied = other.folder / pack.name
    shutil.copyfile(pack, copied)
    done = other.run("jobpack", "verify", str(copied), expect=2)
    assert "UNKNOWN SIGNER" in done.out
    fingerprint = next(w.strip(",") for w in done.out.split() if w.startswith("SHA256:"))
    wrong = "SHA256:" + "A" * 43
    other.run("keys", "trust", "--from", str(copied), "--fingerprint", wrong, expect=2)
    other.run("keys", "trust", "--from", str(copied), "--fingerprint", fingerprint, "--name", "colleague")
    assert "VERIFIED" in other.run("jobpack", "verify", str(copied)).out


def test_script_edited_between_approval_and_step_does_not_run(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", expect=4)
    job = project.jobs()[0]
    status = project.run("job", "status", job["id"], "--json").json
    project.run("approve", job["id"], "--plan", status["waiting"][0]["plan"][:8], "--reason", "looks right")
    script = next((project.folder / ".clockwork/build/scripts").rglob("write_file.sh"))
    script.write_text(script.read_text() + "\ntouch out/evil\n")
    done = project.run("job", "resume", job["id"], expect=None)
    assert done.status in {4, 13}
    assert "scripts changed" in done.err or "E_ARTIFACT_CHANGED" in done.err
    assert not (project.folder / "out").exists()


def test_edited_script_needs_its_own_approval(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("build")
    script = next((project.folder / ".clockwork/build/scripts").rglob("write_file.sh"))
    script.write_text(script.read_text() + "\n# a remark\n")
    document = project.run("build", "--json").json
    edited = next(s for s in document["scripts"] if s["path"].endswith("write_file.sh"))
    assert "edited" in edited["note"]
    project.run("apply", "--auto-approve")
    assert script.read_text().endswith("# a remark\n")


def test_saved_plan_is_refused_when_something_moved(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("plan", "--out", "plan.json")
    project.write({"main.cw": SITE.replace("hello", "hello again")})
    done = project.run("apply", "plan.json", "--auto-approve", expect=13)
    assert "E_PLAN_STALE" in done.err
    assert not (project.folder / "out").exists()
    project.write({"main.cw": SITE})
    project.run("apply", "plan.json", "--auto-approve")
    project.run("apply", "plan.json", "--auto-approve", expect=13)


def test_a_tampered_saved_plan_is_refused(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("plan", "--out", "plan.json")
    path = project.folder / "plan.json"
    path.write_text(path.read_text().replace("hello", "pwned"))
    project.run("apply", "plan.json", "--auto-approve", expect=None)
    assert not (project.folder / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["job", "status", "job_nope"],
        ["approve", "job_nope", "--plan", "12345678", "--reason", "x"],
        ["jobpack", "verify", "nothing.zip"],
        ["frobnicate"],
        ["plan", "--nope"],
        ["plan", "-C", "nowhere"],
        ["apply", "missing.json"],
        ["output", "nope"],
        ["runbook", "run", "missing.ipynb"],
    ],
    ids=" ".join,
)
def test_unknown_names_are_usage_errors(project: Project, words: list[str]) -> None:
    project.write({"main.cw": SITE})
    done = project.run(*words, expect=6)
    assert "E_INVALID_INPUT_SCHEMA" in done.err
    assert "Traceback" not in done.err


def test_wrong_plan_digest_approves_nothing(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    project.run("approve", job, "--plan", "00000000", "--reason", "x", expect=6)
    project.run("approve", job, "--plan", "0", "--reason", "x", expect=6)
    project.run("job", "resume", job, expect=4)


def test_rejected_job_does_not_run_and_cannot_be_resumed(project: Project) -> None:
    project.write({"main.cw": SITE})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    project.run("reject", job, "--reason", "not today")
    assert project.jobs()[0]["status"] == "canceled"
    project.run("job", "resume", job, expect=1)
    assert not (project.folder / "out").exists()


def test_secrets_are_in_no_file_we_write(project: Project) -> None:
    canary = "canary-7f3a-sesame"
    project.env["CW_VAR_token"] = canary
    project.write(
        {
            "main.cw": 'variable "token" {\n  type      = string\n  sensitive = true\n}\n'
            'file "conf" {\n  path    = "out/conf"\n  content = "token=${var.token}"\n}\n'
            'command "use" {\n  script = "echo $TOKEN"\n  env    = { TOKEN = var.token }\n}\n'
            'output "t" {\n  value     = var.token\n  sensitive = true\n}\n'
        }
    )
    done = project.run("apply", "--auto-approve")
    assert (project.folder / "out/conf").read_text() == f"token={canary}"
    job = project.jobs()[0]["id"]
    project.run("jobpack", "export", job)
    assert canary not in done.out + done.err
    leaked = [
        str(p)
        for p in project.root.rglob("*")
        if p.is_file() and p != project.folder / "out/conf" and canary.encode() in p.read_bytes()
    ]
    assert leaked == []
    assert project.run("plan", "--detailed-exitcode").status == 0


def test_json_output_is_one_document(project: Project) -> None:
    project.write({"main.cw": SITE})
    for words in (["plan"], ["build"], ["apply", "--auto-approve"], ["show"], ["output"], ["job", "list"], ["doctor"]):
        json.loads(project.run(*words, "--json").out)
