"""``clockwork import``: an existing thing is taken into the state as it is, and described where nothing describes it yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    (project.folder / "out").mkdir()
    (project.folder / "out" / "notes.txt").write_text('by "hand" ${here}\n')
    return project


def test_what_is_not_declared_is_described_and_nothing_is_recorded(project: Project) -> None:
    shown = project.run("import", "file.notes", "out/notes.txt", expect=6)
    assert 'file "notes" {' in shown.out and 'content = "by \\"hand\\" $${here}\\n"' in shown.out
    document = project.run("import", "file.notes", "out/notes.txt", "--json", expect=6).json
    assert document["address"] == "file.notes" and document["written"] is None
    assert project.jobs() == []
    assert not (project.folder / ".clockwork" / "state.json").exists()


def test_it_writes_the_block_records_the_thing_and_finds_nothing_to_do_then(project: Project) -> None:
    project.write({"main.cw": 'directory "logs" { path = "out/logs" }\n'})
    before = (project.folder / "out" / "notes.txt").stat()
    done = project.run("import", "file.notes", "out/notes.txt", "--write", "imported.cw", "--auto-approve")
    assert "to import" in done.out
    after = (project.folder / "out" / "notes.txt").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert not (project.folder / "out" / "logs").exists(), "an import makes nothing else"
    kinds = {c["address"]: c["kind"] for c in project.run("plan", "--json").json["changes"]}
    assert kinds == {"file.notes": "noop", "directory.logs": "create"}
    again = project.run("import", "file.notes", "out/notes.txt", expect=6)
    assert "recorded already" in again.err


def test_a_thing_that_differs_from_its_block_is_taken_as_it_is_and_told(project: Project) -> None:
    project.write({"main.cw": 'file "notes" {\n  path = "out/notes.txt"\n  content = "other"\n}\n'})
    told = project.run("import", "file.notes", "out/notes.txt", "--auto-approve").out
    assert "it stays as it is for now, and the next apply overwrites it" in " ".join(told.split())
    assert (project.folder / "out" / "notes.txt").read_text() == 'by "hand" ${here}\n'
    drift = project.run("drift", "--json", expect=14).json["drift"]
    assert [d["address"] for d in drift] == ["file.notes"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("file.gone", "out/gone"), "there is no file"),
        (("fle.notes", "out/notes.txt"), "not the address of a resource"),
        (("command.x", "y"), "cannot be described"),
        (("file.notes", "../outside"), ""),
    ],
)
def test_what_cannot_be_imported_is_refused_and_nothing_is_written(
    project: Project, words: tuple[str, str], says: str
) -> None:
    error = project.run("import", *words, "--write", "imported.cw", expect=6)
    assert says in error.err
    assert not (project.folder / "imported.cw").exists()
