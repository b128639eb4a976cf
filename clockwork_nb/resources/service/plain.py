"""What the attributes of a ``service`` are when they are plain."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from clockwork_nb.resources import rules
from clockwork_nb.resources.plain import (
    REQUIRED,
    NotPlain,
    PlainAttributes,
    block,
    each,
    env_map,
    flag,
    later,
    left_to_the_model,
    line,
    named,
    object_of,
    one_of,
    port,
    project_path,
    seconds,
    text,
    time,
    tries,
    whole_number,
    words,
)
from clockwork_nb.resources.probes import http_url
from clockwork_nb.resources.service import attributes as own
from clockwork_nb.resources.service import parts

__all__ = ["PLAIN"]


def _same_inside(config: dict[str, Any], _given: Collection[str]) -> None:
    if config["internal"] is None:
        config["internal"] = config["external"]


def _distinct_ports(made: list[Any]) -> list[Any]:
    parts.distinct_ports([m["external"] for m in made if type(m) is dict and type(m["external"]) is int])
    return made


def _distinct_targets(made: list[Any]) -> list[Any]:
    parts.distinct_targets([m["target"] for m in made if type(m) is dict and type(m["target"]) is str])
    return made


def _size(value: Any) -> Any:
    value = parts.in_bytes(value)
    if type(value) is not int:
        return later(value)
    if not 1024 <= value <= parts.MAX_BYTES:
        raise NotPlain
    return value


def _memory(value: Any) -> Any:
    value = _size(value)
    return parts.memory_limit(value) if type(value) is int else value


def _cpus(value: Any) -> Any:
    if type(value) is not int and type(value) is not float:
        return later(value)
    value = parts.hundredths(value)
    if not 0.01 <= value <= 1024:
        raise NotPlain
    return rules.shortest(value)


_PORT = PlainAttributes(
    {"external": (port, REQUIRED), "internal": (port, None), "host_ip": (text(parts.ip_address), None)},
    whole=_same_inside,
    sparse=("host_ip",),
)
_PORTS = each(object_of(_PORT), _distinct_ports)
_MOUNT = PlainAttributes(
    {
        "path": (lambda value: project_path(parts.no_colon(value)), None),
        "volume": (text(parts.volume_name), None),
        "target": (text(parts.below_root), REQUIRED),
        "mode": (one_of("rw", "ro"), "rw"),
    },
    whole=parts.one_source,
)
_MOUNTS = each(object_of(_MOUNT), _distinct_targets)
_LOGGING = PlainAttributes(
    {"driver": (text(parts.log_driver), None), "max_size": (_size, None), "max_file": (whole_number(1, 100), None)}
)
_HEALTH_CHECK = PlainAttributes(
    {
        "path": (text(parts.probe_path), "/"),
        "url": (text(http_url), None),
        "tcp": (flag, None),
        "command": (words, None),
        "expect_status": (whole_number(100, 599), 200),
        "interval": (time(rules.shortest, also=parts.not_too_often), 0.2),
        "timeout": (seconds, 5),
        "retries": (tries, 30),
        "start_period": (seconds, 0),
    },
    whole=parts.one_way,
    sparse=("tcp", "command"),
)


def _one_spelling(config: dict[str, Any], _given: Collection[str]) -> None:
    """Put ``port`` and ``environment`` under their usual names, and look at the service as a whole."""
    del config["build"], config["source_repo"]
    only, environment = config.pop("port"), config.pop("environment")
    if only is not None:
        own.port_or_ports(config["ports"])
        config["ports"] = [_PORT.config({"external": only})]
    if environment is not None:
        own.environment_or_env(config["env"])
        config["env"] = environment
    engine, image = config["engine"], config["image"]
    if config["working_dir"] is not None:
        config["working_dir"] = own.working_folder(config["working_dir"], engine, image)
    elif own.is_process(engine, image):
        config["working_dir"] = "."
    own.fits(config)


PLAIN = PlainAttributes(
    {
        "engine": (one_of("auto", "podman", "docker", "process"), "auto"),
        "image": (text(own.image_name), None),
        "build": (left_to_the_model, None),
        "source_repo": (left_to_the_model, None),
        "pull": (one_of("missing", "never", "always"), None),
        "name": (text(own.service_name), None),
        "command": (words, None),
        "ports": (lambda value: _PORTS(parts.written_ports(value)), []),
        "port": (port, None),
        "env": (env_map, {}),
        "environment": (env_map, None),
        "volumes": (lambda value: _MOUNTS(parts.written_mounts(value)), None),
        "working_dir": (line, None),
        "user": (text(own.engine_word), None),
        "network": (text(own.engine_word), None),
        "read_only": (flag, None),
        "privileged": (flag, None),
        "labels": (named(line, own.label_names), None),
        "logging": (block(_LOGGING), None),
        "health_check": (block(_HEALTH_CHECK), None),
        "restart": (text(own.restart_policy), "on-failure"),
        "memory": (_memory, None),
        "cpus": (_cpus, None),
        "pids": (whole_number(1, 4_194_304), None),
        "state": (one_of("running", "stopped"), "running"),
        "stop_timeout": (time(rules.shortest, also=own.within_an_hour), 10),
    },
    whole=_one_spelling,
)
