"""Looks at a container through its engine. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clockwork_nb.errors import AdapterFailedError
from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.resources.containers import (
    ADDRESS_LABEL,
    ASIDE_ENDING,
    ENGINES,
    PROJECT_LABEL,
    SPEC_LABEL,
    WORKSPACE_LABEL,
    container_name,
    is_image_id,
    spec_digest,
)
from clockwork_nb.resources.containers_inspect import ask, inspect, unanswered
from clockwork_nb.resources.service.container_steps import LIMITS, container_spec

__all__ = ["observe_container"]

_RUNNING = "running"
_ASIDE = "set aside"


def observe_container(
    config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
) -> Observation:
    """Return ``status``, ``container_id``, ``image_id``, ``restarts``, ``spec`` (our label) and ``limits`` of the container.

    ``exists`` is False when there is none, or only one that is not ours, and None when the engine cannot be asked. Where
    no container is there, or another image is wanted, ``image_here`` says whether that image is on this machine. A
    container that a killed run had set aside for a new one, which is not there, has the ``status`` ``set aside``.
    """
    engine = config["engine"]
    if engine not in ENGINES:
        return Observation(None, detail="it was not decided which container engine runs it")
    if not context.address:
        return Observation(None, detail="nobody said which service this is")
    name = container_name(config.get("name"), context.address)
    try:
        found = inspect(engine, "container", name, timeout_s=context.timeout_s)
        labels = _labels(found)
        ours = _is_ours(labels, context)
        here = _image_here(engine, config, ours, context)
        aside = None
        if found is None and recorded is not None:  # where nothing was ever applied, nothing can have been set aside
            aside = inspect(engine, "container", name + ASIDE_ENDING, timeout_s=context.timeout_s)
    except AdapterFailedError as error:
        return unanswered(error, context.address)
    if aside is not None and _is_ours(_labels(aside), context):
        detail = f"an exchange was cut short: what runs or ran is the container {name}{ASIDE_ENDING}"
        return Observation(True, {**here, "status": _ASIDE}, detail)
    if found is not None and ours:
        try:
            gone = _is_gone(engine, found, context)
        except AdapterFailedError as error:
            return unanswered(error, context.address)
        return _ours(found, labels, here, gone=gone)
    if found is not None:
        return Observation(False, here, f"the container {name} is not ours")
    if config.get("state") == "stopped" and context.asked != "removed":
        # Nothing runs, and nothing should.
        return Observation(True, {"status": "stopped", **here}, "stopped, was never started")
    return Observation(False, here, "no container of this name")


def _labels(found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    labels = _part(found or {}, "Config").get("Labels")
    return labels if isinstance(labels, dict) else {}


def _is_ours(labels: Mapping[str, Any], context: ObserveContext) -> bool:
    place = str(context.workspace.resolve())
    mark = (labels.get(ADDRESS_LABEL), labels.get(PROJECT_LABEL), labels.get(WORKSPACE_LABEL) or place)
    return mark == (context.address, str(context.root.resolve()), place)


def _image_here(engine: str, config: Mapping[str, Any], made: bool, context: ObserveContext) -> dict[str, bool]:
    """Return whether the wanted image is on this machine, where that matters: one may have to be made from it."""
    wanted = config if context.wanted is None else context.wanted
    image = wanted.get("image")
    if not isinstance(image, str) or is_image_id(image) or (made and _as_it_is(wanted, config)):
        return {}
    return {"image_here": inspect(engine, "image", image, timeout_s=context.timeout_s) is not None}


def _as_it_is(wanted: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    if any(wanted.get(name) != config.get(name) for name in LIMITS):
        return False
    return spec_digest(container_spec(wanted)) == spec_digest(container_spec(config))


def _part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = found.get(name)
    return part if isinstance(part, dict) else {}


def _is_gone(engine: str, found: Mapping[str, Any], context: ObserveContext) -> bool:
    """Return whether a container that is called running is not: podman believes its notes when it was killed itself.

    The engine has the last word, because the processes of one that is elsewhere cannot be seen from here.
    """
    state = _part(found, "State")
    pid = state.get("Pid")
    if state.get("Status") != _RUNNING or not isinstance(pid, int) or pid <= 0 or Path(f"/proc/{pid}").exists():
        return False
    return ask(engine, "top", str(found.get("Id", "")), timeout_s=context.timeout_s).returncode != 0


def _ours(
    found: Mapping[str, Any], labels: Mapping[str, Any], here: Mapping[str, bool], *, gone: bool = False
) -> Observation:
    state, host = _part(found, "State"), _part(found, "HostConfig")
    status = "dead" if gone else str(state.get("Status", "unknown"))
    container, image = str(found.get("Id", "")), str(found.get("Image", ""))
    policy = _part(host, "RestartPolicy")
    seen: dict[str, Any] = {
        "status": status,
        "container_id": container,
        "image_id": image if image.startswith("sha256:") else f"sha256:{image}",
        "restarts": found.get("RestartCount", 0),
        "spec": labels.get(SPEC_LABEL),
        "limits": {
            "memory": str(host.get("Memory")),
            "cpus": str(host.get("NanoCpus")),
            "pids": str(host.get("PidsLimit")),
            "restart": f"{policy.get('Name') or 'no'}:{policy.get('MaximumRetryCount', 0)}",
        },
        **here,
    }
    detail = f"{status}, container {container[:12]}"
    if status != _RUNNING and isinstance(state.get("ExitCode"), int):
        seen["exit_code"] = state["ExitCode"]
        detail = f"{status} with code {state['ExitCode']}, container {container[:12]}"
    return Observation(True, seen, detail)
