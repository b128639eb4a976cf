"""The spec of a supervised process: what its supervisor is told, as JSON that a person can read and edit. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import slug
from clockwork_nb.ports import Action, Artifact, CompiledStep
from clockwork_nb.resources.scripts import artifact_path, comment, require_known
from clockwork_nb.resources.service.health import externals, supervisor_health
from clockwork_nb.secrets import Sensitive

__all__ = ["SPEC", "compile_process"]

SPEC: Final = (
    "command",
    "env",
    "working_dir",
    "ports",
    "restart",
    "stop_timeout",
    "health_check",
    "state",
    "memory",
    "logging",
)
"""The attributes that the supervisor is told; ``name`` is for people only."""

_VERBS: Final = {"ensure_service": "ensure", "stop_service": "stop", "remove_service": "remove"}
"""What is asked for; a spec whose state is ``stopped`` goes with ``stop``."""


def compile_process(action: Action) -> CompiledStep:
    """Return the step of *action*: a spec for the built-in supervisor.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, an unknown action or value.
    """
    require_known(action)
    verb = _VERBS.get(action.name)
    if verb is None:
        raise InvalidInputError(f'a service has no action "{action.name}"')
    args = action.args
    spec: dict[str, Any] = {"version": "1", "service": slug(action.address), "address": action.address}
    secrets: dict[str, Any] = {}
    secret_vars: dict[str, str] = {}
    if verb == "remove":
        spec["stop_timeout_s"] = args["stop_timeout"]
    else:
        env = dict(args["env"])
        for name, value in env.items():
            if isinstance(value, Sensitive):
                secret_vars[name] = f"{action.address}:env:{name}"
                secrets[secret_vars[name]] = value.value
        ports = externals(args["ports"])
        health = args["health_check"]
        spec |= {
            "command": list(args["command"]),
            "cwd": args["working_dir"],
            "env": {name: value for name, value in env.items() if name not in secret_vars},
            # A stop starts nothing, so it is told no secret, not even which there are.
            "secret_env": secret_vars if verb == "ensure" else {},
            "ports": ports,
            "restart": args["restart"],
            "stop_timeout_s": args["stop_timeout"],
            "health": None if health is None else supervisor_health(health, ports),
            "state": args["state"],
            **_limits(args),
        }
    text = json.dumps(spec, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    starts = verb == "ensure"
    what = comment(f"{action.name.partition('_')[0]} the service {action.address}")
    artifact = Artifact(artifact_path(action, "json"), text.encode(), "0644", what, "json")
    return CompiledStep(
        (artifact,),
        ("cw:service", verb, artifact.path),
        secret_vars=secret_vars if starts else {},
        secrets=secrets if starts else {},
        cls="built-in",
    )


def _limits(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a spec that are there only when they are asked for, so that older specs stay what they are."""
    out: dict[str, Any] = {}
    if args.get("memory") is not None:
        out["memory_bytes"] = args["memory"]
    logging = args.get("logging") or {}
    if logging.get("max_size") is not None:
        out["log_bytes"] = logging["max_size"]
    if logging.get("max_file") is not None:
        out["log_files"] = logging["max_file"]
    return out
