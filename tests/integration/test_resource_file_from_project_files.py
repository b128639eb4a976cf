"""Sources and templates through the command: their bytes are in the plan, and what was approved is what is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clockwork_nb.session.session import Session
from clockwork_nb.settings import load_settings
from clockwork_nb.testing.project import Project

PIXEL = bytes(range(256)) * 40


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write({"main.cw": 'file "logo" {\n  path   = "out/logo"\n  source = "assets/logo"\n}\n'})
    (made.folder / "assets").mkdir()
    (made.folder / "assets/logo").write_bytes(PIXEL)
    return made


def test_any_bytes_are_copied_and_a_changed_source_is_a_change_of_content(project: Project) -> None:
    project.run("apply", "--auto-approve")
    written = project.folder / "out/logo"
    assert written.read_bytes() == PIXEL
    project.run("plan", "--detailed-exitcode")
    (project.folder / "assets/logo").write_bytes(PIXEL[::-1])
    plan = project.run("plan", "--json", "--detailed-exitcode", expect=2).json
    (change,) = plan["changes"]
    assert change["kind"] == "update" and [a["path"] for a in change["attributes"]] == ["content_base64"]
    project.run("apply", "--auto-approve")
    assert written.read_bytes() == PIXEL[::-1]
    (project.folder / "assets/logo").write_text("text now\n")
    project.run("apply", "--auto-approve")
    assert written.read_text() == "text now\n" and list((project.folder / "out").iterdir()) == [written]
    project.run("destroy", "--auto-approve")
    assert not written.exists()


def test_what_was_there_is_kept_from_inside_the_walls_of_a_step_too(project: Project) -> None:
    out = project.folder / "out"
    out.mkdir()
    (out / "logo").write_text("theirs")
    plan = project.run("plan", "--json").json
    assert plan["changes"][0]["risk"] == ["overwrite"]
    assert "kept what was there as out/logo.cw-backup-" in project.run("apply", "--auto-approve").out
    (out / "logo").write_text("edited")
    project.run("apply", "--auto-approve")
    (out / "logo").write_text("edited again")
    project.run("destroy", "--auto-approve")
    assert {p.read_text() for p in out.iterdir()} == {"theirs", "edited", "edited again"}


def test_a_saved_plan_does_not_write_what_was_not_in_it(project: Project) -> None:
    project.run("plan", "--out", "plan.json")
    (project.folder / "assets/logo").write_bytes(b"something nobody saw")
    refused = project.run("apply", "plan.json", "--auto-approve", "--json", expect=None)
    written = project.folder / "out/logo"
    if refused.status == 0:
        assert written.read_bytes() == PIXEL
    else:
        assert refused.error["code"] == "E_PLAN_STALE" and not written.exists()


def test_a_source_that_changed_name_but_not_bytes_writes_nothing(project: Project) -> None:
    project.run("apply", "--auto-approve")
    before = (project.folder / "out/logo").stat()
    os.rename(project.folder / "assets/logo", project.folder / "assets/mark")
    project.write({"main.cw": 'file "logo" {\n  path   = "out/logo"\n  source = "assets/mark"\n}\n'})
    project.run("apply", "--auto-approve")
    assert (project.folder / "out/logo").stat().st_ino == before.st_ino
    project.run("plan", "--detailed-exitcode")


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ('source = "assets/missing"', 'source: there is no file "assets/missing"'),
        ('source = "../outside"', "leave the project folder"),
        ('source = "assets"', "assets"),
        ('source = "link"', "outside the project"),
        ('template = "assets/missing"', "missing"),
        ('template = "assets/page"\n  vars = { nam = "x" }', "name"),
        ('source = "assets/logo"\n  vars = { a = 1 }', '"vars" goes with "template"'),
        ('source = "assets/logo"\n  content = "x"', "give exactly one of"),
        ('source = "out/f"', "cannot be its own source"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_place(
    project: Project, monkeypatch: pytest.MonkeyPatch, attribute: str, words: str
) -> None:
    monkeypatch.setenv("CLOCKWORK_HOME", str(project.store))
    (project.root / "outside").write_text("x")
    (project.folder / "link").symlink_to(project.root / "outside")
    (project.folder / "assets/page").write_text("Hello ${name}\n")
    project.write({"main.cw": f'file "f" {{\n  path = "out/f"\n  {attribute}\n}}\n'})
    (found,) = Session.for_folder(project.folder, settings=load_settings()).validate()
    assert words in f"{found.summary} {found.note} {found.detail}"
    assert found.subject is not None and found.subject.file in {"main.cw", "assets/page"}


def test_a_template_sees_its_vars_and_a_secret_in_them_stays_one(project: Project) -> None:
    project.write(
        {
            "assets/conf": "token=${token}\n%{ for p in ports ~}\nport=${p}\n%{ endfor ~}\nhalf=${half}\n",
            "main.cw": 'variable "token" {\n  type      = string\n  sensitive = true\n}\n'
            'file "conf" {\n  path     = "out/conf"\n  template = "assets/conf"\n  mode     = "0600"\n'
            "  vars     = { token = var.token, ports = [80, 443], half = 0.5 }\n}\n",
        }
    )
    project.run("apply", "--auto-approve", "--var", "token=hunter2-hunter2")
    assert (project.folder / "out/conf").read_text() == "token=hunter2-hunter2\nport=80\nport=443\nhalf=0.5\n"
    left = [p for top in (project.folder / ".clockwork", project.store) for p in top.rglob("*") if p.is_file()]
    assert left and not [p for p in left if b"hunter2" in p.read_bytes()]
    project.run("plan", "--detailed-exitcode", "--var", "token=hunter2-hunter2")
    project.run("apply", "--auto-approve", "--var", "token=another-token")
    assert "another-token" in (project.folder / "out/conf").read_text()
    assert [p.name for p in (project.folder / "out").iterdir()] == ["conf"], "no second copy of a secret"


def test_a_file_of_many_megabytes_is_written(project: Project) -> None:
    big = os.urandom(1 << 16) * 32
    (project.folder / "assets/logo").write_bytes(big)
    project.run("apply", "--auto-approve")
    assert (project.folder / "out/logo").read_bytes() == big
    (project.folder / "assets/logo").write_bytes(b"\xff" * (17 << 20))
    assert "larger than" in project.run("validate", expect=6).err


@pytest.mark.parametrize(
    "data", [b'a ${x} %{if y} "q" \\n\n\ttab\n\xc3\xbc\xe2\x80\xa8', b"\xff\x00"], ids=["text", "bytes"]
)
def test_an_existing_file_is_imported_as_it_is(project: Project, data: bytes) -> None:
    (project.folder / "out").mkdir()
    (project.folder / "out/theirs").write_bytes(data)
    (project.folder / "out/theirs").chmod(0o640)
    project.write({"main.cw": "# nothing yet\n"})
    project.run("import", "file.theirs", "out/theirs", "--write", "main.cw", "--auto-approve")
    project.run("import", "directory.out", "out", "--write", "main.cw", "--auto-approve")
    project.run("plan", "--detailed-exitcode")
    assert (project.folder / "out/theirs").read_bytes() == data
    missing = project.run("import", "file.no", "out/no", "--write", "main.cw", "--auto-approve", expect=6)
    assert 'there is no file "out/no"' in missing.err
