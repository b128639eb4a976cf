"""What becomes of a declared service: exports, claims, drift, risks, actions; one kind of service on both engines. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.containers import chosen_engine, in_container, is_image_id, require_answer, spec_digest
from clockwork_nb.resources.probes import PROBES, compile_probe
from clockwork_nb.resources.scripts import sealed
from clockwork_nb.resources.service import container_steps, process_spec
from clockwork_nb.resources.service.health import externals, reachable_at, verify_actions
from clockwork_nb.secrets import Sensitive

__all__ = [
    "actions",
    "claims",
    "compile_action",
    "describe",
    "drift",
    "exports",
    "is_container",
    "replaces",
    "risks",
    "with_facts",
]

_COMPUTED: Final = ("container_id", "image_id")
_AFTER_APPLY: Final = "known after apply"
_ANEW: Final = "the container is made anew, volumes stay"


def is_container(config: Mapping[str, Any]) -> bool:
    """Return whether *config* is of a container; what was recorded before there were any is a process."""
    return in_container(config.get("engine", "process"), config.get("image"))


def with_facts(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with its engine decided: ``podman``, ``docker`` or ``process``.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, it needs an engine that is not here.
    """
    wanted = config["engine"]
    if isinstance(wanted, Unknown):
        return config
    if not is_container(config):
        return {**config, "engine": "process"}
    return {**config, "engine": chosen_engine(wanted, facts, what="a service with an image")}


