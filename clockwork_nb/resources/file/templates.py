"""What becomes of a declared file: exports, drift, actions, scripts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.scripts import (
    INSIDE,
    TRAPS,
    data_artifact,
    parent,
    require_known,
    safe_operand,
    sh_script,
)
from clockwork_nb.secrets import MASK, Sensitive, unseal

__all__ = ["actions", "compile_action", "content_bytes", "drift", "exports", "risks"]

_WRITE = f"""\
{INSIDE}
if [ -d "$CW_PATH" ]; then
    echo "$CW_PATH is a folder; a file cannot take its place" >&2
    exit 1
fi

# The nearest folder that exists must be in the project before anything is made below it.
folder=$CW_PARENT
while [ ! -d "$folder" ]; do folder=$(dirname -- "$folder"); done
stay_inside "$folder"
umask 022
mkdir -p -- "$CW_PARENT"

# Written beside its place and moved there: nobody ever sees half a file.
umask 077
temporary=$(mktemp -- "$CW_PARENT/.cw-XXXXXXXX")
{TRAPS}
cat -- "$CW_CONTENT" > "$temporary"
chmod -- "$CW_MODE" "$temporary"
mv -f -- "$temporary" "$CW_PATH"
"""

_REMOVE = f"""\
{INSIDE}
if [ -d "$CW_PATH" ] && [ ! -L "$CW_PATH" ]; then
    echo "left in place: $CW_PATH is a folder now"
    exit 0
fi
if [ -d "$CW_PARENT" ]; then
    stay_inside "$CW_PARENT"
    rm -f -- "$CW_PATH"
fi
"""


def content_bytes(value: Any) -> bytes | None:
    """Return the bytes that *value* (a content attribute) stands for; None while that cannot be told."""
    if isinstance(value, Sensitive):
        value = value.value
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else None


def exports(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with ``sha256`` and ``size``, which are as sensitive or unknown as the content."""
    content = config["content"]
    if contains_unknown(content):
        unknown = Unknown("the content is known only after apply")
        return {**config, "sha256": unknown, "size": unknown}
    data = content_bytes(content) or b""
    sha256, size = sha256_hex(data), len(data)
    if isinstance(content, Sensitive):
        return {**config, "sha256": Sensitive(sha256), "size": Sensitive(size)}
    return {**config, "sha256": sha256, "size": size}


def drift(config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
    """Return what differs between *config* and *observed*; contents appear as digests, sensitive ones not at all."""
    if observed.exists is None:
        return {}
    path = config.get("path")
    if not observed.exists:
        return {"path": (path, None)}
    seen = observed.attributes
    if seen.get("kind", "file") != "file":
        return {"path": (path, seen["kind"])}
    out: dict[str, tuple[Any, Any]] = {}
    content, digest = config.get("content"), seen.get("sha256")
    expected = content_bytes(content)
    if digest is not None and expected is not None and unseal(digest) != sha256_hex(expected):
        if isinstance(content, Sensitive) or isinstance(digest, Sensitive):
            out["content"] = (MASK, "something else")
        else:
            out["content"] = (f"sha256:{sha256_hex(expected)[:12]}", f"sha256:{digest[:12]}")
    if seen.get("mode") is not None and seen["mode"] != config.get("mode"):
        out["mode"] = (config.get("mode"), seen["mode"])
    return out


def actions(
    change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> Sequence[ActionSpec]:
    """Return the actions of *change*."""
    specs: list[ActionSpec] = []
    if change in {"delete", "replace"} and recorded is not None:
        specs.append(ActionSpec("remove_file", {"path": recorded["path"]}, timeout_s=60, idempotent=True))
    if change in {"create", "update", "replace"} and config is not None:
        args = {"path": config["path"], "content": config["content"], "mode": config["mode"]}
        specs.append(ActionSpec("write_file", args, timeout_s=60, idempotent=True))
    return specs


def risks(change: ChangeKind, config: Mapping[str, Any] | None, observed: Observation | None) -> Sequence[str]:
    """Return the risk classes of *change*."""
    if change == "delete":
        return ("destroy",)
    out = []
    if change == "replace":
        out.append("destroy")
    if (
        change == "create"
        and config is not None
        and observed is not None
        and observed.exists
        and drift(config, observed)
    ):
        out.append("overwrite")
    return tuple(out)


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*."""
    require_known(action)
    path = str(action.args["path"])
    values = {"CW_PATH": safe_operand(path), "CW_PARENT": safe_operand(parent(path))}
    if action.name == "remove_file":
        script = sh_script(action, f"remove the file {path}", _REMOVE)
        return CompiledStep((script,), ("sh", script.path), vars=values, write=(path,))
    if action.name != "write_file":
        raise InvalidInputError(f'a file has no action "{action.name}"')
    content, secrets = data_artifact(action, "content.txt", action.args["content"], f"the content of {path}")
    script = sh_script(action, f"write the file {path}", _WRITE)
    return CompiledStep(
        (script, content),
        ("sh", script.path),
        vars={**values, "CW_MODE": str(action.args["mode"])},
        data={"CW_CONTENT": content.path},
        secrets=secrets,
        write=(path,),
    )
