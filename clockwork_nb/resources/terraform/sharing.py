"""Whether another workspace of the same folder has applied a module whose state lies in the module itself. Reads only.

Such a state is one for all: what one workspace destroys is gone for the other, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import InvalidInputError

__all__ = ["owner_of_state"]

_MAX_STATE = 64 << 20
_MOST_WORKSPACES = 1000


def owner_of_state(config: Mapping[str, Any], folder: Path, root: Path, workspace: Path) -> str:
    """Return which other workspace has this module in its state ("the workspace two"), ``""`` when there is none.

    Args:
        config: of the module; its source and workspace are known.
        folder: our own folder for the module, below *workspace*.
        root: the project folder.
        workspace: the folder of the workspace that asks.
    """
    if not _state_file(root / config["source"], config["workspace"]).is_file():
        return ""
    for name, other in _workspaces(root / ".clockwork"):
        # Who ever used the module has a folder for it, so most states need not be read.
        if other != workspace and (other / folder.relative_to(workspace)).is_dir() and _has(other, config):
            return name
    return ""


def _state_file(source: Path, workspace: str) -> Path:
    beside = source if workspace == "default" else source / "terraform.tfstate.d" / workspace
    return beside / "terraform.tfstate"


def _workspaces(top: Path) -> Iterator[tuple[str, Path]]:
    yield "the default workspace", top
    for kind, words in (("ws", "the workspace"), ("nb", "the notebook")):
        folders = sorted((top / kind).iterdir()) if (top / kind).is_dir() else []
        yield from ((f"{words} {folder.name}", folder) for folder in folders[:_MOST_WORKSPACES])


def _has(workspace: Path, config: Mapping[str, Any]) -> bool:
    try:
        with (workspace / "state.json").open("rb") as stream:
            resources = parse_json(stream.read(_MAX_STATE), what="a state")["resources"]
        recorded = [entry["config"] for entry in resources if entry["type"] == "terraform"]
        return any(all(c[name] == config[name] for name in ("source", "workspace")) for c in recorded)
    except (OSError, InvalidInputError, LookupError, TypeError):
        return False  # a state that cannot be read is its own workspace's trouble
