"""What becomes of a declared file: its content, exports, drift, actions, scripts. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ProjectFiles
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

__all__ = ["BACKUP_MARK", "actions", "compile_action", "content_bytes", "drift", "exports", "risks", "with_files"]

BACKUP_MARK = ".cw-backup-"
"""Between the name of a file and the first eight digits of the SHA-256 of what is kept of it."""

_NAME_BYTES = 255

_KEEP = """\
# Keeps what is at $CW_PATH beside it, under the digest of its bytes, unless this tool wrote it there (CW_OURS).
# As a second name of the same file where that can be had: an edit made at this very moment is in it too.
keep() {
    if [ -L "$CW_PATH" ]; then
        digest=$(readlink -- "$CW_PATH" | sha256sum)
    else
        digest=$(sha256sum < "$CW_PATH")
        if [ "${digest%% *}" = "$CW_OURS" ]; then return 0; fi
    fi
    kept=$CW_BACKUP$(printf %.8s "$digest")
    if [ -e "$kept" ] || [ -L "$kept" ]; then
        if [ ! -L "$CW_PATH" ] && [ -f "$kept" ] && cmp -s -- "$CW_PATH" "$kept"; then return 0; fi
        kept=$CW_BACKUP${digest%% *}
        if [ -e "$kept" ] || [ -L "$kept" ]; then return 0; fi
    fi
    if [ -L "$CW_PATH" ] || ! ln -- "$CW_PATH" "$kept" 2> /dev/null; then cp -pP -- "$CW_PATH" "$kept"; fi
    echo "kept what was there as $kept"
}
"""

_WRITE = f"""\
{INSIDE}
{_KEEP}
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
if [ -n "$CW_BACKUP" ]; then
    if [ -L "$CW_PATH" ]; then
        keep
    elif [ -f "$CW_PATH" ] && ! cmp -s -- "$temporary" "$CW_PATH"; then
        keep
    fi
fi
mv -f -- "$temporary" "$CW_PATH"
"""

_REMOVE = f"""\
{INSIDE}
{_KEEP}
if [ -d "$CW_PATH" ] && [ ! -L "$CW_PATH" ]; then
    echo "left in place: $CW_PATH is a folder now"
    exit 0
fi
if [ -d "$CW_PARENT" ]; then
    stay_inside "$CW_PARENT"
    if [ -n "$CW_BACKUP" ]; then
        # Without CW_OURS what was written here is a secret, and then nobody can tell an edit from it.
        if [ -L "$CW_PATH" ] || {{ [ -n "$CW_OURS" ] && [ -f "$CW_PATH" ]; }}; then keep; fi
    fi
    rm -f -- "$CW_PATH"
fi
"""


def with_files(config: Mapping[str, Any], files: ProjectFiles) -> Mapping[str, Any]:
    """Return *config* with the content that ``source`` or ``template`` lead to: text if it is UTF-8, else base64."""
    source, template = config["source"], config["template"]
    if isinstance(source, Unknown) or isinstance(template, Unknown):
        return {**config, "content": Unknown("the file's name is known only after apply")}
    if template is not None:
        return {**config, "content": files.render(template, config["vars"], attribute="template")}
    if source is None:
        return config
    data = files.read(source, attribute="source")
    try:
        return {**config, "content": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {**config, "content_base64": base64.b64encode(data).decode()}


def content_bytes(config: Mapping[str, Any]) -> bytes | None:
    """Return the bytes that the file of *config* has; None while that cannot be told."""
    text = config.get("content")
    if isinstance(text, Sensitive):
        text = text.value
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    encoded = config.get("content_base64")
    return base64.b64decode(encoded) if text is None and isinstance(encoded, str) else None


def exports(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with ``sha256`` and ``size``, which are as sensitive or unknown as the content."""
    content = config["content"]
    data = content_bytes(config)
    if data is None or contains_unknown(content):
        unknown = Unknown("the content is known only after apply")
        computed: dict[str, Any] = {"sha256": unknown, "size": unknown}
    else:
        computed = {"sha256": sha256_hex(data), "size": len(data)}
    if isinstance(content, Sensitive):
        computed = {name: Sensitive(value) for name, value in computed.items()}
    return {**config, **computed}


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
    digest, expected = seen.get("sha256"), content_bytes(config)
    if digest is not None and expected is not None and unseal(digest) != sha256_hex(expected):
        if isinstance(config.get("content"), Sensitive) or isinstance(digest, Sensitive):
            out["content"] = (MASK, "something else")
        else:
            out["content"] = (f"sha256:{sha256_hex(expected)[:12]}", f"sha256:{digest[:12]}")
    if seen.get("mode") is not None and seen["mode"] != config.get("mode"):
        out["mode"] = (config.get("mode"), seen["mode"])
    return out


def actions(
    change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> Sequence[ActionSpec]:
    """Return the actions of *change*; none for an update that leaves bytes and mode as they are recorded."""
    specs: list[ActionSpec] = []
    if change in {"delete", "replace"} and recorded is not None:
        args = {"path": recorded["path"], "backup": recorded.get("backup", True), "ours": _ours(recorded)}
        specs.append(ActionSpec("remove_file", args, timeout_s=60, idempotent=True))
    if config is None or change not in {"create", "update", "replace"}:
        return specs
    if change == "update" and recorded is not None and _same_file(config, recorded):
        return specs
    args = {"path": config["path"], "mode": config["mode"], "backup": config["backup"]}
    if config["content"] is not None:
        args["content"] = config["content"]
    else:
        args["content_base64"] = config["content_base64"]
    args["ours"] = _ours(recorded) if change == "update" and recorded is not None else ""
    if args["ours"] is None:
        # The old content is a secret of which nobody knows more than that it was written here: it is not multiplied.
        args["backup"], args["ours"] = False, ""
    specs.append(ActionSpec("write_file", args, timeout_s=60, idempotent=True))
    return specs


def _same_file(config: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    if any(config[name] != recorded.get(name) for name in ("path", "mode")):
        return False
    wanted, known = content_bytes(config), content_bytes(recorded)
    return wanted is not None and wanted == known


def _ours(recorded: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of what was written here last, None when that is a secret."""
    data = content_bytes(recorded)
    if data is None or isinstance(recorded.get("content"), Sensitive):
        return None
    return sha256_hex(data)


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
    values["CW_BACKUP"] = safe_operand(_backup_prefix(path)) if action.args.get("backup") else ""
    values["CW_OURS"] = action.args.get("ours") or ""
    if action.name == "remove_file":
        script = sh_script(action, f"remove the file {path}", _REMOVE)
        return CompiledStep((script,), ("sh", script.path), vars=values, write=(path,))
    if action.name != "write_file":
        raise InvalidInputError(f'a file has no action "{action.name}"')
    if "content" in action.args:
        name, value = "content.txt", action.args["content"]
    else:
        name, value = "content.bin", base64.b64decode(action.args["content_base64"])
    content, secrets = data_artifact(action, name, value, f"the content of {path}")
    script = sh_script(action, f"write the file {path}", _WRITE)
    return CompiledStep(
        (script, content),
        ("sh", script.path),
        vars={**values, "CW_MODE": str(action.args["mode"])},
        data={"CW_CONTENT": content.path},
        secrets=secrets,
        write=(path,),
    )


def _backup_prefix(path: str) -> str:
    """Return what the name of a kept version begins with; a very long name is cut, at a whole character."""
    folder, slash, name = path.rpartition("/")
    room = _NAME_BYTES - len(BACKUP_MARK) - 64
    name = name.encode()[:room].decode("utf-8", "ignore")
    return f"{folder}{slash}{name}{BACKUP_MARK}"
