"""A step that only asks what a change would do leaves nothing in the state, whatever kind of change it asks about."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.forge.fold import recorded


@pytest.mark.parametrize("kind", ["create", "update", "replace", "delete"])
def test_a_deferred_change_is_not_recorded_though_a_step_ran_for_it(kind: str) -> None:
    change: dict[str, Any] = {"kind": kind, "after": None if kind == "delete" else {}}
    assert recorded(change)
    assert not recorded({**change, "deferred": "terraform is asked first"})
