"""Looks at what a command says it creates. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clockwork_nb.ports import Observation, ObserveContext

__all__ = ["observe"]


def observe(config: Mapping[str, Any], context: ObserveContext) -> Observation:
    """Return ``created`` (whether the path of ``creates`` is there). A command itself can not be seen: exists is None."""
    creates = config.get("creates")
    if not isinstance(creates, str):
        return Observation(None, detail="nothing to look at")
    try:
        (context.root / creates).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Observation(None, {"created": False}, f"{creates} is not there")
    except OSError as error:
        return Observation(None, detail=f"{creates} cannot be read: {error.strerror}")
    return Observation(None, {"created": True}, f"{creates} is there")
