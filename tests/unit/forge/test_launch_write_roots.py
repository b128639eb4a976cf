"""Which rights the declared paths of a step turn into; nothing is run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.forge.confinement import (
    Grant,
    prepare_write_roots,
    remove_prepared,
    resolve_write_roots,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / ".clockwork").mkdir(parents=True)
    (project / "out").mkdir()
    (project / "site.ipynb").write_text("{}")
    return project


def resolve(root: Path, *declared: str) -> list[Grant]:
    return resolve_write_roots(declared, root, [root / ".clockwork", root / "site.ipynb"])


def grant(root: Path, path: str, kind: str) -> Grant:
    return Grant(str(root / path) if path else str(root), kind)  # type: ignore[arg-type]


def test_a_new_file_may_be_written_in_its_existing_folder(root: Path) -> None:
    assert resolve(root, "out/page.html") == [grant(root, "out", "write")]


def test_an_existing_file_gets_its_folder_so_that_it_can_be_replaced(root: Path) -> None:
    (root / "out" / "page.html").write_text("old")
    assert resolve(root, "out/page.html") == [grant(root, "out", "write")]


def test_an_existing_folder_is_granted_itself_not_its_parent(root: Path) -> None:
    (root / "out" / "site").mkdir()
    assert resolve(root, "out/site") == [grant(root, "out/site", "write")]
    assert resolve(root, "out") == [grant(root, "out", "write")]


def test_a_missing_parent_is_granted_and_made_before_the_step(root: Path) -> None:
    grants = resolve(root, "new/deep/page.html")
    assert grants == [grant(root, "new/deep", "write")]
    made = prepare_write_roots(grants)
    assert made == [root / "new", root / "new" / "deep"]
    assert (root / "new" / "deep").is_dir()
    remove_prepared(made)
    assert not (root / "new").exists()


def test_prepared_folders_that_are_in_use_stay(root: Path) -> None:
    made = prepare_write_roots(resolve(root, "new/deep/page.html"))
    (root / "new" / "kept.txt").write_text("")
    remove_prepared(made)
    assert (root / "new" / "kept.txt").exists()
    assert not (root / "new" / "deep").exists()


def test_a_folder_in_the_way_that_is_a_file_is_reported(root: Path) -> None:
    (root / "plain").write_text("")
    with pytest.raises(UnsafeOperationError, match="cannot be made"):
        prepare_write_roots([grant(root, "plain/deep", "write")])


@pytest.mark.parametrize("path", ["top/", "top/site/", "top/a/b/c/"])
def test_a_new_folder_needs_only_the_right_to_make_folders(root: Path, path: str) -> None:
    assert resolve(root, path) == [grant(root, "", "mkdir")]


def test_a_new_folder_below_an_existing_one_is_made_from_there(root: Path) -> None:
    assert resolve(root, "out/site/") == [grant(root, "out", "mkdir")]


def test_an_existing_folder_resource_can_be_filled_and_removed(root: Path) -> None:
    assert resolve(root, "out/") == [grant(root, "out", "write"), grant(root, "", "rmdir")]


def test_making_and_removing_are_never_granted_together_around_protected_files(root: Path) -> None:
    # Both on one folder allow a rename, and a renamed .clockwork is a lost one.
    kinds = {g.kind for g in resolve(root, "out/", "fresh/") if g.path == str(root)}
    assert kinds == {"mkdir"}


@pytest.mark.parametrize("path", ["page.html", "site.ipynb", "./page.html", "out/../page.html"])
def test_a_file_directly_in_the_project_root_is_refused_with_a_way_out(root: Path, path: str) -> None:
    with pytest.raises(UnsafeOperationError) as caught:
        resolve(root, path)
    assert caught.value.code == "E_UNSAFE_OPERATION"
    assert caught.value.hint


@pytest.mark.parametrize(
    "path", [".clockwork/", ".clockwork", ".clockwork/x", ".clockwork/a/b/", "out/../.clockwork/y"]
)
def test_the_workspace_folder_is_never_granted(root: Path, path: str) -> None:
    with pytest.raises(UnsafeOperationError, match="clockwork's own files"):
        resolve(root, path)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "out/../../x", "..", "out/..", ".", "", "/", "a\0b"])
def test_paths_that_leave_the_project_or_name_nothing_are_refused(root: Path, path: str) -> None:
    with pytest.raises(UnsafeOperationError):
        resolve(root, path)


def test_absolute_paths_inside_the_project_are_the_same_as_relative_ones(root: Path) -> None:
    assert resolve(root, str(root / "out" / "x")) == resolve(root, "out/x")


def test_a_link_that_leaves_the_project_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "out" / "link").symlink_to(tmp_path / "elsewhere")
    (root / "out" / "file").symlink_to(tmp_path / "elsewhere" / "f")
    for path in ("out/link", "out/link/", "out/link/x", "out/file"):
        with pytest.raises(UnsafeOperationError, match="outside the project"):
            resolve(root, path)


def test_a_link_to_the_workspace_folder_is_refused(root: Path) -> None:
    (root / "out" / "link").symlink_to(root / ".clockwork")
    for path in ("out/link", "out/link/", "out/link/x"):
        with pytest.raises(UnsafeOperationError, match="clockwork's own files"):
            resolve(root, path)


def test_a_link_inside_the_project_is_followed_for_folders_and_replaced_for_files(root: Path) -> None:
    (root / "data").mkdir()
    (root / "out" / "link").symlink_to(root / "data")
    (root / "out" / "page").symlink_to(root / "data" / "page")
    assert resolve(root, "out/link") == [grant(root, "data", "write")]
    assert resolve(root, "out/page") == [grant(root, "out", "write")]


def test_a_loop_of_links_is_refused(root: Path) -> None:
    (root / "out" / "a").symlink_to(root / "out" / "b")
    (root / "out" / "b").symlink_to(root / "out" / "a")
    with pytest.raises(UnsafeOperationError):
        resolve(root, "out/a/x")


def test_a_folder_around_the_job_store_is_refused(root: Path) -> None:
    store = root / "out" / "store"
    with pytest.raises(UnsafeOperationError, match="store"):
        resolve_write_roots(["out/x"], root, [store])
    with pytest.raises(UnsafeOperationError, match="store"):
        resolve_write_roots(["out/"], root, [store])


def test_equal_grants_are_given_once(root: Path) -> None:
    assert resolve(root, "out/a", "out/b", "out") == [grant(root, "out", "write")]
