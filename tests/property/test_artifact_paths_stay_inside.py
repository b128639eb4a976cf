"""P26: whatever an artifact is called, and whatever is swapped meanwhile, nothing is written outside the build folder."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.errors import BundlePathError, ClockworkError
from clockwork_nb.forge.artifacts import stage
from clockwork_nb.forge.build_folder import BuildFolder
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.forge.paths import collisions, path_problem
from clockwork_nb.ports import Artifact

NASTY = (
    "..", ".", "", "~", "~root", "etc", "passwd", "scripts", "a", "A", "ä", "a\u0308", "con", "NUL.txt", "a.", "a ", " a",
    "-rf", ".clockwork", ".generated.json", "C:", "c:x", "\\..\\x", "a\0b", "a\nb", "\u202e", "\u200b", "\udc80", "\uff0e\uff0e",
    "\u2025", "%2e%2e", "..;", "...", "a/../../x", "x" * 101, "${HOME}", "$(id)", "*", "a:b", "|", "ß", "SS", "ı", "İ", "ﬁ",
)  # fmt: skip

_PARTS = st.one_of(st.sampled_from(NASTY), st.text(max_size=6))
PATHS = st.builds(
    lambda start, parts, between: start + between.join(parts),
    st.sampled_from(("", "", "scripts/", "/", "//", "./", "../", "\\\\host\\", "C:\\", "file:///")),
    st.lists(_PARTS, min_size=1, max_size=9),
    st.sampled_from(("/", "/", "/", "\\", "//")),
)

ALIKE = st.lists(st.sampled_from(("a", "A", "ä", "Ä", "ß", "ss", "SS", "ﬁ", "fi", "x")), min_size=1, max_size=3).map(
    "/".join
)


def outside(home: Path) -> dict[str, bytes]:
    """Return everything below *home* that is not in the build folder, with its content."""
    build = home / "project/.clockwork/build"
    return {
        str(p.relative_to(home)): p.read_bytes() if p.is_file() else b""
        for p in sorted(home.rglob("*"))
        if not p.is_relative_to(build)
    }


@contextlib.contextmanager
def sandbox() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="home-") as place:
        home = Path(place)
        (home / "project/.clockwork/build").mkdir(parents=True)
        (home / "etc").mkdir()
        (home / "etc/passwd").write_bytes(b"mine")
        yield home


def exchange(one: Path, two: Path) -> None:
    """Let two names change places in one step, so that there is no moment in which one is missing (renameat2(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_fdcwd, rename_exchange = -100, 2
    if libc.renameat2(at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(two), rename_exchange) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def bundle(*paths: str) -> Bundle:
    return Bundle(tuple(Artifact(p, b"evil", "0755", "p", "data") for p in paths), ())


@settings(deadline=None)
@given(PATHS)
def test_a_path_is_refused_or_names_one_file_below_the_build_folder(path: str) -> None:
    with sandbox() as home:
        before, build = outside(home), home / "project/.clockwork/build"
        if path_problem(path):
            with pytest.raises(BundlePathError):
                stage(bundle(path), build)
            assert list(build.rglob("*")) == []
        else:
            stage(bundle(path), build)
            files = {p.relative_to(build).as_posix() for p in build.rglob("*") if p.is_file()}
            assert files == {path, ".generated.json"}
            assert (build / path).resolve().is_relative_to(build.resolve())
        assert outside(home) == before


@settings(deadline=None)
@given(st.lists(ALIKE, min_size=2, max_size=4))
def test_paths_without_a_collision_are_different_files_wherever_case_and_form_do_not_count(paths: list[str]) -> None:
    if collisions(paths):
        return
    folded = {unicodedata.normalize("NFC", p).casefold() for p in paths}
    assert len(folded) == len(paths)
    for one in folded:
        assert not any(other.startswith(one + "/") for other in folded)


@settings(deadline=None)
@given(PATHS)
def test_the_folder_itself_never_leaves_its_root_even_for_a_refused_path(path: str) -> None:
    """The grammar is one wall; that no component is followed is the other, and holds without it."""
    if ".." in path.split("/") or path.startswith("/") or not path:
        return  # the grammar alone refuses these
    with sandbox() as home:
        before = outside(home)
        with contextlib.suppress(ClockworkError, OSError, ValueError):
            BuildFolder(home / "project/.clockwork/build").write(path, b"evil", 0o644)
        assert outside(home) == before


def test_what_is_wrong_has_its_name() -> None:
    assert path_problem("c:/x") == path_problem("C:x") == "it names a drive"
    assert path_problem("/etc/passwd") == path_problem("//x") == "it is absolute"
    assert path_problem("scripts/../x") == "it leaves the build folder"


def test_the_record_is_not_written_through_a_link(tmp_path: Path) -> None:
    build, victim = tmp_path / "project/.clockwork/build", tmp_path / "victim"
    victim.write_bytes(b"mine")
    build.mkdir(parents=True)
    (build / ".generated.json").symlink_to(victim)
    with pytest.raises(BundlePathError):
        stage(bundle("scripts/a"), build)
    (build / ".generated.json").unlink()
    folder = BuildFolder(build)
    real = folder.read

    class Planted(BuildFolder):
        """Somebody puts the link there when everything was looked at and written but the record."""

        def read(self, path: str) -> bytes | None:
            found = super().read(path)
            if path == ".generated.json" and (build / "scripts/a").exists():
                (build / path).symlink_to(victim)
            return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clockwork_nb.forge.artifacts.BuildFolder", Planted)
        stage(bundle("scripts/a"), build)
    assert (build / ".generated.json").is_file()
    assert victim.read_bytes() == b"mine"
    assert real("scripts/a") == b"evil"


@pytest.mark.parametrize("level", ["scripts/x", "scripts", ".", ".."])
def test_nothing_is_written_through_a_folder_that_is_swapped_for_a_link(tmp_path: Path, level: str) -> None:
    """*level* of the path is a link to somewhere else about every other moment; the writer never lands there."""
    build = tmp_path / "project/.clockwork/build"
    stage(bundle("scripts/x/a"), build)
    elsewhere = tmp_path / "elsewhere"
    for folder in ("x", "scripts/x", "build/scripts/x"):
        (elsewhere / folder).mkdir(parents=True)
    target = build.parent if level == ".." else build if level == "." else build / level
    other = tmp_path / "other"
    other.symlink_to(elsewhere)
    over, swaps = threading.Event(), [0]

    def swap() -> None:
        while not over.is_set():
            exchange(target, other)
            swaps[0] += 1
            over.wait(0.001)
        if target.is_symlink():
            exchange(target, other)

    thread = threading.Thread(target=swap)
    thread.start()
    written = refused = 0
    end = time.monotonic() + 20
    try:
        while (written < 40 or refused < 5 or swaps[0] < 100) and time.monotonic() < end:
            name = f"scripts/x/f{written % 7}"
            try:
                BuildFolder(build).write(name, b"evil", 0o644)
                stage(bundle("scripts/x/a", name), build, force=True)
                written += 1
            except ClockworkError as error:
                assert error.code in {"E_BUNDLE_PATH", "E_ARTIFACT_CHANGED", "E_STORE_IO"}
                refused += 1
    finally:
        over.set()
        thread.join()
    assert [p for p in elsewhere.rglob("*") if not p.is_dir()] == []
    assert written
    assert swaps[0] >= 100
