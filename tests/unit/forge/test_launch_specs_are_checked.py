"""What is refused before anything is started, and the sealed files that carry scripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec import structs

from clockwork_nb.errors import AdapterFailedError, InvalidInputError
from clockwork_nb.forge.launch import Launcher, LaunchResult, LaunchSpec, sealed_memfd

GOOD = LaunchSpec(("sh", "scripts/x.sh"), "/bin/sh", {}, "/", script=b"exit 0\n", script_name="scripts/x.sh")


def refuse(**changes: object) -> str:
    spec = structs.replace(GOOD, **changes)
    with pytest.raises(InvalidInputError) as caught:
        Launcher().run(spec, on_output=lambda _stream, _data: None)
    return caught.value.message


def test_a_spec_must_name_its_script_once() -> None:
    assert "exactly once" in refuse(argv=("sh",))
    assert "exactly once" in refuse(argv=("sh", "scripts/x.sh", "scripts/x.sh"))


def test_a_spec_needs_words_and_something_to_run() -> None:
    assert "no command" in refuse(argv=())
    assert "neither" in refuse(exe="", script=None)
    assert "absolute" in refuse(exe="bin/sh")


@pytest.mark.parametrize("number", [0, 2, 30, 63, -1])
def test_data_descriptors_stay_in_their_range(number: int) -> None:
    assert str(number) in refuse(data={number: b""})


def test_zero_bytes_are_refused() -> None:
    assert "zero byte" in refuse(env={"A": "b\0c"})


def test_a_launcher_that_was_not_started_says_so() -> None:
    with pytest.raises(AdapterFailedError, match="not started"):
        Launcher().run(GOOD, on_output=lambda _stream, _data: None)


@pytest.mark.parametrize("executable", [False, True])
def test_a_sealed_file_has_its_content_and_cannot_be_changed(executable: bool) -> None:
    content = os.urandom(300_000)
    fd = sealed_memfd(content, executable=executable)
    try:
        assert Path(f"/proc/self/fd/{fd}").read_bytes() == content
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
        assert not os.get_inheritable(fd)
        for attempt in (lambda: os.write(fd, b"x"), lambda: os.ftruncate(fd, 1), lambda: os.ftruncate(fd, 1 << 20)):
            with pytest.raises(PermissionError):
                attempt()
    finally:
        os.close(fd)


def test_a_result_is_good_only_when_nothing_interfered() -> None:
    assert LaunchResult(exit_code=0).ok
    assert not LaunchResult(exit_code=0, killed="timeout").ok
    assert not LaunchResult(exit_code=1).ok
    assert not LaunchResult(error="no such file").ok
