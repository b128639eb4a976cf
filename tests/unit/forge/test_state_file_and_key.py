"""The state file, its backup, the throttled writer, and the workspace's key."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.assembly.prior import PriorState
from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import StoreCorruptError, StoreIOError, UnsafeOperationError
from clockwork_nb.forge.fold import StateImage, new_state
from clockwork_nb.forge.state import StateFile, StateWriter, load_state, secret_key


def entry(address: str, **config: Any) -> dict[str, Any]:
    return {
        "address": address, "type": address.split(".")[0], "config": config, "identity": {}, "declared_in": "main.cw",
        "dependencies": [], "status": "ok",
    }  # fmt: skip


def test_before_the_first_apply_there_is_no_state(tmp_path: Path) -> None:
    assert StateFile(tmp_path).load() is None
    assert load_state(tmp_path) == PriorState()


def test_what_is_saved_is_loaded_and_the_old_one_becomes_the_backup(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "ws")
    first = canonical_json(new_state("l"))
    file.save(first, backup=True)
    assert not file.backup_path.exists()
    second = canonical_json({**new_state("l"), "serial": 1})
    file.save(second, backup=True)
    file.save(canonical_json({**new_state("l"), "serial": 2}))
    assert file.backup_path.read_bytes() == first
    loaded = file.load()
    assert loaded is not None
    assert loaded["serial"] == 2
    assert load_state(tmp_path / "ws").serial == 2
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema":"other"}', b"\xff", b'{"a":1,"a":2}'])
def test_a_damaged_state_is_refused_and_left_as_it_is(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "state.json").write_bytes(data)
    with pytest.raises(StoreCorruptError) as caught:
        load_state(tmp_path)
    assert "state.json.backup" in caught.value.hint
    assert (tmp_path / "state.json").read_bytes() == data


def test_a_link_in_the_place_of_the_state_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(canonical_json(new_state("l")))
    (tmp_path / "state.json").symlink_to(tmp_path / "real")
    with pytest.raises(StoreIOError):
        load_state(tmp_path)


def test_an_image_has_the_canonical_bytes_of_its_document() -> None:
    image = StateImage({**new_state("lin"), "resources": [entry("b.xé", x=1), entry("a.x")]})
    assert image.document_bytes() == canonical_json(image.document())
    image.put(entry("b.a", y=[1, 2]))
    image.drop("a.x")
    image.set(serial=4, outputs=[{"name": "u", "value": 1, "sensitive": False}])
    assert image.document_bytes() == canonical_json(image.document())
    assert [e["address"] for e in image.document()["resources"]] == ["b.a", "b.xé"]
    assert PriorState.from_document(image.document()).to_document() == image.document()


def test_an_image_is_not_changed_through_what_it_gave_out() -> None:
    image = StateImage({**new_state("l"), "resources": [entry("a.x")]})
    got = image.entry("a.x")
    assert got is not None
    got["status"] = "failed"
    assert image.entry("a.x") == entry("a.x")
    assert image.entry("a.y") is None


class Ticking:
    """A clock that moves only when told, and by *cost* at each look."""

    def __init__(self, cost: float = 0.0) -> None:
        self.now, self.cost = 0.0, cost

    def __call__(self) -> float:
        self.now += self.cost
        return self.now


def test_the_writer_writes_at_most_every_quarter_second_and_when_flushed(tmp_path: Path) -> None:
    clock = Ticking()
    image = StateImage(new_state("l"))
    writer = StateWriter(StateFile(tmp_path), image, clock=clock)
    for tick in range(100):
        clock.now = tick / 100
        writer.changed()
    assert writer.writes == 3
    image.set(serial=7)
    writer.flush()
    assert load_state(tmp_path).serial == 7


def test_a_slow_disk_makes_the_writer_write_more_seldom(tmp_path: Path) -> None:
    clock = Ticking(cost=0.05)  # every write takes 0.05 s, so at most one a second
    writer = StateWriter(StateFile(tmp_path), StateImage(new_state("l")), clock=clock)
    while clock.now < 20:
        writer.changed()
    assert 10 <= writer.writes <= 20


def test_the_key_is_made_once_and_stays(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(tmp_path / "ws"), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    path = tmp_path / "ws" / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secret.key"]


def test_a_key_that_is_damaged_or_open_to_others_is_refused(tmp_path: Path) -> None:
    secret_key(tmp_path)
    (tmp_path / "secret.key").chmod(0o644)
    with pytest.raises(UnsafeOperationError) as caught:
        secret_key(tmp_path)
    assert caught.value.hint.startswith("chmod 600")
    (tmp_path / "secret.key").chmod(0o600)
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(StoreCorruptError):
        secret_key(tmp_path)
