"""P25: what runs are the approved bytes, whatever happens to the files meanwhile; else it is E_ARTIFACT_CHANGED."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.errors import ArtifactChangedError
from clockwork_nb.forge.artifacts import verify_files
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.forge.launch import Launcher, sealed_memfd
from tests.unit.forge.section_kit import Bench, Spec, bench, make_plan

GOOD = 'cat "$CW_WORD" >> out/effects\n'
EVIL = b"echo evil >> out/effects\n"
SCRIPT, DATA = "scripts/thing.x/make.sh", "scripts/thing.x/CW_WORD.txt"


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        (made.root / "evil.sh").write_bytes(EVIL)
        yield made


def thing(name: str) -> Spec:
    script = {"script": GOOD, "data": {"CW_WORD": "approved\n"}, "write": ("out/x",)}
    return Spec(name, {"make": script}, idempotent=True)


def effects(b: Bench) -> list[str]:
    path = b.root / "out" / "effects"
    return path.read_text().split() if path.exists() else []


# --- one attack at a time: before the check, and between the check and the start ----------------------------------------


def _edit(path: Path, evil: Path) -> None:
    path.write_bytes(EVIL)


def _replace(path: Path, evil: Path) -> None:
    shutil.copy(evil, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def _link(path: Path, evil: Path) -> None:
    path.unlink()
    path.symlink_to(evil)


def _hard_link(path: Path, evil: Path) -> None:
    path.unlink()
    os.link(evil, path)


def _folder_link(path: Path, evil: Path) -> None:
    elsewhere = evil.parent / "elsewhere"
    elsewhere.mkdir()
    for name in (path.name, Path(DATA).name):
        (elsewhere / name).write_bytes(EVIL)
    path.parent.rename(path.parent.with_name("aside"))
    path.parent.symlink_to(elsewhere)


def _truncate(path: Path, evil: Path) -> None:
    os.truncate(path, 0)


def _append(path: Path, evil: Path) -> None:
    with path.open("ab") as file:
        file.write(EVIL)


def _gone(path: Path, evil: Path) -> None:
    path.unlink()


def _pipe(path: Path, evil: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path, evil: Path) -> None:
    path.unlink()
    path.mkdir()


def _device(path: Path, evil: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/stdin")


ATTACKS: tuple[Callable[[Path, Path], None], ...] = (
    _edit, _replace, _link, _hard_link, _folder_link, _truncate, _append, _gone, _pipe, _folder, _device,
)  # fmt: skip


@pytest.mark.parametrize("target", [SCRIPT, DATA])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__.strip("_"))
def test_changed_after_the_approval_nothing_runs(b: Bench, attack: Callable[[Path, Path], None], target: str) -> None:
    document, bundle = b.bind(make_plan(thing("x")))
    attack(b.workspace / "build" / target, b.root / "evil.sh")
    with pytest.raises(ArtifactChangedError) as caught:
        b.run(document, bundle)
    assert (caught.value.code, caught.value.exit_code) == ("E_ARTIFACT_CHANGED", 13)
    assert target in caught.value.details["paths"]
    assert effects(b) == []
    assert b.events("step.") == []


@pytest.mark.parametrize("target", [SCRIPT, DATA])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__.strip("_"))
def test_changed_after_the_check_the_approved_bytes_run(
    b: Bench, monkeypatch: pytest.MonkeyPatch, attack: Callable[[Path, Path], None], target: str
) -> None:
    def checked(artifacts: Any, build: Path) -> None:
        verify_files(artifacts, build)
        attack(build / target, b.root / "evil.sh")

    document, bundle = b.bind(make_plan(thing("x")))
    monkeypatch.setattr("clockwork_nb.forge.runner.verify_files", checked)
    assert b.run(document, bundle).error is None
    assert effects(b) == ["approved"]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__.strip("_"))
def test_changed_when_it_is_sent_off_the_approved_bytes_run(
    tmp_path: Path, attack: Callable[[Path, Path], None]
) -> None:
    class Attacked(Launcher):
        """Does the attack at the last moment, when everything is made and nothing was sent."""

        def _send(self, message: Mapping[str, Any], fds: list[int]) -> None:
            if message["op"] == "run":
                attack(tmp_path / "project/.clockwork/build" / SCRIPT, tmp_path / "project/evil.sh")
            super()._send(message, fds)

    with Attacked() as launcher, bench(tmp_path, launcher) as made:
        (made.root / "evil.sh").write_bytes(EVIL)
        assert made.apply(make_plan(thing("x"))).error is None
        assert effects(made) == ["approved"]


def test_the_bytes_that_are_handed_over_cannot_be_changed_by_anybody() -> None:
    fd = sealed_memfd(GOOD.encode())
    try:
        for change in (
            lambda: os.pwrite(fd, EVIL, 0),
            lambda: os.ftruncate(fd, 0),
            lambda: os.ftruncate(fd, 1000),
            lambda: Path(f"/proc/self/fd/{fd}").write_bytes(EVIL),
        ):
            with pytest.raises(PermissionError):
                change()
        assert os.pread(fd, 1000, 0) == GOOD.encode()
    finally:
        os.close(fd)


def test_the_same_bytes_with_other_rights_still_run(b: Bench) -> None:
    document, bundle = b.bind(make_plan(thing("x")))
    (b.workspace / "build" / SCRIPT).chmod(0o600)
    assert b.run(document, bundle).error is None
    assert effects(b) == ["approved"]


def test_an_interpreter_that_changed_is_not_started(b: Bench, tmp_path: Path) -> None:
    document, bundle = b.bind(make_plan(thing("x")))
    other = tmp_path / "sh"
    shutil.copy("/bin/sh", other)
    moved = replace(bundle, steps=(replace(bundle.steps[0], interpreter=str(other)),))
    assert b.run(document, moved).error is None
    with other.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ArtifactChangedError) as caught:
        b.run(document, moved)
    assert caught.value.details["paths"] == [str(other)]
    assert effects(b) == ["approved"]


# --- many attacks at once ------------------------------------------------------------------------------------------------


def _racer(scripts: list[Path], evil: Path, over: threading.Event, seed: int) -> None:
    """Swap files, links and folders for each other, about a thousand times a second together with three others."""
    chance = random.Random(seed)
    good = GOOD.encode()
    while not over.is_set():
        path = chance.choice(scripts)
        spare = path.with_name(f".spare-{seed}")
        # The others are at it too: a name may be gone or taken at any time.
        with contextlib.suppress(OSError):
            match chance.randrange(10):
                case 0:
                    path.write_bytes(EVIL)
                case 1:
                    spare.symlink_to(evil)
                    spare.replace(path)
                case 2:
                    path.unlink()
                    path.mkdir()
                case 3:
                    aside = path.parent.with_name(f"aside-{seed}")
                    path.parent.rename(aside)
                    path.parent.symlink_to(evil.parent / "elsewhere")
                    path.parent.unlink()
                    aside.rename(path.parent)
                case _:
                    if path.is_dir():
                        path.rmdir()
                    spare.write_bytes(good)
                    spare.replace(path)
        over.wait(0.003)


def _race(b: Bench, count: int) -> tuple[list[str], int]:
    """Run *count* steps while four threads swap their scripts; return the effects and how often a change was noticed."""
    document, bundle = b.bind(make_plan(*(thing(f"n{i}") for i in range(count))))
    scripts = [b.workspace / "build" / s.cmd[1] for s in bundle.steps]
    (b.root / "elsewhere").mkdir()
    (b.root / "elsewhere" / "make.sh").write_bytes(EVIL)
    over = threading.Event()
    threads = [threading.Thread(target=_racer, args=(scripts, b.root / "evil.sh", over, n)) for n in range(4)]
    for thread in threads:
        thread.start()
    noticed = 0
    try:
        for _ in range(3 * count):
            noticed += _one_more_run(b, document, bundle)
            if len(b.payloads("step.completed")) >= count - 2:
                break
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return effects(b), noticed


def _one_more_run(b: Bench, document: dict[str, Any], bundle: Bundle) -> int:
    done = tuple(e["step_id"] for e in b.payloads("step.completed"))
    try:
        assert b.run(document, bundle, done=done).error is None
    except ArtifactChangedError:
        return 1
    return 0


def test_under_a_race_only_approved_bytes_have_effects(b: Bench) -> None:
    lines, noticed = _race(b, 40)
    assert set(lines) <= {"approved"}
    assert len(lines) == len(b.payloads("step.completed"))
    assert noticed + len(lines) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_under_a_long_race_only_approved_bytes_have_effects(b: Bench) -> None:
    lines, noticed = _race(b, 500)
    assert set(lines) == {"approved"}
    assert len(lines) == len(b.payloads("step.completed"))
    assert noticed > 0
