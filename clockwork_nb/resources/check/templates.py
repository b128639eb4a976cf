"""What becomes of a declared check: its one action, and that action's step. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import slug
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep
from clockwork_nb.resources.check import file_programs, machine_programs
from clockwork_nb.resources.containers import ENGINE_VARIABLES, ENGINES
from clockwork_nb.resources.probes import PROBES, compile_probe, probe_action, probe_step
from clockwork_nb.resources.scripts import comment, data_artifact, require_known, safe_operand

__all__ = ["KINDS", "actions", "compile_action", "describe", "needs_engine", "risks", "with_facts"]

KINDS: Final[Mapping[str, str]] = {
    "http": "verify_http",
    "response_time": "verify_http",
    "tcp": "verify_tcp",
    "port_accessible": "verify_tcp",
    "file_exists": "verify_file",
    "file_permissions": "verify_file",
    "file_size": "verify_file",
    "file_matches": "verify_file",
    "disk_usage": "verify_file",
    "log_contains": "verify_file",
    "service_status": "verify_service",
    "container_running": "verify_service",
    "container_healthy": "verify_service",
    "process_running": "verify_service",
    "process_not_running": "verify_service",
    "memory_usage": "verify_service",
    "cpu_usage": "verify_service",
    "command": "verify_command",
}
"""What can be checked → the action that checks it; a log that is no file of the project is ``verify_service`` too."""

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "http": ("http {}", "url"),
    "response_time": ("response time of {}", "url"),
    "tcp": ("tcp {}", "port"),
    "port_accessible": ("port {}", "port"),
    "file_permissions": ("permissions of {}", "path"),
    "file_size": ("size of {}", "path"),
    "file_matches": ("{} matches", "path"),
    "service_status": ("status of {}", "name"),
    "container_running": ("container {} runs", "name"),
    "container_healthy": ("container {} is healthy", "name"),
    "process_running": ("{} runs", "name"),
    "process_not_running": ("{} does not run", "name"),
    "disk_usage": ("disk at {}", "path"),
}


def _kind(config: Mapping[str, Any]) -> str:
    """Return which of `KINDS` *config* asks for."""
    return next((kind for kind in KINDS if config.get(kind) is not None), "file_exists")


def describe(config: Mapping[str, Any]) -> str:
    """Return what is checked, in a few words."""
    kind = _kind(config)
    target = config.get(kind)
    if isinstance(target, Unknown):
        return f"{kind} {target!r}"
    if kind in _WORDS and isinstance(target, Mapping):
        words, name = _WORDS[kind]
        return comment(words.format(target.get(name)))
    if kind == "file_exists":
        return comment(f"{target} exists")
    if kind == "log_contains" and isinstance(target, Mapping):
        return comment(f"log of {target.get('path') or target.get('service') or target.get('container')}")
    if kind == "command" and isinstance(target, Mapping):
        argv = target.get("command")
        shown = " ".join(map(str, argv)) if isinstance(argv, list) else f"{target.get('interpreter')} script"
        return comment(shown)[:60]
    of = target.get("process") if isinstance(target, Mapping) else None
    return comment(f"{kind.partition('_')[0]} of {of or 'the machine'}")


def needs_engine(config: Mapping[str, Any]) -> bool:
    """Return whether *config* asks a container engine, and leaves open which."""
    target = _container_target(config)
    return target is not None and target.get("engine") == "auto"


def with_facts(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with the container engine that is here; where there is none, its check will say so."""
    target, here = _container_target(config), str(facts.get("engine", "")).partition(" ")[0]
    if target is None or target.get("engine") != "auto" or here not in ENGINES:
        return config
    return {**config, _kind(config): {**target, "engine": here}}


