"""Older forms of the state are led to the present one by made-up steps; newer ones are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.assembly.prior import SCHEMA
from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError, StoreCorruptError
from clockwork_nb.forge.fold import new_state
from clockwork_nb.forge.state import StateFile
from clockwork_nb.forge.state_migration import MIGRATIONS, migrate, version_of

OLD = {"schema": "clockwork.state.v0", "lineage": "l", "number": 3, "things": []}


def to_v1(document: Mapping[str, Any]) -> dict[str, Any]:
    return {**new_state(document["lineage"]), "serial": document["number"], "resources": document["things"]}


def test_the_table_leads_from_every_released_form_to_the_present_one() -> None:
    assert set(MIGRATIONS) == set(range(1, version_of(SCHEMA)))


def test_a_document_is_led_through_every_version_it_lacks() -> None:
    def step(number: int) -> Any:
        return lambda d: {**d, "schema": f"clockwork.state.v{number + 1}", "steps": [*d["steps"], number]}

    found, had = migrate(
        {"schema": "clockwork.state.v2", "steps": []},
        migrations={n: step(n) for n in range(5)},
        schema="clockwork.state.v5",
    )
    assert (found["steps"], had) == ([2, 3, 4], "clockwork.state.v2")


def test_the_present_form_and_what_is_no_state_come_back_as_they_are() -> None:
    documents: list[Any] = [new_state("l"), {"schema": "other"}, {}, [], None, 3, {"schema": 1}]
    for document in documents:
        assert migrate(document) == (document, "")


@pytest.mark.parametrize(
    ("more", "who"), [({}, "a newer version"), ({"tool_version": "clockwork_nb 9.1"}, "by clockwork_nb 9.1")]
)
def test_a_newer_form_is_refused_and_says_who_wrote_it(tmp_path: Path, more: dict[str, Any], who: str) -> None:
    data = canonical_json({"schema": "clockwork.state.v2", **more})
    (tmp_path / "state.json").write_bytes(data)
    with pytest.raises(InvalidInputError, match=who) as caught:
        StateFile(tmp_path).load()
    assert "clockwork.state.v2" in caught.value.message
    assert SCHEMA in caught.value.message
    assert (tmp_path / "state.json").read_bytes() == data


def test_a_form_without_a_way_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="knows no way"):
        migrate(OLD)


def test_a_step_that_leads_elsewhere_is_noticed() -> None:
    with pytest.raises(InvalidInputError, match="does not lead to version 1"):
        migrate(OLD, migrations={0: lambda d: {**d, "schema": "clockwork.state.v3"}})


def test_reading_changes_nothing_and_the_first_write_keeps_the_original_for_good(tmp_path: Path) -> None:
    data = canonical_json(OLD)
    (tmp_path / "state.json").write_bytes(data)
    file = StateFile(tmp_path, migrations={0: to_v1})
    loaded = file.load()
    assert loaded == {**new_state("l"), "serial": 3}
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]
    file.save(canonical_json({**loaded, "serial": 4}))
    kept = tmp_path / "state.json.v0.backup"
    assert kept.read_bytes() == data
    file.save(canonical_json({**loaded, "serial": 5}), backup=True)
    file.save(canonical_json({**loaded, "serial": 6}), backup=True)
    assert kept.read_bytes() == data
    assert parse_json(file.backup_path.read_bytes())["serial"] == 5


def test_a_migrated_document_that_is_no_state_is_damage(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(canonical_json(OLD))
    with pytest.raises(StoreCorruptError, match="lineage"):
        StateFile(tmp_path, migrations={0: lambda d: {**to_v1(d), "lineage": 3}}).load()
