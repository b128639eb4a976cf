"""What becomes of a declared command: actions and scripts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep
from clockwork_nb.resources.scripts import (
    INSIDE,
    comment,
    data_artifact,
    parent,
    quote,
    require_known,
    safe_operand,
    sh_script,
)
from clockwork_nb.secrets import Sensitive

__all__ = ["actions", "compile_action", "describe"]

_RUN_AGAIN = ("script", "command", "interpreter", "triggers", "env", "working_dir", "creates")
"""The attributes whose change means that the command must run again; the others only limit how it runs."""

_ALREADY_THERE = """\
# Not when an input changed or it failed before (CW_RUN_AGAIN=1): then what is there may be old or half made.
if [ "$CW_RUN_AGAIN" = 0 ] && { [ -e "$CW_CREATES" ] || [ -L "$CW_CREATES" ]; }; then
    echo "already there: $CW_CREATES"
    exit 0
fi
"""

_UNLESS = """\
if sh "$CW_UNLESS"; then
    echo "not needed: the test in unless succeeded"
    exit 0
fi
"""

_REMOVE_CREATED = f"""\
{INSIDE}
if [ -d "$CW_PARENT" ]; then stay_inside "$CW_PARENT"; fi
if [ -d "$CW_PATH" ] && [ ! -L "$CW_PATH" ]; then
    if [ -n "$(ls -A -- "$CW_PATH")" ]; then
        echo "left in place: $CW_PATH is a folder that is not empty"
    else
        rmdir -- "$CW_PATH"
    fi
else
    rm -f -- "$CW_PATH"
fi
"""


def describe(config: Mapping[str, Any]) -> str:
    """Return what the command creates, or how it is run."""
    if config.get("creates"):
        return f"creates {config['creates']}"
    command = config.get("command")
    if isinstance(command, list):
        return comment(" ".join(str(word) for word in command))[:60]
    return f"{config.get('interpreter', 'sh')} script"


def actions(
    change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> Sequence[ActionSpec]:
    """Return the actions of *change*."""
    if change == "delete":
        creates = recorded.get("creates") if recorded else None
        return (ActionSpec("remove_created", {"path": creates}, timeout_s=60, idempotent=True),) if creates else ()
    if config is None or change not in {"create", "update", "replace"}:
        return ()
    if recorded is not None and all(config.get(name) == recorded.get(name) for name in _RUN_AGAIN):
        return ()
    names = ("script", "command", "interpreter", "creates", "unless", "env", "working_dir", "writes", "network")
    args = {name: config[name] for name in names}
    args["run_again"] = change != "create"
    return (ActionSpec("run_command", args, timeout_s=config["timeout"], idempotent=config["idempotent"]),)


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*."""
    require_known(action)
    if action.name == "remove_created":
        return _remove_created(action)
    if action.name != "run_command":
        raise InvalidInputError(f'a command has no action "{action.name}"')
    return _run_command(action)


def _remove_created(action: Action) -> CompiledStep:
    path = str(action.args["path"])
    script = sh_script(action, f"remove what the command made: {path}", _REMOVE_CREATED)
    values = {"CW_PATH": safe_operand(path), "CW_PARENT": safe_operand(parent(path))}
    # With the slash too: a folder can only be removed by who may write in the one around it.
    return CompiledStep((script,), ("sh", script.path), vars=values, write=(path, f"{path}/"))


def _run_command(action: Action) -> CompiledStep:
    args = action.args
    body: list[str] = []
    artifacts = []
    values: dict[str, str] = {}
    data: dict[str, str] = {}
    secrets: dict[str, Any] = {}
    secret_vars: dict[str, str] = {}

    if args["creates"]:
        body.append(_ALREADY_THERE)
        values["CW_CREATES"] = safe_operand(args["creates"])
        values["CW_RUN_AGAIN"] = "1" if args["run_again"] else "0"
    if args["working_dir"] != ".":
        body.append('cd -- "$CW_WORKING_DIR"\n')
        values["CW_WORKING_DIR"] = safe_operand(args["working_dir"])
    for name, value in args["env"].items():
        if isinstance(value, Sensitive):
            secret = f"{action.address}:env:{name}"
            secrets[secret], secret_vars[name] = value.value, secret
            # The variable holds the path of a file to read; the added x keeps line ends that $( ) would drop.
            body.append(f'{name}=$(cat -- "${name}"; printf x)\n{name}=${{{name}%x}}\nexport {name}\n')
        else:
            values[name] = value
    if args["unless"]:
        test, _ = data_artifact(action, "unless.sh", args["unless"], "the test that makes the command unnecessary")
        artifacts.append(test)
        data["CW_UNLESS"] = test.path
        body.append(_UNLESS)
    if args["command"] is not None:
        body.append("exec " + " ".join(quote(word) for word in args["command"]) + "\n")
        what = f"run {args['command'][0]}"
    else:
        extension = "py" if args["interpreter"] == "python3" else "sh"
        script, more = data_artifact(action, f"script.{extension}", args["script"], "the author's script")
        artifacts.append(script)
        secrets.update(more)
        data["CW_SCRIPT"] = script.path
        body.append(f'exec {args["interpreter"]} "$CW_SCRIPT"\n')
        what = f"run {script.path.rpartition('/')[2]}, which is beside this file"

    guard = sh_script(action, what, "\n".join(body))
    return CompiledStep(
        (guard, *artifacts),
        ("sh", guard.path),
        vars=values,
        secret_vars=secret_vars,
        data=data,
        secrets=secrets,
        write=_write_roots(args),
        network=tuple(args["network"]) if isinstance(args["network"], list) else args["network"],
    )


def _write_roots(args: Mapping[str, Any]) -> tuple[str, ...]:
    roots = set(args["writes"])
    if args["creates"]:
        roots.add(args["creates"])
    return tuple(sorted(roots))
