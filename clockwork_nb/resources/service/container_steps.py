"""The scripts that make, stop and remove a container. Pure.

A script is one engine's command line, written out: what a person would have typed. It touches a container only when that
carries our labels for this project and address.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Action, CompiledStep
from clockwork_nb.resources.containers import (
    ADDRESS_LABEL,
    ENGINE_PATH,
    ENGINE_VARIABLES,
    ENGINES,
    PROJECT_LABEL,
    SCRIPT_LABEL,
    SPEC_LABEL,
    WORKSPACE_LABEL,
    container_name,
    spec_digest,
)
from clockwork_nb.resources.scripts import comment, quote, require_known, sh_script
from clockwork_nb.resources.service.container_exchange import alive, exchange, head, make_room, taken
from clockwork_nb.secrets import Sensitive

__all__ = ["LIMITS", "LIMIT_FIELDS", "SPEC", "compile_container", "container_spec", "wanted_limits"]

SPEC: Final = (
    "image",
    "command",
    "ports",
    "env",
    "volumes",
    "working_dir",
    "user",
    "network",
    "read_only",
    "privileged",
    "labels",
    "logging",
)
"""What a container is made with; a change of any of it makes it anew."""

LIMITS: Final = ("memory", "cpus", "pids", "restart")
"""What can change while a container runs, where its engine can do that."""

LIMIT_FIELDS: Final[Mapping[str, str]] = {
    "memory": "{{.HostConfig.Memory}}",
    "cpus": "{{.HostConfig.NanoCpus}}",
    "pids": "{{.HostConfig.PidsLimit}}",
    "restart": "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}",
}


_INSIDE: Final = """\
# Prints where $1 really is, links resolved: a folder or file of the project, and nothing of the tool's own.
inside() {
    place=$(readlink -f -- "$1") || place=
    if [ -z "$place" ] || [ ! -e "$place" ]; then
        echo "$1 is to be mounted and is not there; declare it as a directory or a file" >&2
        exit 1
    fi
    case "$place" in
        *:*) echo "$place has a colon in its name and cannot be mounted" >&2; exit 1 ;;
        "$CW_PROJECT"/.clockwork | "$CW_PROJECT"/.clockwork/*) ;;
        "$CW_PROJECT"/?*) printf '%s' "$place"; return ;;
    esac
    echo "$1 leads to $place, which may not be mounted" >&2
    exit 1
}
"""


def container_spec(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of *config* a container cannot be without: `SPEC`, and which limits it has."""
    limited = [name for name in LIMITS[:-1] if config.get(name) is not None]
    return {**{name: config.get(name) for name in SPEC}, "limited": limited}


def wanted_limits(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the limits of *config* in the words of ``inspect``, those that are given and the restart policy."""
    out = {}
    if config.get("memory") is not None:
        out["memory"] = str(config["memory"])
    if config.get("cpus") is not None:
        out["cpus"] = str(round(config["cpus"] * 1_000_000_000))
    if config.get("pids") is not None:
        out["pids"] = str(config["pids"])
    policy, _, most = str(config["restart"]).partition(":")
    return {**out, "restart": f"{policy}:{most or 0}"}


def compile_container(action: Action) -> CompiledStep:
    """Return the step of *action*, whose args name the engine.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, an unknown action or value, or no engine was decided.
    """
    require_known(action)
    args, name = action.args, container_name(action.args.get("name"), action.address)
    if args["engine"] not in ENGINES:
        raise InvalidInputError(
            f"it was not decided which container engine runs {action.address}",
            hint='Write engine = "podman" or engine = "docker".',
        )
    values = {"CW_NAME": name, "CW_ADDRESS": action.address, "CW_PATTERN": name.replace(".", "\\.")}
    if "stop_timeout" in args:
        values["CW_STOP_S"] = str(math.ceil(args["stop_timeout"]))
    made = _STEPS[action.name](action, name) if action.name in _STEPS else None
    if made is None:
        raise InvalidInputError(f'a service has no action "{action.name}"')
    what, body, more, rest = made
    script = sh_script(action, what, body)
    return CompiledStep(
        (script,),
        ("sh", script.path),
        vars={**values, **more},
        cls="host",
        environment=ENGINE_VARIABLES,
        network=action.name == "pull_image",
        # Without a daemon the engine leaves a process beside each container, which watches it.
        detaches=action.name == "ensure_service" and args["engine"] == "podman",
        **rest,
    )


_Made = tuple[str, str, dict[str, str], dict[str, Any]]


def _ensure(action: Action, name: str) -> _Made:
    args, engine = action.args, action.args["engine"]
    limits = wanted_limits(args)
    values = {
        "CW_IMAGE": str(args["image"]),
        "CW_SPEC": spec_digest(container_spec(args)),
        "CW_ANEW": "1" if args["anew"] else "0",
        "CW_LIMITS": " ".join(limits.values()),
        "CW_RESTART": str(args["restart"]),
    }
    for limit in ("memory", "cpus", "pids"):
        if limit in limits:
            values[f"CW_{limit.upper()}"] = str(args[limit])
    secrets, secret_vars, load = _secret_environment(action)
    body = (
        f"{head(engine)}\n{taken(engine)}\n{_INSIDE if args.get('volumes') else ''}"
        f"{exchange(engine)}\n{_reuse(engine, limits)}\n{_make(engine, args, limits, load)}\n{alive(engine)}"
    )
    return f"make sure that the container {name} runs", body, values, {"secrets": secrets, "secret_vars": secret_vars}


def _secret_environment(action: Action) -> tuple[dict[str, Any], dict[str, str], str]:
    """Return the secrets, the variables that say where to read them, and the lines that do it."""
    secrets: dict[str, Any] = {}
    variables: dict[str, str] = {}
    lines = []
    for name, value in dict(action.args["env"] or {}).items():
        if isinstance(value, Sensitive):
            secret, variable = f"{action.address}:env:{name}", f"CW_SECRET_{name}"
            secrets[secret], variables[variable] = value.value, secret
            # The added x keeps line ends that $( ) would drop.
            lines.append(f'{name}=$(cat -- "${variable}"; printf x)\n{name}=${{{name}%x}}\nexport {name}\n')
    why = "# Secrets reach the engine in its environment: they are in no file of ours and in no command line.\n"
    return secrets, variables, why + "".join(lines) if lines else ""


def _reuse(engine: str, limits: Mapping[str, str]) -> str:
    fields = " ".join(LIMIT_FIELDS[name] for name in limits)
    words = [f'--{flag} "$CW_{name.upper()}"' for name, flag in _LIMIT_FLAGS.items() if name in limits]
    return f"""\
# This script's own digest is a label too, so that an edit of it has an effect.
CW_SCRIPT=$(sha256sum < "$0")
CW_SCRIPT=${{CW_SCRIPT%% *}}
CW_DONE=
CW_FRESH=1
limits() {{ {engine} inspect --type container --format '{fields}' "$CW_ID"; }}
# An engine without a daemon believes its notes: one that was killed while it started a container calls it running.
really_runs() {{ {engine} top "$CW_ID" > /dev/null 2>&1; }}

if [ -n "$CW_ID" ] && [ "$spec" = "$CW_SPEC" ] && [ "$script" = "$CW_SCRIPT" ] && [ "$CW_ANEW" = 0 ]; then
    keep=1
    if [ "$(limits)" != "$CW_LIMITS" ]; then
        # In place where the engine can; what it then says of itself decides whether it could.
        {engine} update {" ".join(words)} "$CW_ID" > /dev/null 2>&1 || keep=0
        [ "$(limits)" = "$CW_LIMITS" ] || keep=0
        [ $keep = 0 ] || echo "limits changed in place"
    fi
    if [ "$status" = running ] && ! really_runs; then
        keep=0
    fi
    # It was to replace another one and ended: that was never up.
    if [ -n "$CW_OLD" ] && [ "$status" != running ]; then
        keep=0
    fi
    if [ $keep = 1 ] && [ "$status" = running ]; then
        CW_DONE=running
        if [ -z "$CW_OLD" ]; then
            echo "running, container $(printf %.12s "$CW_ID")"
            exit 0
        fi
        guard "$CW_OLD" 1
    fi
    if [ $keep = 1 ] && {{ [ "$status" = exited ] || [ "$status" = created ] || [ "$status" = stopped ]; }}; then
        {engine} start "$CW_ID" > /dev/null
        CW_DONE='started again'
        CW_FRESH=0
    fi
fi
"""


_LIMIT_FLAGS: Final = {"memory": "memory", "cpus": "cpus", "pids": "pids-limit", "restart": "restart"}


def _make(engine: str, args: Mapping[str, Any], limits: Mapping[str, str], load: str) -> str:
    words, mounts = _run_words(engine, args, limits)
    lines = " \\\n        ".join([*words, '"$CW_IMAGE_ID"' + "".join(f" {quote(w)}" for w in args["command"] or ())])
    return f"""\
if [ -z "$CW_DONE" ]; then
    # By id: a name could come to mean another image while this runs.
    CW_IMAGE_ID=$({engine} image inspect --format '{{{{.Id}}}}' "$CW_IMAGE") || {{
        echo "the image $CW_IMAGE is not on this machine" >&2
        exit 1
    }}
{_indented(mounts)}    CW_DONE=started
{_indented(make_room(engine))}{_indented(load)}    # What it is made with, word by word; a sensitive value is never a word.
    CW_ID=$({engine} run --detach --init --pull=never \\
        {lines})
fi
"""


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _run_words(engine: str, args: Mapping[str, Any], limits: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the words of ``run`` in groups, one a line, and the lines that find what is mounted."""
    words = ['--name "$CW_NAME"']
    for label, variable in (
        (PROJECT_LABEL, "CW_PROJECT"),
        (WORKSPACE_LABEL, "CW_PLACE"),
        (ADDRESS_LABEL, "CW_ADDRESS"),
        (SPEC_LABEL, "CW_SPEC"),
        (SCRIPT_LABEL, "CW_SCRIPT"),
    ):
        words.append(f'--label {label}="${variable}"')
    words += [f"--label {quote(f'{k}={v}')}" for k, v in (args["labels"] or {}).items()]
    for port in args["ports"]:
        ip = port.get("host_ip") or "127.0.0.1"
        words.append(f"--publish {f'[{ip}]' if ':' in ip else ip}:{port['external']}:{port['internal']}")
    for name, value in (args["env"] or {}).items():
        words.append(f"--env {name}" if isinstance(value, Sensitive) else f"--env {quote(f'{name}={value}')}")
    mounts = []
    for number, mount in enumerate(args["volumes"] or (), 1):
        tail = f"{mount['target']}:{mount['mode']}"
        if mount["path"] is not None:
            mounts.append(f"CW_MOUNT_{number}=$(inside {quote('./' + mount['path'])})\n")
            words.append(f'--volume "$CW_MOUNT_{number}":{quote(tail)}')
        else:
            words.append(f"--volume {quote(mount['volume'] + ':' + tail)}")
    words += [f'--{flag} "$CW_{name.upper()}"' for name, flag in _LIMIT_FLAGS.items() if name in limits]
    words += _logging(engine, args["logging"] or {})
    if args["network"] is not None:
        words.append(f"--network {quote(args['network'])}")
    if args["user"] is not None:
        words.append(f"--user {quote(args['user'])}")
    if args["working_dir"] is not None:
        words.append(f"--workdir {quote(args['working_dir'])}")
    words += ["--read-only"] if args["read_only"] else []
    words += ["--privileged"] if args["privileged"] else []
    return words, "".join(mounts)


def _logging(engine: str, logging: Mapping[str, Any]) -> list[str]:
    options = {"max-size": logging.get("max_size"), "max-file": logging.get("max_file")}
    given = [f"--log-opt {name}={value}" for name, value in options.items() if value is not None]
    driver = logging.get("driver")
    if driver is None and given:
        # The engine's own driver may keep no files of its own (journald).
        driver = "k8s-file" if engine == "podman" else "json-file"
    return ([f"--log-driver {quote(driver)}"] if driver is not None else []) + given


def _stop(action: Action, name: str) -> _Made:
    engine = action.args["engine"]
    body = f"""\
{head(engine)}
if [ -n "$CW_OLD" ] && [ -z "$CW_ID" ]; then
    # An exchange that was cut short left it under another name.
    {engine} rename "$CW_OLD" "$CW_NAME"
    look
fi
if [ -z "$CW_ID" ]; then
    echo "not running"
    exit 0
fi
{taken(engine)}
{engine} stop -t "$CW_STOP_S" "$CW_ID" > /dev/null
echo "stopped, container $(printf %.12s "$CW_ID")"
"""
    return f"stop the container {name}", body, {}, {}


def _remove(action: Action, name: str) -> _Made:
    engine = action.args["engine"]
    body = f"""\
{head(engine)}
# Volumes stay, named or not.
if [ -n "$CW_OLD" ]; then
    remove "$CW_OLD" "$CW_STOP_S"
    echo "removed, container $(printf %.12s "$CW_OLD"), which an exchange that was cut short had set aside"
fi
if [ -z "$CW_ID" ]; then
    [ -n "$CW_OLD" ] || echo "gone already"
    exit 0
fi
if ! ours; then
    echo "left in place: the container $CW_NAME is not of $CW_ADDRESS in this project"
    exit 0
fi
remove "$CW_ID" "$CW_STOP_S"
echo "removed, container $(printf %.12s "$CW_ID")"
"""
    return f"remove the container {name}", body, {}, {}


def _pull(action: Action, _name: str) -> _Made:
    args, engine = action.args, action.args["engine"]
    body = f"""\
PATH={ENGINE_PATH}
if [ "$CW_ALWAYS" = 0 ] && {engine} image inspect "$CW_IMAGE" > /dev/null 2>&1; then
    echo "$CW_IMAGE is here already"
    exit 0
fi
{engine} pull --quiet "$CW_IMAGE"
"""
    image = str(args["image"])
    values = {"CW_IMAGE": image, "CW_ALWAYS": "1" if args["pull"] == "always" else "0"}
    return comment(f"fetch the image {image}"), body, values, {}


def _probe(action: Action, name: str) -> _Made:
    args, engine = action.args, action.args["engine"]
    words = " ".join(quote(word) for word in args["command"])
    body = f"""\
{head(engine)}
if [ -z "$CW_ID" ] || ! ours; then
    echo "the container $CW_NAME is not there" >&2
    exit 1
fi
try=1
while ! timeout "$CW_TIMEOUT" {engine} exec "$CW_ID" {words}; do
    if [ "$try" -ge "$CW_RETRIES" ]; then
        echo "not healthy after $try tries" >&2
        exit 1
    fi
    try=$((try + 1))
    sleep "$CW_INTERVAL"
done
echo "healthy at try $try"
"""
    values = {"CW_RETRIES": str(args["retries"]), "CW_INTERVAL": str(args["interval"])}
    return f"ask inside the container {name}", body, {**values, "CW_TIMEOUT": str(args["timeout"])}, {}


_STEPS: Final = {
    "ensure_service": _ensure,
    "pull_image": _pull,
    "remove_service": _remove,
    "stop_service": _stop,
    "verify_service": _probe,
}
