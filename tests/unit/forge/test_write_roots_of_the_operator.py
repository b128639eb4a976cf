"""Folders outside the project that the operator opened: written to when declared, and no way further."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.forge.confinement import Grant, WriteBounds, grants_within


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("project/.clockwork", "srv/www", "srv-other", "home"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def grants(place: Path, *declared: str, allowed: tuple[str, ...] = ("srv",)) -> list[Grant]:
    closed = [place / "project/.clockwork", place / "home"]
    return grants_within(WriteBounds.of(place / "project", closed, [place / a for a in allowed]), declared)


def test_a_file_below_an_allowed_root_gets_its_folder(place: Path) -> None:
    assert grants(place, f"{place}/srv/www/page") == [Grant(f"{place}/srv/www", "write")]
    assert grants(place, f"{place}/srv/page") == [Grant(f"{place}/srv", "write")]
    assert grants(place, "../srv/www/page") == [Grant(f"{place}/srv/www", "write")]


@pytest.mark.parametrize("declared", ["/etc/passwd", "{}/srv", "{}/srv-other/f", "{}/srv/../f", "../f", "{}/srv/.."])
def test_nothing_beside_it_is_open(place: Path, declared: str) -> None:
    with pytest.raises(UnsafeOperationError):
        grants(place, declared.format(place))


def test_a_link_out_of_an_allowed_root_leads_nowhere(place: Path) -> None:
    (place / "srv/out").symlink_to(place / "srv-other")
    with pytest.raises(UnsafeOperationError, match="outside the project"):
        grants(place, f"{place}/srv/out/f")
    (place / "srv/loop").symlink_to(place / "srv/loop")
    with pytest.raises(UnsafeOperationError, match="loop of links"):
        grants(place, f"{place}/srv/loop/f")


def test_an_allowed_root_opens_nothing_of_ours(place: Path) -> None:
    with pytest.raises(UnsafeOperationError, match=r"clockwork's own files|also holds"):
        grants(place, f"{place}/home/f", allowed=("home",))
    with pytest.raises(UnsafeOperationError, match="also holds"):
        grants(place, f"{place}/f", allowed=(".",))


def test_an_allowed_root_that_is_not_there_opens_nothing(place: Path) -> None:
    with pytest.raises(UnsafeOperationError, match="outside the project"):
        grants(place, f"{place}/gone/f", allowed=("gone",))
