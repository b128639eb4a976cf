"""The process dies before any durable call of an apply of ten steps, and of the resume after that (P1, P2).

Many points quickly; `tests/fault/effects/forkserver.py` says how, and what is not as in a real run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

STEPS = 10
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder in memory, where there is one: a killed process leaves the same there as on a disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as place:
        yield Path(place, "sweep")


def sweep(folder: Path, *, idempotent: bool, stride: int, first: int = 1, again: int = 0) -> dict[str, Any]:
    words = [str(folder), str(STEPS), str(int(idempotent)), str(first), str(stride), str(again)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fault.effects.forkserver", *words], cwd=ROOT, capture_output=True, text=True,
        timeout=3000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    print(report["points"], "points in", round(report["seconds"], 1), "s")
    return report


@pytest.mark.parametrize("idempotent", [True, False])
def test_killed_at_every_ninth_call(folder: Path, idempotent: bool) -> None:
    report = sweep(folder, idempotent=idempotent, stride=9, first=4 if idempotent else 1)
    assert report["failures"] == []
    assert report["points"] >= 30


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("idempotent", [True, False])
def test_killed_at_every_call(folder: Path, idempotent: bool) -> None:
    report = sweep(folder, idempotent=idempotent, stride=1)
    assert report["failures"] == []
    assert report["points"] >= 300


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("again", [2, 9, 17, 26, 38, 55])
def test_killed_again_while_it_is_resumed(folder: Path, idempotent: bool, again: int) -> None:
    report = sweep(folder, idempotent=idempotent, stride=6, first=1 + again % 6, again=again)
    assert report["failures"] == []
