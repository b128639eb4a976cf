"""What becomes of a declared folder: drift, actions, scripts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.scripts import INSIDE, require_known, safe_operand, sh_script

__all__ = ["actions", "compile_action", "drift"]

_CREATE = f"""\
{INSIDE}
# The nearest folder that exists must be in the project before anything is made below it.
folder=$CW_PATH
while [ ! -d "$folder" ]; do folder=$(dirname -- "$folder"); done
stay_inside "$folder"
if [ -L "$CW_PATH" ]; then
    echo "$CW_PATH is a symbolic link; the mode of what it leads to is not ours to change" >&2
    exit 1
fi

umask 022
mkdir -p -- "$CW_PATH"
chmod -- "$CW_MODE" "$CW_PATH"
"""

_REMOVE = f"""\
{INSIDE}
if [ -L "$CW_PATH" ] || {{ [ -e "$CW_PATH" ] && [ ! -d "$CW_PATH" ]; }}; then
    echo "left in place: $CW_PATH is no folder any more"
elif [ -d "$CW_PATH" ]; then
    stay_inside "$CW_PATH"
    if [ -n "$(ls -A -- "$CW_PATH")" ]; then
        echo "left in place: $CW_PATH is not empty, and what is in it is not ours"
    else
        rmdir -- "$CW_PATH"
    fi
fi
"""


def drift(config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
    """Return what differs between *config* and *observed*."""
    if observed.exists is None:
        return {}
    seen = observed.attributes
    if not observed.exists:
        return {"path": (config.get("path"), None)}
    if seen.get("kind", "folder") != "folder":
        return {"path": (config.get("path"), seen["kind"])}
    if seen.get("mode") is not None and seen["mode"] != config.get("mode"):
        return {"mode": (config.get("mode"), seen["mode"])}
    return {}


def actions(
    change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> Sequence[ActionSpec]:
    """Return the actions of *change*.

    A replacement by another path removes the old folder last: what is in it moves out first. One by the same path can
    only begin with the removal.
    """
    made: list[ActionSpec] = []
    removed: list[ActionSpec] = []
    if change in {"create", "update", "replace"} and config is not None:
        args = {"path": config["path"], "mode": config["mode"]}
        made.append(ActionSpec("create_directory", args, timeout_s=60, idempotent=True))
    if change in {"delete", "replace"} and recorded is not None:
        removed.append(ActionSpec("remove_directory", {"path": recorded["path"]}, timeout_s=60, idempotent=True))
    if made and removed and config is not None and recorded is not None and config["path"] == recorded["path"]:
        return [*removed, *made]
    return [*made, *removed]


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*."""
    require_known(action)
    path = str(action.args["path"])
    values = {"CW_PATH": safe_operand(path)}
    if action.name == "remove_directory":
        script = sh_script(action, f"remove the folder {path} if it is empty", _REMOVE)
    elif action.name == "create_directory":
        script = sh_script(action, f"make the folder {path}", _CREATE)
        values["CW_MODE"] = str(action.args["mode"])
    else:
        raise InvalidInputError(f'a directory has no action "{action.name}"')
    return CompiledStep((script,), ("sh", script.path), vars=values, write=(f"{path}/",))
