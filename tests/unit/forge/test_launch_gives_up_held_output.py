"""Output that stays open after a step has ended, because a stranger holds the pipe, is not awaited for ever."""

from __future__ import annotations

import os
import threading

import pytest

from clockwork_nb.forge import launch


def test_a_pipe_that_a_stranger_holds_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_LINGER_S", 0.1)
    monkeypatch.setattr(launch, "_TICK_MS", 10)
    read_end, held = os.pipe()
    try:
        run = launch._Run("1")
        run.done.set()
        seen: list[int | None] = []
        reader = threading.Thread(target=lambda: seen.extend(launch._readable(run, {read_end: "out"})), daemon=True)
        reader.start()
        reader.join(20)
        assert not reader.is_alive(), "it waits for a stranger"
        assert set(seen) == {None}
    finally:
        os.close(held)
        os.close(read_end)
