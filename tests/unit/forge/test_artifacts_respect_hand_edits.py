"""The build folder: what people edit is kept, what is planted there is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import ArtifactChangedError, BundlePathError, InvalidInputError, StoreCorruptError
from clockwork_nb.forge.artifacts import read_record, stage, verify_files, verify_unchanged
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.ports import Artifact

PATH = "scripts/file.a/write_file.sh"
OLD, NEW, EDIT = b"#!/bin/sh\necho old\n", b"#!/bin/sh\necho new\n", b"#!/bin/sh\necho mine\n"


def bundle(content: bytes = OLD, *more: Artifact, path: str = PATH) -> Bundle:
    return Bundle((Artifact(path, content, "0755", "write", "sh"), *more), ())


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return tmp_path / "ws" / "build"


def on_disk(build: Path, path: str = PATH) -> bytes:
    return (build / path).read_bytes()


def test_a_first_build_writes_everything_with_its_mode(build: Path) -> None:
    data = Artifact("scripts/file.a/content.txt", b"\xff\x00", "0644", "content", "data")
    staged = stage(bundle(OLD, data), build)
    assert staged.written == (data.path, PATH)
    assert staged.bundle == bundle(OLD, data)
    assert on_disk(build) == OLD
    assert stat.S_IMODE((build / PATH).stat().st_mode) == 0o755
    assert stat.S_IMODE((build / data.path).stat().st_mode) == 0o644
    assert read_record(build) == {PATH: sha256_hex(OLD), data.path: sha256_hex(b"\xff\x00")}


def test_a_second_build_of_the_same_writes_nothing(build: Path) -> None:
    stage(bundle(), build)
    before = {p: p.stat().st_ino for p in build.rglob("*")}
    again = stage(bundle(), build)
    assert (again.written, again.edited, again.removed, again.kept) == ((), (), (), ())
    assert {p: p.stat().st_ino for p in build.rglob("*")} == before


def test_an_edit_enters_the_bundle_when_the_template_did_not_change(build: Path) -> None:
    stage(bundle(), build)
    (build / PATH).write_bytes(EDIT)
    for _ in range(2):  # and stays there
        staged = stage(bundle(), build)
        assert staged.edited == (PATH,)
        assert staged.bundle.artifact(PATH).content == EDIT
        assert staged.bundle.digest != bundle().digest
        assert on_disk(build) == EDIT


def test_a_new_template_replaces_an_unedited_file(build: Path) -> None:
    stage(bundle(), build)
    staged = stage(bundle(NEW), build)
    assert (staged.written, staged.edited, staged.kept) == ((PATH,), (), ())
    assert on_disk(build) == NEW


def test_both_changed_is_refused_with_both_differences_and_nothing_is_written(build: Path) -> None:
    other = Artifact("scripts/file.b/x.sh", b"echo b\n", "0755", "b", "sh")
    stage(bundle(), build)
    (build / PATH).write_bytes(EDIT)
    with pytest.raises(ArtifactChangedError) as caught:
        stage(bundle(NEW, other), build)
    assert caught.value.exit_code == 13
    assert "--keep-edits" in caught.value.hint
    (conflict,) = caught.value.details["conflicts"]
    assert conflict["path"] == PATH
    assert "-echo old" in conflict["edited"]
    assert "+echo mine" in conflict["edited"]
    assert "-echo old" in conflict["generated"]
    assert "+echo new" in conflict["generated"]
    assert on_disk(build) == EDIT
    assert not (build / other.path).exists()
    assert read_record(build) == {PATH: sha256_hex(OLD)}


def test_keep_edits_keeps_the_edit_and_puts_the_new_script_aside(build: Path) -> None:
    stage(bundle(), build)
    (build / PATH).write_bytes(EDIT)
    staged = stage(bundle(NEW), build, keep_edits=True)
    assert staged.bundle.artifact(PATH).content == EDIT
    assert (staged.conflicts, staged.edited) == ((PATH,), (PATH,))
    assert [p.read_bytes() for p in staged.kept] == [NEW]
    assert staged.kept[0].parent == build.parent / "kept"
    # The conflict is settled: the edit is now one of the new template.
    again = stage(bundle(NEW), build)
    assert (again.edited, again.conflicts) == ((PATH,), ())


def test_force_takes_the_new_script_and_puts_the_edit_aside(build: Path) -> None:
    stage(bundle(), build)
    (build / PATH).write_bytes(EDIT)
    staged = stage(bundle(NEW), build, force=True)
    assert staged.bundle == bundle(NEW)
    assert on_disk(build) == NEW
    assert [p.read_bytes() for p in staged.kept] == [EDIT]
    assert staged.kept[0].name == f"{sha256_hex(EDIT)[:8]}-file.a-write_file.sh"
    with pytest.raises(InvalidInputError):
        stage(bundle(), build, force=True, keep_edits=True)


def test_a_file_nobody_generated_is_a_conflict_with_one_difference(build: Path) -> None:
    (build / PATH).parent.mkdir(parents=True)
    (build / PATH).write_bytes(EDIT)
    with pytest.raises(ArtifactChangedError) as caught:
        stage(bundle(), build)
    assert "+echo mine" in caught.value.details["conflicts"][0]["difference"]


def test_the_caller_may_say_what_was_generated_last(build: Path) -> None:
    (build / PATH).parent.mkdir(parents=True)
    (build / PATH).write_bytes(OLD)
    staged = stage(bundle(NEW), build, {PATH: sha256_hex(OLD)})
    assert staged.written == (PATH,)


def test_what_is_no_longer_generated_goes_and_an_edit_of_it_is_kept(build: Path) -> None:
    other = Artifact("scripts/file.b/x.sh", b"echo b\n", "0755", "b", "sh")
    stage(bundle(OLD, other), build)
    (build / PATH).write_bytes(EDIT)
    staged = stage(Bundle((), ()), build)
    assert staged.removed == (PATH, other.path)
    assert [p.read_bytes() for p in staged.kept] == [EDIT]
    assert not (build / "scripts").exists()
    assert read_record(build) == {}


def test_scripts_of_a_resource_that_still_exists_stay_with_their_edit(build: Path) -> None:
    stage(bundle(), build)
    (build / PATH).write_bytes(EDIT)
    staged = stage(Bundle((), ()), build, live=["file.a"])
    assert staged.removed == ()
    assert on_disk(build) == EDIT
    assert stage(bundle(), build).edited == (PATH,)


def test_secret_artifacts_are_never_written(build: Path) -> None:
    secret = Artifact("scripts/file.a/password.txt", b"", "0644", "p", "data", secret="file.a:p")
    staged = stage(bundle(OLD, secret), build)
    assert not (build / secret.path).exists()
    assert secret.path not in read_record(build)
    assert staged.bundle.artifact(secret.path) == secret
    verify_unchanged(staged.bundle, build)


@pytest.mark.parametrize("plant", ["link", "folder link", "hard link", "fifo", "folder"])
def test_what_is_planted_is_refused_and_left_alone(build: Path, tmp_path: Path, plant: str) -> None:
    stage(bundle(), build)
    victim = tmp_path / "victim.sh"
    victim.write_bytes(OLD)
    target = build / PATH
    target.unlink()
    if plant == "link":
        target.symlink_to(victim)
    elif plant == "folder link":
        (tmp_path / "elsewhere").mkdir()
        target.parent.rmdir()
        target.parent.symlink_to(tmp_path / "elsewhere")
    elif plant == "hard link":
        os.link(victim, target)
    elif plant == "fifo":
        os.mkfifo(target)
    else:
        target.mkdir()
    for changed in (bundle(), bundle(NEW)):
        with pytest.raises((BundlePathError, ArtifactChangedError)) as caught:
            if plant == "folder link" and changed == bundle():
                verify_unchanged(changed, build)
            stage(changed, build, force=True)
        assert caught.value.code in {"E_BUNDLE_PATH", "E_ARTIFACT_CHANGED"}
    assert victim.read_bytes() == OLD
    assert not (tmp_path / "elsewhere").exists() or list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("what", ["edited", "missing", "link", "second name", "truncated"])
def test_a_change_after_approval_is_noticed_right_before_the_step(build: Path, tmp_path: Path, what: str) -> None:
    approved = stage(bundle(), build).bundle
    verify_unchanged(approved, build)
    target = build / PATH
    if what == "edited":
        target.write_bytes(OLD + b"#")
    elif what == "truncated":
        target.write_bytes(b"")
    else:
        target.unlink()
        if what == "second name":
            (tmp_path / "same").write_bytes(OLD)
            os.link(tmp_path / "same", target)
        elif what == "link":
            (tmp_path / "same").write_bytes(OLD)
            target.symlink_to(tmp_path / "same")
    with pytest.raises(ArtifactChangedError) as caught:
        verify_unchanged(approved, build)
    assert caught.value.details["paths"] == [PATH]
    verify_files([], build)


def test_a_damaged_record_is_said_and_not_guessed_around(build: Path) -> None:
    stage(bundle(), build)
    (build / ".generated.json").write_bytes(b"{}")
    with pytest.raises(StoreCorruptError) as caught:
        stage(bundle(), build)
    assert caught.value.hint


def test_a_large_or_binary_base_still_gives_a_readable_conflict(build: Path) -> None:
    big = b"x\n" * 40_000
    stage(bundle(big), build)
    (build / PATH).write_bytes(big + b"edit\n")
    with pytest.raises(ArtifactChangedError) as caught:
        stage(bundle(b"\xff\xfe"), build)
    assert "binary" in caught.value.details["conflicts"][0]["difference"]
    with pytest.raises(ArtifactChangedError) as caught:
        stage(bundle(big + b"new\n"), build)
    assert len(caught.value.details["conflicts"][0]["difference"]) < 20_000


def test_many_files_are_written_and_found_again(build: Path) -> None:
    many = Bundle(tuple(Artifact(f"scripts/f{i}/x.sh", b"echo %d\n" % i, "0755", "x", "sh") for i in range(300)), ())
    assert len(stage(many, build).written) == 300
    assert stage(replace(many), build).written == ()
