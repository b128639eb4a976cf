"""What the attributes of a ``directory`` are when they are plain."""

from __future__ import annotations

from clockwork_nb.resources.plain import REQUIRED, PlainAttributes, mode, project_path

__all__ = ["PLAIN"]

PLAIN = PlainAttributes({"path": (project_path, REQUIRED), "mode": (mode, "0755")})
