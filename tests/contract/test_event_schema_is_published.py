"""The published schema of the event log is the one the checks come from."""

from __future__ import annotations

import json
from pathlib import Path

import clockwork_nb
from clockwork_nb.jobs.events import event_schema

PUBLISHED = Path(clockwork_nb.__file__).parent / "schemas" / "clockwork.event.v1.json"


def test_the_published_event_schema_is_up_to_date() -> None:
    assert json.loads(PUBLISHED.read_text()) == event_schema(), (
        f"write it again: {PUBLISHED.name} is json.dumps(event_schema(), indent=2, sort_keys=True)"
    )
