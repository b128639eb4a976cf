"""A pack file is a regular file of a bounded size, opened once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session import pack_files
from clockwork_nb.session.pack_files import find_pack, read_pack


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pack.zip"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/null")
    with pytest.raises(InvalidInputError, match="is not a file"):
        read_pack(path)


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_the_size_limit(tmp_path: Path, over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_files, "MAX_PACK_BYTES", 5000)
    path = tmp_path / "pack.zip"
    path.write_bytes(b"x" * (5000 + over))
    if over > 0:
        with pytest.raises(InvalidInputError, match="no jobpack has"):
            read_pack(path)
    else:
        assert len(read_pack(path)) == 5000 + over


def test_the_name_may_be_a_link_and_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real.zip").write_bytes(b"real")
    (tmp_path / "link.zip").symlink_to("real.zip")
    opened: list[object] = []
    real = os.open

    def watched(path: Path, flags: int) -> int:
        opened.append(path)
        return real(path, flags)

    monkeypatch.setattr("clockwork_nb.session.pack_files.os.open", watched)
    assert read_pack(tmp_path / "link.zip") == b"real"
    assert opened == [tmp_path / "link.zip"]


def test_the_final_pack_wins_then_the_longest_log(tmp_path: Path) -> None:
    for name in ("jobpack_a.at9.zip", "jobpack_a.at12.zip", "jobpack_a.0123456789ab.zip", "jobpack_ab.at99.zip"):
        (tmp_path / name).write_bytes(b"x")
    assert find_pack(tmp_path, "a").name == "jobpack_a.at12.zip"
    (tmp_path / "jobpack_a.zip").write_bytes(b"x")
    assert find_pack(tmp_path, "a").name == "jobpack_a.zip"
    assert find_pack(tmp_path, "jobpack_a.at9.zip").name == "jobpack_a.at9.zip"
    for name in ("b", "../a", "A B", "jobpack_b.zip"):
        with pytest.raises(InvalidInputError):
            find_pack(tmp_path, name)
