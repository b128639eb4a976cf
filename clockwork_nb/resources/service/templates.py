"""What becomes of a declared service: exports, drift, actions, and the spec its supervisor carries out. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import slug
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, Artifact, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.probes import compile_probe, probe_action
from clockwork_nb.resources.scripts import artifact_path, comment, require_known, sealed
from clockwork_nb.secrets import Sensitive

__all__ = ["actions", "claims", "compile_action", "describe", "drift", "exports", "risks"]

_SPEC = ("command", "env", "working_dir", "ports", "restart", "stop_timeout", "health_check", "state")
"""The attributes that the supervisor is told; ``name`` is for people only."""

_VERBS = {"ensure_service": "ensure", "stop_service": "ensure", "remove_service": "remove"}
"""What the supervisor is asked for; a spec whose state is ``stopped`` is ensured by stopping."""


def _external(ports: Any) -> list[Any]:
    if not isinstance(ports, (list, tuple)):
        return []
    return [p["external"] if isinstance(p, Mapping) else p for p in ports]


def exports(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with ``port`` and ``url``; unknown while the ports are."""
    ports = config["ports"]
    first = ports if isinstance(ports, Unknown) else next(iter(_external(ports)), None)
    if isinstance(first, Unknown):
        return {**config, "port": first, "url": first}
    return {**config, "port": first, "url": None if first is None else f"http://localhost:{first}"}


def claims(config: Mapping[str, Any]) -> Sequence[str]:
    """Return ``port:<number>`` for each known port of a service that is to run."""
    if config.get("state") == "stopped":
        return ()
    return tuple(f"port:{p}" for p in _external(config.get("ports")) if isinstance(p, int))


def describe(config: Mapping[str, Any]) -> str:
    """Return ``process`` and the ports."""
    ports = [str(p) for p in _external(config.get("ports"))]
    words = f"process, port{'s' if len(ports) > 1 else ''} {', '.join(ports)}" if ports else "process"
    return f"{words}, stopped" if config.get("state") == "stopped" else words


def drift(config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
    """Return ``status`` when what runs is not what should."""
    if observed.exists is None:
        return {}
    wanted = config.get("state", "running")
    status = observed.attributes.get("status") if observed.exists else None
    if wanted == "stopped":
        return {"status": ("stopped", status)} if status == "running" else {}
    return {} if status == "running" else {"status": ("running", status)}


def risks(change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None) -> Sequence[str]:
    """Return the risk classes of *change*."""
    if change == "delete":
        return ("destroy",)
    if config is None or config.get("state") == "stopped" or not config["ports"]:
        return ()
    before = recorded.get("ports") if recorded and recorded.get("state") != "stopped" else None
    return () if change == "update" and before == config["ports"] else ("ports",)


def actions(
    change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> Sequence[ActionSpec]:
    """Return the actions of *change*; ``verify`` asks for the health check alone."""
    if change == "delete":
        timeout = (recorded or {}).get("stop_timeout", 10)
        return (ActionSpec("remove_service", {"stop_timeout": timeout}, timeout_s=_limit(timeout), idempotent=True),)
    if config is None or change in {"noop", "forget"}:
        return ()
    if change == "verify":
        return _verify(config)
    if recorded is not None and all(config.get(name) == recorded.get(name) for name in _SPEC):
        return ()
    args = {name: config[name] for name in _SPEC}
    limit = _limit(config["stop_timeout"])
    if config["state"] == "stopped":
        return (ActionSpec("stop_service", args, timeout_s=limit, idempotent=True),)
    specs = []
    if recorded is not None and recorded.get("state") != "stopped" and _only_secrets_differ(config, recorded):
        # The spec names secrets and does not hold them, so to the supervisor nothing changed: it must start afresh.
        stop = {"stop_timeout": config["stop_timeout"]}
        specs.append(ActionSpec("remove_service", stop, timeout_s=limit, idempotent=True, reason="a secret changed"))
    specs.append(ActionSpec("ensure_service", args, timeout_s=limit, idempotent=True))
    return (*specs, *_verify(config))


def _limit(stop_timeout: Any) -> int:
    return 60 + (math.ceil(stop_timeout) if isinstance(stop_timeout, (int, float)) else 60)


def _without_secrets(value: Any) -> Any:
    return "secret" if isinstance(value, Sensitive) or sealed(value) else value


def _only_secrets_differ(config: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    if any(config.get(name) != recorded.get(name) for name in _SPEC if name != "env"):
        return False
    after = {k: _without_secrets(v) for k, v in dict(config["env"]).items()}
    return after == {k: _without_secrets(v) for k, v in dict(recorded.get("env") or {}).items()}


def _verify(config: Mapping[str, Any]) -> tuple[ActionSpec, ...]:
    """Return the ``verify_http`` of a service that runs and can be asked something."""
    health, ports = config["health_check"], _external(config["ports"])
    if config["state"] == "stopped" or (health is None and not ports) or isinstance(health, Unknown):
        return ()
    asked = _health(health or {}, ports)
    # Tries of the start period come on top: failures in it do not count.
    retries = asked["retries"]
    if isinstance(retries, int) and isinstance(asked["start_period_s"], (int, float)):
        retries += math.ceil(asked["start_period_s"] / asked["interval_s"])
    args = {
        "url": asked["url"],
        "expect_status": asked["expect_status"],
        "retries": retries,
        "interval": asked["interval_s"],
        "timeout": asked["timeout_s"],
    }
    return (probe_action("verify_http", args),)


def _health(health: Mapping[str, Any], ports: Sequence[Any]) -> dict[str, Any]:
    url = health.get("url")
    if url is None:
        path = health.get("path", "/")
        parts = (ports[0], path)
        unknown = next((p for p in parts if isinstance(p, Unknown)), None)
        url = unknown if unknown is not None else f"http://127.0.0.1:{ports[0]}{path}"
    return {
        "url": url,
        "expect_status": health.get("expect_status", 200),
        "interval_s": health.get("interval", 0.2),
        "timeout_s": health.get("timeout", 5),
        "retries": health.get("retries", 30),
        "start_period_s": health.get("start_period", 0),
    }


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*: a spec for the built-in supervisor, or the HTTP check."""
    if action.name == "verify_http":
        return compile_probe(action)
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
        ports = _external(args["ports"])
        health = args["health_check"]
        spec |= {
            "command": list(args["command"]),
            "cwd": args["working_dir"],
            "env": {name: value for name, value in env.items() if name not in secret_vars},
            "secret_env": secret_vars,
            "ports": ports,
            "restart": args["restart"],
            "stop_timeout_s": args["stop_timeout"],
            "health": None if health is None else _health(health, ports),
            "state": args["state"],
        }
    text = json.dumps(spec, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    starts = action.name == "ensure_service"
    what = comment(f"{action.name.partition('_')[0]} the service {action.address}")
    artifact = Artifact(artifact_path(action, "json"), text.encode(), "0644", what, "json")
    return CompiledStep(
        (artifact,),
        ("cw:service", verb, artifact.path),
        # A stop starts nothing, so it is told no secret.
        secret_vars=secret_vars if starts else {},
        secrets=secrets if starts else {},
        cls="built-in",
    )
