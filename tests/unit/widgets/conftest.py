"""A comm that keeps what a kernel would send to the page, through the extension point of the ``comm`` package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm
from ipywidgets.widgets.widget import _instances


class Wire:
    """All messages of all comms, in order, and the comms that are open."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, dict[str, Any]]] = []
        self.open: set[str] = set()

    def custom(self, model_id: str) -> list[dict[str, Any]]:
        """Return the contents of ``widget.send`` to the view of *model_id*."""
        return [d["content"] for kind, to, d in self.messages if to == model_id and d.get("method") == "custom"]

    def updates(self, model_id: str, name: str) -> list[Any]:
        """Return every value that trait *name* was set to after the start."""
        return [
            d["state"][name]
            for kind, to, d in self.messages
            if to == model_id and d.get("method") == "update" and name in d["state"]
        ]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    made = Wire()

    class RecordingComm(BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, **_rest: Any) -> None:
            if msg_type == "comm_open":
                made.open.add(self.comm_id)
            elif msg_type == "comm_close":
                made.open.discard(self.comm_id)
            made.messages.append((msg_type, self.comm_id, data or {}))

    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    before = dict(_instances)
    yield made
    for key, widget in list(_instances.items()):
        if key not in before:
            widget.close()
