"""Files written for real: any name, any bytes, any mode; and what was there before is kept."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clockwork_nb.resources.file.templates import BACKUP_MARK
from clockwork_nb.secrets import Sensitive, seal
from clockwork_nb.testing.steps import StepPlace


@pytest.fixture
def place(tmp_path: Path) -> StepPlace:
    root, side = tmp_path / "project", tmp_path / "side"
    root.mkdir()
    side.mkdir()
    return StepPlace(root, side)


def kept(place: StepPlace, folder: str = "d") -> dict[str, Path]:
    return {p.name: p for p in (place.root / folder).iterdir() if BACKUP_MARK in p.name}


def digits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="/"), min_size=1, max_size=40
).filter(lambda n: n not in {".", ".."} and not n.startswith("~") and len(n.encode()) <= 150)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=NAMES,
    content=st.binary(max_size=300),
    other=st.binary(max_size=300),
    mode=st.integers(0, 0o777).map(lambda m: f"{m | 0o400:04o}"),
)
def test_any_file_is_written_changed_and_removed_and_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes, other: bytes, mode: str
) -> None:
    base = tmp_path_factory.mktemp("any")
    (base / "project/d").mkdir(parents=True)
    (base / "side").mkdir()
    place = StepPlace(base / "project", base / "side")
    target = place.root / "d" / name
    target.write_bytes(other)
    config = place.config("file", path=f"d/{name}", content_base64=base64.b64encode(content).decode(), mode=mode)
    assert place.do("file.f", "create", config).code == 0, place.ran[-1].err
    assert target.read_bytes() == content and stat.S_IMODE(target.stat().st_mode) == int(mode, 8)
    assert place.drift("file", config) == {}
    copies = kept(place)
    assert [p.read_bytes() for p in copies.values()] == ([other] if other != content else [])
    assert place.do("file.f", "delete", None, config).code == 0
    assert not target.exists() and kept(place) == copies


def test_what_is_not_ours_is_kept_as_it_was(place: StepPlace) -> None:
    (place.root / "d").mkdir()
    target = place.root / "d/a"
    target.write_text("theirs")
    target.chmod(0o640)
    os.utime(target, (1_600_000_000, 1_600_000_000))
    config = place.config("file", path="d/a", content="ours")
    assert place.do("file.f", "create", config).out == f"kept what was there as d/a.cw-backup-{digits(b'theirs')}\n"
    (copy,) = kept(place).values()
    info = copy.stat()
    assert copy.read_text() == "theirs" and stat.S_IMODE(info.st_mode) == 0o640 and info.st_mtime == 1_600_000_000
    target.write_text("theirs")
    place.do("file.f", "update", config)
    assert len(kept(place)) == 1, "one copy of the same bytes is enough"


def test_our_own_content_is_not_kept_when_it_changes(place: StepPlace) -> None:
    old = place.config("file", path="d/a", content="one")
    new = place.config("file", path="d/a", content="two")
    place.do("file.f", "create", old)
    assert place.do("file.f", "update", new, old).out == ""
    assert (place.root / "d/a").read_text() == "two" and not kept(place)


def test_an_edit_made_outside_is_kept_whether_the_plan_knew_of_it_or_not(place: StepPlace) -> None:
    old = place.config("file", path="d/a", content="one")
    place.do("file.f", "create", old)
    (place.root / "d/a").write_text("edited after the plan")
    place.do("file.f", "update", place.config("file", path="d/a", content="two"), old)
    (place.root / "d/a").write_text("edited before the plan")
    place.do("file.f", "update", place.config("file", path="d/a", content="two"))
    assert {p.read_text() for p in kept(place).values()} == {"edited after the plan", "edited before the plan"}


def test_the_file_that_is_there_already_is_no_reason_for_a_copy(place: StepPlace) -> None:
    (place.root / "d").mkdir()
    (place.root / "d/a").write_text("same")
    assert place.do("file.f", "create", place.config("file", path="d/a", content="same")).out == ""
    assert not kept(place)


def test_a_removed_file_is_kept_only_when_it_was_edited(place: StepPlace) -> None:
    config = place.config("file", path="d/a", content="one")
    place.do("file.f", "create", config)
    place.do("file.f", "delete", None, config)
    assert place.names() == {"d"}
    place.do("file.f", "create", config)
    (place.root / "d/a").write_text("edited")
    assert "kept what was there" in place.do("file.f", "delete", None, config).out
    assert [p.read_text() for p in kept(place).values()] == ["edited"] and not (place.root / "d/a").exists()


def test_without_backup_nothing_is_kept(place: StepPlace) -> None:
    (place.root / "d").mkdir()
    (place.root / "d/a").write_text("theirs")
    config = place.config("file", path="d/a", content="ours", backup=False)
    place.do("file.f", "create", config)
    (place.root / "d/a").write_text("edited")
    place.do("file.f", "delete", None, config)
    assert place.names() == {"d"}


def test_a_link_in_the_way_is_kept_as_a_link(place: StepPlace) -> None:
    (place.root / "d").mkdir()
    for target in ("elsewhere", "../missing"):
        (place.root / "d/a").unlink(missing_ok=True)
        (place.root / "d/a").symlink_to(target)
        assert place.do("file.f", "create", place.config("file", path="d/a", content="x")).code == 0
    assert {os.readlink(p) for p in kept(place).values()} == {"elsewhere", "../missing"}
    assert not (place.root / "d/a").is_symlink()


def test_a_copy_never_takes_the_place_of_another(place: StepPlace) -> None:
    (place.root / "d").mkdir()
    (place.root / "d/a").write_text("theirs")
    (place.root / f"d/a.cw-backup-{digits(b'theirs')}").write_text("something else")
    place.do("file.f", "create", place.config("file", path="d/a", content="ours"))
    whole = hashlib.sha256(b"theirs").hexdigest()
    assert kept(place)[f"a.cw-backup-{whole}"].read_text() == "theirs"
    assert kept(place)[f"a.cw-backup-{whole[:8]}"].read_text() == "something else"


def test_where_no_second_name_can_be_had_a_copy_is_made(place: StepPlace) -> None:
    (place.side / "bin").mkdir()
    (place.side / "bin/ln").write_text("#!/bin/sh\nexit 1\n")
    (place.side / "bin/ln").chmod(0o755)
    place.extra["PATH"] = f"{place.side}/bin:/usr/bin:/bin"
    (place.root / "d").mkdir()
    (place.root / "d/a").write_text("theirs")
    (place.root / "d/a").chmod(0o604)
    place.do("file.f", "create", place.config("file", path="d/a", content="ours"))
    (copy,) = kept(place).values()
    assert copy.read_text() == "theirs" and stat.S_IMODE(copy.stat().st_mode) == 0o604


def test_when_nothing_can_be_kept_nothing_is_replaced(place: StepPlace) -> None:
    (place.side / "bin").mkdir()
    for name in ("ln", "cp"):
        (place.side / "bin" / name).write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
        (place.side / "bin" / name).chmod(0o755)
    place.extra["PATH"] = f"{place.side}/bin:/usr/bin:/bin"
    (place.root / "d").mkdir()
    (place.root / "d/a").write_text("theirs")
    done = place.do("file.f", "create", place.config("file", path="d/a", content="ours"))
    assert done.code == 1 and "no room" in done.err
    assert place.names() == {"d", "d/a"} and (place.root / "d/a").read_text() == "theirs"


def test_the_longest_name_has_room_for_its_copy(place: StepPlace) -> None:
    (place.root / "d").mkdir()
    name = "ü" * 127
    (place.root / "d" / name).write_text("theirs")
    assert place.do("file.f", "create", place.config("file", path=f"d/{name}", content="ours")).code == 0
    assert [p.read_text() for p in kept(place).values()] == ["theirs"]


def test_a_secret_that_changes_is_not_multiplied_but_an_edit_is_kept(place: StepPlace) -> None:
    old = place.config("file", path="d/key", content=Sensitive("hunter2"), mode="0600")
    new = place.config("file", path="d/key", content=Sensitive("hunter3"), mode="0600")
    place.do("file.f", "create", old)
    place.do("file.f", "update", new, seal(old, b"k"))
    assert (place.root / "d/key").read_text() == "hunter3" and not kept(place)
    (place.root / "d/key").write_text("somebody's")
    place.do("file.f", "update", new)
    (copy,) = kept(place).values()
    assert copy.read_text() == "somebody's" and stat.S_IMODE(copy.stat().st_mode) == 0o600
    place.do("file.f", "delete", None, seal(new, b"k"))
    assert not (place.root / "d/key").exists() and len(kept(place)) == 1


@pytest.mark.parametrize("kind", ["pipe", "socket-like folder"])
def test_a_pipe_in_the_way_does_not_stop_a_step(place: StepPlace, kind: str) -> None:
    (place.root / "d").mkdir()
    if kind == "pipe":
        os.mkfifo(place.root / "d/a")
        assert place.do("file.f", "create", place.config("file", path="d/a", content="x")).code == 0
        os.mkfifo(place.root / "d/pipe")
        (place.root / "d/b").symlink_to("pipe")
        assert place.do("file.f", "create", place.config("file", path="d/b", content="x")).code == 0
    else:
        (place.root / "d/a").mkdir()
        assert "is a folder" in place.do("file.f", "create", place.config("file", path="d/a", content="x")).err


def test_made_anew_by_the_same_path_it_is_there_afterwards(place: StepPlace) -> None:
    file = place.config("file", path="d/a", content="x")
    folder = place.config("directory", path="e", mode="0700")
    for address, config in (("file.f", file), ("directory.d", folder)):
        place.do(address, "create", config)
        before = (place.root / config["path"]).stat()
        assert place.do(address, "replace", config, config).code == 0
        assert place.drift(address.split(".")[0], config) == {}
        assert (place.root / config["path"]).stat().st_ctime_ns != before.st_ctime_ns
    (place.root / "e/theirs").write_text("x")
    place.do("directory.d", "replace", folder, folder)
    assert (place.root / "e/theirs").exists()