def _container_target(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    kind = _kind(config)
    target = config.get(kind)
    if not isinstance(target, Mapping):
        return None
    asked = kind in {"container_running", "container_healthy"} or target.get("container") is not None
    return target if asked else None


def mentions(config: Mapping[str, Any]) -> Sequence[str]:
    """Return the addresses that a check names in quotes: it comes after them."""
    status, log = config.get("service_status"), config.get("log_contains")
    named = [part.get(name) for part, name in ((status, "name"), (log, "service")) if isinstance(part, Mapping)]
    return tuple(address for address in named if isinstance(address, str))


def actions(change: ChangeKind, config: Mapping[str, Any] | None) -> Sequence[ActionSpec]:
    """Return the action of *change*: every change but a removal is one run of the check."""
    if config is None or change in {"delete", "forget", "noop"}:
        return ()
    kind = _kind(config)
    tries = {"retries": config["retries"], "interval": config["interval"], "timeout": config["timeout"]}
    target = config[kind]
    name = KINDS[kind]
    if kind == "file_exists":
        target = {"path": target}
    elif kind == "log_contains" and isinstance(target, Mapping) and target.get("path") is None:
        name = "verify_service"
    # While the whole target is unknown there is nothing to take apart; such a step is never compiled.
    own = dict(target) if isinstance(target, Mapping) else {"target": target}
    spec = probe_action(name, {**own, **tries, "kind": kind} if name not in PROBES else {**own, **tries})
    if kind == "cpu_usage" and isinstance(own.get("window"), (int, float)) and isinstance(tries["retries"], int):
        spec = replace(spec, timeout_s=spec.timeout_s + int(own["window"] * tries["retries"]) + 1)
    return (replace(spec, risk=_command_risks(own)),) if kind == "command" else (spec,)


def _command_risks(target: Mapping[str, Any]) -> tuple[str, ...]:
    return ("command", "network") if target.get("network") else ("command",)


def risks(change: ChangeKind, config: Mapping[str, Any] | None) -> Sequence[str]:
    """Return ``command`` for a check that runs one, and ``network`` when that may use it; nothing for the others."""
    target = config.get("command") if config is not None and change != "delete" else None
    return _command_risks(target) if isinstance(target, Mapping) else ()


# --- steps --------------------------------------------------------------------------------------------------------


def compile_action(action: Action) -> CompiledStep:
    """Return the step of one of a check's actions. It writes nothing, and reaches its own target's port at most."""
    require_known(action)
    if action.name in PROBES:
        return compile_probe(action)
    if action.name == "verify_command":
        return _command_step(action)
    kind = str(action.args.get("kind", "file_matches" if action.args.get("pattern") else "file_exists"))
    make = _STEPS.get(kind)
    if action.name not in {"verify_file", "verify_service"} or make is None:
        raise InvalidInputError(f'there is no check "{action.name}"')
    what, program, values = make(action.args)
    step = probe_step(action, what, program, values)
    if "CW_CONTAINER" in values:
        return replace(step, cls="host", environment=ENGINE_VARIABLES)
    return replace(step, cls="host") if action.name == "verify_service" else step


_Made = tuple[str, str, dict[str, str]]


def _path(args: Mapping[str, Any]) -> dict[str, str]:
    return {"CW_PATH": args["path"]}


def _given(args: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {f"CW_{name.upper()}": str(args[name]) for name in names if args.get(name) is not None}


def _limit(args: Mapping[str, Any], *names: str) -> dict[str, str]:
    name = next(name for name in names if args.get(name) is not None)
    return {"CW_LIMIT": name, "CW_VALUE": str(args[name])}


def _exists(args: Mapping[str, Any]) -> _Made:
    return f"look at the file {args['path']}", file_programs.EXISTS, _path(args)


def _permissions(args: Mapping[str, Any]) -> _Made:
    values = {**_path(args), **_given(args, "mode", "owner", "group")}
    return f"look who may do what with {args['path']}", file_programs.PERMISSIONS, values


def _size(args: Mapping[str, Any]) -> _Made:
    return f"look how large {args['path']} is", file_programs.SIZE, {**_path(args), **_given(args, "min", "max")}


def _matches(args: Mapping[str, Any]) -> _Made:
    if args.get("sha256") is not None:
        values = {**_path(args), "CW_SHA256": args["sha256"]}
        return f"compare the digest of the file {args['path']}", file_programs.SHA256, values
    values = {**_path(args), "CW_PATTERN": args["pattern"]}
    return f"look for a pattern in the file {args['path']}", file_programs.MATCHES, values


def _disk(args: Mapping[str, Any]) -> _Made:
    values = {**_path(args), **_limit(args, "max_percent", "min_free_mb", "max_mb")}
    return f"look at the room on the disk at {args['path']}", file_programs.DISK, values


def _log(args: Mapping[str, Any]) -> _Made:
    values = {"CW_PATTERN": args["pattern"], "CW_LINES": str(args["lines"])}
    if args.get("path") is not None:
        return f"look for a pattern in the log {args['path']}", file_programs.LOG_FILE, {**_path(args), **values}
    if args.get("service") is not None:
        values |= _service(args["service"])
        return f"look for a pattern in the log of {args['service']}", machine_programs.SERVICE_LOG, values
    values |= _container(args["container"], args)
    return f"look for a pattern in the log of {args['container']}", machine_programs.CONTAINER_LOG, values


def _service(address: str) -> dict[str, str]:
    return {"CW_SERVICE": address, "CW_SERVICE_FOLDER": slug(address)}


def _container(name: str, args: Mapping[str, Any]) -> dict[str, str]:
    return {"CW_CONTAINER": name, "CW_ENGINE": args["engine"], "CW_TIMEOUT": str(args["timeout"])}


def _service_status(args: Mapping[str, Any]) -> _Made:
    values = {**_service(args["name"]), "CW_EXPECT": args["expect"]}
    return f"look whether {args['name']} is {args['expect']}", machine_programs.SERVICE_STATUS, values


def _container_running(args: Mapping[str, Any]) -> _Made:
    values = _container(args["name"], args)
    return f"ask whether the container {args['name']} runs", machine_programs.CONTAINER_RUNNING, values


def _container_healthy(args: Mapping[str, Any]) -> _Made:
    values = _container(args["name"], args)
    return f"ask whether the container {args['name']} is healthy", machine_programs.CONTAINER_HEALTHY, values


def _process_running(args: Mapping[str, Any]) -> _Made:
    values = {"CW_PROCESS": args["name"], "CW_MIN_COUNT": str(args["min_count"])}
    return f"count the processes of {args['name']}", machine_programs.PROCESS_COUNT, values


def _process_absent(args: Mapping[str, Any]) -> _Made:
    return f"look for processes of {args['name']}", machine_programs.PROCESS_ABSENT, {"CW_PROCESS": args["name"]}


def _memory(args: Mapping[str, Any]) -> _Made:
    values = {**_limit(args, "max_mb", "max_percent"), **_given(args, "process")}
    return "look how much memory is in use", machine_programs.MEMORY, values


def _cpu(args: Mapping[str, Any]) -> _Made:
    values = {"CW_VALUE": str(args["max_percent"]), "CW_WINDOW": str(args["window"]), **_given(args, "process")}
    return f"measure for {args['window']} s how busy the processors are", machine_programs.CPU, values


_STEPS: Final[Mapping[str, Callable[[Mapping[str, Any]], _Made]]] = {
    "file_exists": _exists,
    "file_permissions": _permissions,
    "file_size": _size,
    "file_matches": _matches,
    "disk_usage": _disk,
    "log_contains": _log,
    "service_status": _service_status,
    "container_running": _container_running,
    "container_healthy": _container_healthy,
    "process_running": _process_running,
    "process_not_running": _process_absent,
    "memory_usage": _memory,
    "cpu_usage": _cpu,
}


def _command_step(action: Action) -> CompiledStep:
    args = action.args
    values = {
        "CW_EXPECT_EXIT": str(args["expect_exit"]),
        "CW_WORKING_DIR": safe_operand(args["working_dir"]),
        "CW_TIMEOUT": str(args["timeout"]),
        **_given(args, "contains"),
    }
    network = tuple(args["network"]) if isinstance(args["network"], list) else args["network"]
    if args["command"] is not None:
        values["CW_COMMAND"] = json.dumps(args["command"])
        step = probe_step(action, f"run {args['command'][0]} and look how it ends", file_programs.COMMAND, values)
        return replace(step, network=network)
    name = "script.py" if args["interpreter"] == "python3" else "script.sh"
    script, _ = data_artifact(action, name, args["script"], "the author's script")
    values["CW_INTERPRETER"] = args["interpreter"]
    what = f"run {name}, which is beside this file, and look how it ends"
    step = probe_step(action, what, file_programs.COMMAND, values)
    return replace(step, artifacts=(*step.artifacts, script), data={"CW_SCRIPT": script.path}, network=network)
