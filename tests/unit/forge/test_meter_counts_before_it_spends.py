"""Budgets while a run goes on: counted before a step starts, charged when it ends, never passed by steps side by side."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from clockwork_nb.forge.metering import Meter, Usage, read_usage
from clockwork_nb.jobs.budget import Counters


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def meter(clock: Seconds, used: Counters | None = None, *, wall: bool = True, **limits: str) -> Meter:
    return Meter(used or Counters(), lambda: limits, wall=wall, monotonic=clock)


def test_a_step_that_would_pass_the_limit_does_not_begin() -> None:
    m = meter(Seconds(), Counters(step_count=1), step_count="2")
    assert m.begin(retry=False) is None
    excess = m.begin(retry=False)
    assert excess is not None
    assert (str(excess), excess.flag) == ("step_count 3 > 2", "--max-step-count")


def test_retries_are_a_budget_of_their_own() -> None:
    m = meter(Seconds(), retry_count="1")
    assert m.begin(retry=False) is None
    assert m.begin(retry=True) is None
    assert m.begin(retry=False) is None
    refused = m.begin(retry=True)
    assert refused is not None
    assert refused.dimension == "retry_count"


def test_steps_at_once_cannot_together_pass_a_limit() -> None:
    m = meter(Seconds(), step_count="50")
    begun: list[int] = []

    def many() -> None:
        for _ in range(40):
            if m.begin(retry=False) is None:
                begun.append(1)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 50


def test_wall_time_is_shared_out_and_never_counted_twice() -> None:
    clock = Seconds()
    m = meter(clock)
    m.begin(retry=False)
    m.begin(retry=False)
    clock.now += 2
    assert m.end(Usage(), retry=False).active_ms == 2000
    clock.now += 0.5
    assert m.end(Usage(7, "0.25"), retry=True) == Counters(1, 1, 1, 500, 7, "0.25")
    clock.now += 1
    assert m.rest() == Counters(active_ms=1000)


def test_wall_time_runs_out_while_steps_run_and_a_raised_limit_counts_at_once() -> None:
    clock = Seconds()
    limits = {"wall_time_seconds": "10"}
    m = Meter(Counters(active_ms=8000), lambda: limits, monotonic=clock)
    clock.now += 2
    assert m.overrun() is None
    clock.now += 0.5
    over = m.overrun()
    assert over is not None
    assert (over.dimension, over.used) == ("wall_time_seconds", "10.5")
    limits["wall_time_seconds"] = "60"
    assert m.overrun() is None


def test_a_run_that_does_not_measure_wall_time_charges_none() -> None:
    clock = Seconds()
    m = meter(clock, wall=False, wall_time_seconds="1")
    m.begin(retry=False)
    clock.now += 100
    assert m.overrun() is None
    assert m.end(Usage(), retry=False).active_ms == 0


def test_what_a_step_reports_is_summed(tmp_path: Path) -> None:
    path = tmp_path / "meter.jsonl"
    path.write_text('{"tokens": 10}\n\n{"tokens": 5, "cost": "0.10"}\n{"cost": 0.2}\n{"cost": 1}\n')
    assert read_usage(path) == Usage(15, "1.300000000")
    assert read_usage(tmp_path / "absent") == Usage()


@pytest.mark.parametrize(
    "text",
    [
        '{"tokens": -1}', '{"tokens": 1.5}', '{"tokens": true}', '{"cost": "NaN"}', '{"cost": -1}', '{"cost": [1]}',
        '{"other": 1}', "[]", "3", "{", '{"tokens": 99999999999999}', '{"cost": "1e400"}', "\x00", "[" * 5000,
    ],
)  # fmt: skip
def test_nonsense_is_told_and_charges_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "meter.jsonl"
    path.write_text(f'{{"tokens": 3}}\n{text}\n')
    found = read_usage(path)
    assert (found.tokens, found.cost) == (0, "0")
    assert "CW_METER" in found.problem


def test_a_flood_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "meter.jsonl"
    path.write_bytes(b'{"tokens": 1}\n' * 100_000)
    assert "longer than" in read_usage(path).problem


def test_what_is_no_file_is_told_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder"):
        assert "CW_METER" in read_usage(tmp_path / name).problem
