"""Looks at a declared folder. Reads only."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import Any

from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.resources.project_paths import path_in_project

__all__ = ["found", "observe"]


def observe(config: Mapping[str, Any], context: ObserveContext) -> Observation:
    """Return what is at ``path``: ``kind`` (a link is not followed) and, for a folder, ``mode``."""
    path = config.get("path")
    if not isinstance(path, str):
        return Observation(None, detail="the path is not known yet")
    try:
        info = (context.root / path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Observation(False, detail="not there")
    except OSError as error:
        return Observation(None, detail=f"cannot be read: {error.strerror}")
    if stat.S_ISLNK(info.st_mode):
        return Observation(True, {"kind": "symbolic link"}, "a symbolic link")
    if not stat.S_ISDIR(info.st_mode):
        return Observation(True, {"kind": "file"}, "no folder")
    # Without the set-group bit: a folder inherits it from its parent, and chmod with digits leaves it alone.
    mode = f"{info.st_mode & 0o777:04o}"
    return Observation(True, {"kind": "folder", "mode": mode}, f"mode {mode}")


def found(import_id: str, context: ObserveContext) -> Mapping[str, Any] | None:
    """Return ``path`` and ``mode`` of the folder *import_id*; None when there is none.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, no path of something in the project.
    """
    path = path_in_project(import_id)
    seen = observe({"path": path}, context)
    if not seen.exists or seen.attributes.get("kind") != "folder":
        return None
    return {"path": path, "mode": seen.attributes["mode"]}
