"""How a service is asked whether it works, for both engines: we ask, no engine does. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import ActionSpec
from clockwork_nb.resources.probes import probe_action

__all__ = ["externals", "reachable_at", "supervisor_health", "verify_actions"]


def externals(ports: Any) -> list[Any]:
    """Return the external port of each of *ports*."""
    if not isinstance(ports, (list, tuple)):
        return []
    return [p["external"] if isinstance(p, Mapping) else p for p in ports]


def reachable_at(ports: Any, loopback: str) -> str:
    """Return where the first of *ports* can be reached from here: *loopback* unless it is opened on one address only."""
    first = ports[0] if isinstance(ports, (list, tuple)) and ports else None
    ip = first.get("host_ip") if isinstance(first, Mapping) else None
    if not isinstance(ip, str):
        return loopback
    import ipaddress

    address = ipaddress.ip_address(ip)
    if address == ipaddress.ip_address("127.0.0.1") or address.is_unspecified:
        return loopback
    return f"[{ip}]" if address.version == 6 else ip


def supervisor_health(health: Mapping[str, Any], ports: Sequence[Any]) -> dict[str, Any]:
    """Return what a supervisor is told of *health*; with ``url`` None it connects to the first port."""
    return {**_times(health), "url": None if health.get("tcp") else _url(health, ports, "127.0.0.1")}


def verify_actions(config: Mapping[str, Any], *, container: bool, engine: str) -> tuple[ActionSpec, ...]:
    """Return the check of a service that runs and can be asked something; none otherwise.

    Without a health check a process is asked over HTTP at its first port, a container by connecting to it.
    """
    health, declared = config["health_check"], config["ports"]
    ports = [declared] if isinstance(declared, Unknown) else externals(declared)
    if config["state"] == "stopped" or (health is None and not ports) or isinstance(health, Unknown):
        return ()
    given = health or {}
    times = _times(given)
    # Tries of the start period come on top: failures in it do not count.
    retries = times["retries"]
    period, interval = times["start_period_s"], times["interval_s"]
    later = next((number for number in (retries, period, interval) if isinstance(number, Unknown)), None)
    retries = later if later is not None else retries + math.ceil(period / interval)
    tries = {"retries": retries, "interval": times["interval_s"], "timeout": times["timeout_s"]}
    if given.get("command") is not None:
        own = {"engine": engine, "name": config["name"], "command": given["command"]}
        return (probe_action("verify_service", {**own, **tries}),)
    host = reachable_at(declared, "127.0.0.1")
    if given.get("tcp") or (container and health is None):
        return (probe_action("verify_tcp", {"host": host.strip("[]"), "port": ports[0], **tries}),)
    args = {"url": _url(given, ports, host), "expect_status": times["expect_status"], **tries}
    return (probe_action("verify_http", args),)


def _url(health: Mapping[str, Any], ports: Sequence[Any], host: str) -> Any:
    url = health.get("url")
    if url is not None:
        return url
    path = health.get("path", "/")
    unknown = next((p for p in (ports[0], path) if isinstance(p, Unknown)), None)
    return unknown if unknown is not None else f"http://{host}:{ports[0]}{path}"


def _times(health: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "expect_status": health.get("expect_status", 200),
        "interval_s": health.get("interval", 0.2),
        "timeout_s": health.get("timeout", 5),
        "retries": health.get("retries", 30),
        "start_period_s": health.get("start_period", 0),
    }
