"""A project with the resource type ``ticket``, whose number is known only once it was issued."""

from __future__ import annotations

import os
from pathlib import Path

from clockwork_nb.testing.project import Project

__all__ = ["TICKET", "ticket_project"]

TICKET = 'ticket "t" {\n  path = "out/ticket"\n}\n'
"""One ticket."""

_SOURCE = Path(__file__).parents[1] / "data/ticket_type"


def ticket_project(root: Path, **env: str) -> Project:
    """Return a project in *root* whose commands know the type as one of the installed package ``cw-ticket``."""
    site = root / "site"
    info = site / "cw_ticket-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cw-ticket\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clockwork_nb.resources]\nticket = cw_ticket:TYPE\n")
    (site / "cw_ticket.py").write_text((_SOURCE / "cw_ticket.py").read_text())
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    project = Project(root, {"NO_COLOR": "1", "PYTHONPATH": path, **env})
    (project.folder / "office").mkdir()
    return project
