"""``symlink``: a symbolic link of the project."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.scripts import INSIDE, parent, require_known, safe_operand, sh_script

__all__ = ["TYPE", "SymlinkType"]

_LINK = f"""\
{INSIDE}
if [ -e "$CW_PATH" ] && [ ! -L "$CW_PATH" ]; then
    echo "$CW_PATH is there and no symbolic link" >&2
    exit 1
fi
stay_inside "$CW_PARENT"
# Made beside its place and moved there: nobody ever finds nothing.
temporary=$CW_PARENT/.cw-link-$$
ln -s -- "$CW_TARGET" "$temporary"
mv -fT -- "$temporary" "$CW_PATH"
"""

_UNLINK = f"""\
{INSIDE}
if [ -L "$CW_PATH" ]; then
    stay_inside "$CW_PARENT"
    rm -f -- "$CW_PATH"
elif [ -e "$CW_PATH" ]; then
    echo "left in place: $CW_PATH is no symbolic link any more"
fi
"""


class SymlinkType:
    """A symbolic link, changed in one move."""

    name = "symlink"
    aliases: tuple[str, ...] = ("link",)
    summary = "a symbolic link"
    verifies = False

    def model(self) -> type[Any]:
        """Return the attributes. Pydantic is imported here, when a configuration has such a resource."""
        from .config import SymlinkConfig

        return SymlinkConfig

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config and ``leads_to``, what the target is seen from the project folder."""
        path, target = config["path"], config["target"]
        known = isinstance(path, str) and isinstance(target, str)
        return {**config, "leads_to": os.path.normpath(f"{parent(path)}/{target}") if known else target}

    def export_names(self) -> frozenset[str]:
        """Return ``leads_to``."""
        return frozenset({"leads_to"})

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return ``path`` when it differs."""
        return frozenset({"path"} if before.get("path") != after["path"] else ())

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return the path: no two resources can have it."""
        path = config.get("path")
        return (f"path:{path}",) if isinstance(path, str) else ()

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return what was changed outside."""
        if observed.exists is None:
            return {}
        if not observed.exists:
            return {"path": (config.get("path"), None)}
        seen = observed.attributes.get("target")
        return {} if seen == config.get("target") else {"target": (config.get("target"), seen)}

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``create_link``, ``remove_link`` or both."""
        specs: list[ActionSpec] = []
        if change in {"delete", "replace"} and recorded is not None:
            specs.append(ActionSpec("remove_link", {"path": recorded["path"]}, timeout_s=60, idempotent=True))
        if change in {"create", "update", "replace"} and config is not None:
            args = {"path": config["path"], "target": config["target"]}
            specs.append(ActionSpec("create_link", args, timeout_s=60, idempotent=True))
        return specs

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``destroy`` when the link is removed."""
        return ("destroy",) if change in {"delete", "replace"} else ()

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return where it is and where it leads."""
        return f"{config.get('path')} → {config.get('target')}"

    def compile(self, action: Action) -> CompiledStep:
        """Return the script: values stand in variables, never in its text."""
        require_known(action)
        path = action.args["path"]
        values = {"CW_PATH": safe_operand(path), "CW_PARENT": safe_operand(parent(path))}
        if action.name == "remove_link":
            script = sh_script(action, f"remove the link {path}", _UNLINK)
        else:
            script = sh_script(action, f"let {path} lead to {action.args['target']}", _LINK)
            values["CW_TARGET"] = action.args["target"]
        # The folder around it: the right to write to a link would be one to what it leads to.
        beside = f"{parent(path)}/.cw-link"
        return CompiledStep((script,), ("sh", script.path), vars=values, write=(beside,))

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return whether the link is there and where it leads. Reads only."""
        path = config.get("path")
        if not isinstance(path, str):
            return Observation(None, detail="the path is not known yet")
        try:
            info = (context.root / path).lstat()
            target = os.readlink(context.root / path) if stat.S_ISLNK(info.st_mode) else "(no link)"
        except (FileNotFoundError, NotADirectoryError):
            return Observation(False, detail="not there")
        except OSError as error:
            return Observation(None, detail=f"cannot be read: {error.strerror}")
        return Observation(True, {"target": target}, f"leads to {target}")


TYPE = SymlinkType()
