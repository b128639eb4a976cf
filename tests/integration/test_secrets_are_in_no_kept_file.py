"""Sensitive values in every place that takes one: after success, failure, edits and packs they are in no file we keep."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from clockwork_nb.testing.inside import Inside
from clockwork_nb.testing.project import Project

FIRST = "canary/first+secret&value=1"
SECOND = "canary/second+secret&value=2"

WORLD = """
variable "token" {
  type      = string
  sensitive = true
}
locals {
  nested = { deep = [{ key = var.token }] }
}
file "plain" {
  path    = "out/plain"
  content = "token ${var.token}"
}
file "nested" {
  path    = "out/nested"
  content = jsonencode(local.nested)
}
file "encoded" {
  path    = "out/encoded"
  content = base64encode(var.token)
}
file "rendered" {
  path     = "out/rendered"
  template = "page.tpl"
  vars     = { inner = { token = var.token } }
}
command "talks" {
  script     = "cat \\"$CW_TOKEN_FILE\\" 2>/dev/null; printf '%s\\\\n' \\"$TOKEN\\"; printf '%s\\\\n' \\"$NESTED\\" >&2; touch out/talked"
  env        = { TOKEN = var.token, NESTED = jsonencode(local.nested) }
  creates    = "out/talked"
  writes     = ["out"]
  depends_on = [file.plain]
}
service "web" {
  engine  = "process"
  command = ["sh", "-c", "printf '%s\\\\n' \\"$TOKEN\\"; exec sleep 600"]
  env     = { TOKEN = var.token }
}
check "page" { file_exists = file.plain.path }
output "token" {
  value     = local.nested
  sensitive = true
}
"""

FAILING = """
command "dies" {
  script     = "printf 'no: %s\\\\n' \\"$TOKEN\\" >&2; printf '%s' \\"$TOKEN\\" | base64 >&2; exit 3"
  env        = { TOKEN = var.token }
  depends_on = [file.plain]
}
file "blocked" {
  path    = "out/folder"
  content = var.token
}
"""

UNREACHABLE = """
repository "src" {
  url      = "http://127.0.0.1:9/src.git"
  path     = "out/src"
  password = var.token
}
"""


def forms(secret: str) -> list[bytes]:
    """Return the secret as it may turn up: as it is and in the usual encodings."""
    raw = secret.encode()
    return [raw, base64.b64encode(raw), raw.hex().encode(), quote(secret, safe="").encode()]


def kept(project: Project) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file below the project's root that is not a thing the configuration made."""
    for path in sorted(project.root.rglob("*")):
        made = path.is_relative_to(project.folder / "out")
        if not path.is_file() or path.is_symlink() or made:
            continue
        data = path.read_bytes()
        yield str(path.relative_to(project.root)), data
        if path.suffix == ".zip":
            with zipfile.ZipFile(io.BytesIO(data)) as pack:
                for name in pack.namelist():
                    yield f"{path.name}:{name}", pack.read(name)


def masked(project: Project) -> set[str]:
    """Return the names of the logs in which something was masked."""
    logs = project.folder / ".clockwork"
    return {p.name for p in logs.rglob("*") if p.is_file() and b"(sensitive)" in p.read_bytes()}


def assert_nowhere(project: Project, *shown: str) -> None:
    needles = [form for secret in (FIRST, SECOND) for form in forms(secret)]
    leaks = [name for name, data in kept(project) if any(needle in data for needle in needles)]
    assert leaks == []
    assert not any(needle.decode() in text for needle in needles for text in shown)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Inside]:
    made = Inside(tmp_path)
    made.env["CW_VAR_token"] = FIRST
    yield made
    made.run("destroy", "--auto-approve", expect=None)


def test_after_success_edits_rotation_and_removal(project: Inside) -> None:
    project.write({"main.cw": WORLD, "page.tpl": "page ${inner.token}"})
    shown = [project.run("plan", "--out", "plan.json").out, project.run("apply", "--auto-approve").out]
    assert FIRST in (project.folder / "out/plain").read_text()
    assert FIRST in (project.folder / "out/rendered").read_text()
    job = project.jobs()[0]["id"]
    shown += [project.run("job", "show", job).out, project.run("job", "show", job, "--json").out]
    project.run("jobpack", "export", job)
    assert_nowhere(project, *shown)
    assert masked(project) >= {"command.talks-run_command.out", "command.talks-run_command.err", "out.log"}

    shown = [project.run("state", verb, *words).out for verb, *words in (("pull",), ("list",), ("show", "file.nested"))]
    project.run("state", "mv", "file.nested", "file.other", "--auto-approve")
    project.run("state", "taint", "command.talks", "--auto-approve")
    project.write({"pulled.json": project.run("state", "pull").out.replace('"tainted"', '"ok"')})
    project.run("state", "push", "pulled.json", "--auto-approve")
    project.run("state", "mv", "file.other", "file.nested", "--auto-approve")
    shown += [project.run(*words).out for words in (("state", "history"), ("plan",), ("graph", "--format", "json"))]
    assert_nowhere(project, *shown)

    project.env["CW_VAR_token"] = SECOND
    (project.folder / "out/plain").write_text("changed outside")
    shown = [project.run(*words).out for words in (("plan",), ("plan", "--json"), ("apply", "--auto-approve"))]
    assert SECOND in (project.folder / "out/plain").read_text()
    project.run("jobpack", "export", project.jobs()[0]["id"])
    shown.append(project.run("destroy", "--auto-approve").out)
    assert_nowhere(project, *shown)


def test_after_steps_that_fail_while_they_talk(project: Inside) -> None:
    (project.folder / "out/folder").mkdir(parents=True)
    project.write({"main.cw": WORLD + FAILING, "page.tpl": "page ${inner.token}"})
    done = project.run("apply", "--auto-approve", expect=None)
    assert done.status != 0
    statuses = {e["status"] for e in project.run("state", "list", "--json").json["resources"]}
    assert "failed" in statuses
    job = project.jobs()[0]["id"]
    resumed = project.run("job", "resume", job, expect=None)
    project.run("jobpack", "export", job)
    shown = [done.out, done.err, resumed.out, resumed.err, project.run("job", "show", job, "--json").out]
    again = project.run("plan", "--json")
    assert_nowhere(project, *shown, again.out, again.err)
    assert "command.dies-run_command.err" in masked(project)
    assert "(sensitive)" in done.out


def test_after_a_server_that_cannot_be_reached(project: Inside) -> None:
    project.write({"main.cw": WORLD.partition("locals")[0] + UNREACHABLE})
    shown = [project.run("plan", "--json", expect=None)]
    shown.append(project.run("apply", "--auto-approve", expect=None))
    assert shown[-1].status != 0
    assert_nowhere(project, *(text for done in shown for text in (done.out, done.err)))