def exports(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with ``port``, ``url``, ``container_id`` and ``image_id``; unknown while what they stand on is."""
    ids: dict[str, Any] = dict.fromkeys(_COMPUTED, Unknown(_AFTER_APPLY) if is_container(config) else None)
    ports = config["ports"]
    first = ports if isinstance(ports, Unknown) else next(iter(externals(ports)), None)
    if isinstance(first, Unknown):
        return {**config, **ids, "port": first, "url": first}
    url = None if first is None else f"http://{reachable_at(ports, 'localhost')}:{first}"
    return {**config, **ids, "port": first, "url": url}


def claims(config: Mapping[str, Any]) -> Sequence[str]:
    """Return ``port:<number>`` for each known port of a service that is to run, and the container's name if given."""
    name = config.get("name")
    named = (f"container:{name}",) if is_container(config) and isinstance(name, str) else ()
    if config.get("state") == "stopped":
        return named
    return (*named, *(f"port:{p}" for p in externals(config.get("ports")) if isinstance(p, int)))


def describe(config: Mapping[str, Any]) -> str:
    """Return what runs it and the ports: ``podman nginx:1.25, port 8080``, ``process, ports 1, 2``."""
    what = "process"
    if is_container(config):
        image = config["image"]
        what = "container" if config["engine"] == "auto" else str(config["engine"])
        what += (
            ", image known after apply"
            if isinstance(image, Unknown)
            else f" {image[:19] if is_image_id(image) else image}"
        )
    ports = [str(p) for p in externals(config.get("ports"))]
    words = f"{what}, port{'s' if len(ports) > 1 else ''} {', '.join(ports)}" if ports else what
    return f"{words}, stopped" if config.get("state") == "stopped" else words


def replaces(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """Return what makes it another thing: the engine, a container's name, a process's ports."""
    if is_container(before) != is_container(after):
        return frozenset({"engine"})
    if is_container(after):
        return frozenset(n for n in ("engine", "name") if before.get(n) != after.get(n) and after.get(n) != "auto")
    return frozenset({"ports"} if before.get("ports") != after["ports"] else ())


def drift(config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
    """Return ``status`` when what runs is not what should, and for a container what it was made with if that differs."""
    if observed.exists is None:
        return {}
    wanted = config.get("state", "running")
    seen = observed.attributes
    status = seen.get("status") if observed.exists else None
    if wanted == "stopped":
        return {"status": ("stopped", status)} if status == "running" else {}
    out: dict[str, tuple[Any, Any]] = {} if status == "running" else {"status": ("running", status)}
    if not is_container(config) or not observed.exists:
        return out
    expected = spec_digest(container_steps.container_spec(config))
    if expected and seen.get("spec") != expected:
        out["container"] = ("as it was applied", "made with something else")
        return out
    for name, limit in container_steps.wanted_limits(config).items():
        found = (seen.get("limits") or {}).get(name)
        if found != limit:
            out[name] = (limit, found)
    return out


def risks(change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None) -> Sequence[str]:
    """Return the risk classes of *change*: ``destroy``, ``ports``, ``mounts``, ``privileged``."""
    if change == "delete":
        return ("destroy",)
    if config is None or config.get("state") == "stopped":
        return ()
    before = recorded if change == "update" and recorded and recorded.get("state") != "stopped" else {}
    out = ["destroy"] if change == "replace" and is_container(recorded or {}) else []
    if config["ports"] and config["ports"] != before.get("ports"):
        out.append("ports")
    if is_container(config):
        if _host_mounts(config.get("volumes")) and config.get("volumes") != before.get("volumes"):
            out.append("mounts")
        if any(_all_rights(config, before, name, value) for name, value in (("privileged", True), ("network", "host"))):
            out.append("privileged")
    return tuple(out)


def _host_mounts(volumes: Any) -> bool:
    if isinstance(volumes, Unknown):
        return True
    return any(isinstance(v, Unknown) or v.get("path") is not None for v in volumes or ())


def _all_rights(config: Mapping[str, Any], before: Mapping[str, Any], name: str, value: Any) -> bool:
    return bool(config.get(name) == value and before.get(name) != value)


# --- actions ------------------------------------------------------------------------------------------------------


def actions(
    change: ChangeKind,
    config: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
    observed: Observation | None = None,
) -> Sequence[ActionSpec]:
    """Return the actions of *change*; ``verify`` asks for the health check alone.

    Args:
        observed: what is there; an image that is here already is not fetched. None: it may have to be.

    Raises:
        AdapterFailedError: E_ADAPTER_FAIL, the engine was asked and hangs.
    """
    if change in {"create", "update", "replace", "delete"}:
        require_answer(observed)
    if change == "delete":
        return (_removal(recorded or {}),)
    if config is None or change in {"noop", "forget"}:
        return ()
    if change == "verify":
        return _verify(config)
    if change != "replace":
        return _changed(config, recorded, observed)
    if recorded is None or not _must_go_first(config, recorded):
        return _changed(config, recorded, observed)
    if _exchanged(config, recorded):
        return _container_actions(config, None, observed, anew=True)
    specs = _changed(config, None, observed)
    fetching = tuple(s for s in specs if s.name == "pull_image")  # nothing is lost when that fails
    return (*fetching, _removal(recorded), *(s for s in specs if s not in fetching))


def _exchanged(config: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    """Return whether the script that makes the new one takes care of the old one: the same name in the same engine."""
    both = is_container(config) and is_container(recorded) and config["state"] != "stopped"
    return both and all(config[name] == recorded.get(name) for name in ("engine", "name"))


def _must_go_first(config: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    """Return whether the old thing does not go by itself when the new one is made: only a process with another spec does."""
    if is_container(config) or is_container(recorded):
        return True
    return all(config.get(name) == recorded.get(name) for name in process_spec.SPEC)


def _removal(recorded: Mapping[str, Any]) -> ActionSpec:
    timeout = recorded.get("stop_timeout", 10)
    args = {"stop_timeout": timeout}
    if is_container(recorded):
        args |= {"engine": recorded["engine"], "name": recorded.get("name")}
    return ActionSpec("remove_service", args, timeout_s=_limit(timeout), idempotent=True)


def _limit(stop_timeout: Any) -> int:
    return 60 + (math.ceil(stop_timeout) if isinstance(stop_timeout, (int, float)) else 60)


def _verify(config: Mapping[str, Any]) -> tuple[ActionSpec, ...]:
    return verify_actions(config, container=is_container(config), engine=config.get("engine", "process"))


def _changed(
    config: Mapping[str, Any], recorded: Mapping[str, Any] | None, observed: Observation | None
) -> Sequence[ActionSpec]:
    if is_container(config):
        return _container_actions(config, recorded, observed)
    return _process_actions(config, recorded)


def _process_actions(config: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> Sequence[ActionSpec]:
    names = process_spec.SPEC
    if recorded is not None and all(config.get(name) == recorded.get(name) for name in names):
        return ()
    args = {name: config[name] for name in names if name in _ALWAYS or config.get(name) is not None}
    limit = _limit(config["stop_timeout"])
    if config["state"] == "stopped":
        return (ActionSpec("stop_service", args, timeout_s=limit, idempotent=True),)
    specs = []
    if recorded is not None and recorded.get("state") != "stopped" and _only_secrets_differ(config, recorded, names):
        # The spec names secrets and does not hold them, so to the supervisor nothing changed: it must start afresh.
        stop = {"stop_timeout": config["stop_timeout"]}
        specs.append(ActionSpec("remove_service", stop, timeout_s=limit, idempotent=True, reason="a secret changed"))
    specs.append(ActionSpec("ensure_service", args, timeout_s=limit, idempotent=True))
    return (*specs, *_verify(config))


_ALWAYS: Final = frozenset(process_spec.SPEC) - {"memory", "logging"}


def _container_actions(
    config: Mapping[str, Any],
    recorded: Mapping[str, Any] | None,
    observed: Observation | None,
    *,
    anew: bool = False,
) -> Sequence[ActionSpec]:
    made_with, limits = container_steps.SPEC, container_steps.LIMITS
    limit = _limit(config["stop_timeout"])
    base = {"engine": config["engine"], "name": config["name"], "stop_timeout": config["stop_timeout"]}
    same = {n: recorded is not None and config.get(n) == recorded.get(n) for n in (*made_with, *limits, "state")}
    if all(same.values()):
        asked = recorded is not None and config.get("health_check") != recorded.get("health_check")
        return _verify(config) if asked else ()
    if config["state"] == "stopped":
        return (ActionSpec("stop_service", base, timeout_s=limit, idempotent=True),)
    secrets = any(_is_secret(v) for v in dict(config["env"]).values()) if isinstance(config["env"], Mapping) else False
    # A label names secrets and does not hold them: whether the container has these values cannot be seen.
    unseen = secrets and (recorded is None or not same["env"])
    args = {**base, **{n: config.get(n) for n in (*made_with, *limits)}, "anew": anew or unseen}
    reason = _ANEW if anew else ""
    if recorded is not None and recorded.get("state") != "stopped":
        if all(same[n] for n in made_with):
            reason = "in place where the engine can, else the container is made anew"
        else:
            reason = _ANEW
    ensure = ActionSpec("ensure_service", args, timeout_s=limit + 60, idempotent=True, reason=reason)
    return (*_pull(config, observed), ensure, *_verify(config))


def _pull(config: Mapping[str, Any], observed: Observation | None) -> tuple[ActionSpec, ...]:
    """Return the action that fetches the image, when that may have to be done: it is seen, and is a risk, by itself."""
    image, when = config["image"], config.get("pull") or "missing"
    here = observed is not None and observed.attributes.get("image_here") is True
    if when == "never" or is_image_id(image) or isinstance(image, Unknown) or (here and when == "missing"):
        return ()
    args = {"engine": config["engine"], "name": config["name"], "image": image, "pull": when}
    return (ActionSpec("pull_image", args, timeout_s=1800, idempotent=True, risk=("network",)),)


def _is_secret(value: Any) -> bool:
    return isinstance(value, Sensitive) or sealed(value)


def _only_secrets_differ(config: Mapping[str, Any], recorded: Mapping[str, Any], names: Sequence[str]) -> bool:
    if isinstance(config["env"], Unknown) or any(config.get(n) != recorded.get(n) for n in names if n != "env"):
        return False
    after = {k: "secret" if _is_secret(v) else v for k, v in dict(config["env"]).items()}
    return after == {k: "secret" if _is_secret(v) else v for k, v in dict(recorded.get("env") or {}).items()}


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*: a check, a spec for the built-in supervisor, or a script for the engine.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, an unknown action or value.
    """
    if action.name in PROBES:
        return compile_probe(action)
    engine = action.args.get("engine", "process")
    if isinstance(engine, Unknown):
        raise InvalidInputError(f"the engine of {action.address} is known only after apply", hint="Write which it is.")
    return process_spec.compile_process(action) if engine == "process" else container_steps.compile_container(action)
