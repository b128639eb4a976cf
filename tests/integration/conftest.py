"""A project of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project; whatever services it started are stopped afterwards."""
    made = Project(tmp_path)
    yield made
    if (made.folder / ".clockwork" / "services").is_dir():
        made.run("destroy", "--auto-approve", expect=None)
