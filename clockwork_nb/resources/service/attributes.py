"""What the attributes of a ``service`` may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from clockwork_nb.intake.values import Unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.resources import rules
from clockwork_nb.resources.containers import in_container
from clockwork_nb.resources.rules import Refused
from clockwork_nb.resources.service.parts import container_path
from clockwork_nb.secrets import Sensitive

__all__ = [
    "engine_word",
    "environment_or_env",
    "fits",
    "image_name",
    "is_process",
    "label_names",
    "port_or_ports",
    "restart_policy",
    "service_name",
    "within_an_hour",
    "working_folder",
]

_NOT_FOR_A_PROCESS: Final[Mapping[str, str]] = {
    "pull": "a process has no image to pull",
    "volumes": "a process sees the project's files as they are; there is nothing to mount",
    "cpus": "a process cannot be given a share of the processors without a container engine",
    "pids": "a process cannot be limited in how many others it starts without a container engine",
    "labels": "labels are kept by a container engine; a process has none",
    "user": "a process runs as the person who applies",
    "network": "a process uses this machine's network",
    "read_only": "a process sees the project's files as they are",
    "privileged": "a process has the rights of the person who applies",
}
"""Words that need a container → why a process cannot have them."""

_ENGINE_STEERING = pattern(r"(?:LD_|DYLD_|GO|BASH_FUNC_|CONTAINERS?_|DOCKER_|STORAGE_|XDG_|PODMAN_|BUILDAH_)")
_SHELL_NAMES = frozenset(
    {
        "BASHOPTS", "BASH_ENV", "DBUS_SESSION_BUS_ADDRESS", "ENV", "EUID", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "IFS",
        "LINENO", "NO_PROXY", "OLDPWD", "OPTARG", "OPTIND", "PATH", "PPID", "PS1", "PS2", "PS4", "PWD",
        "REGISTRY_AUTH_FILE", "SHELLOPTS", "TMPDIR", "UID", "http_proxy", "https_proxy", "no_proxy",
    }
)  # fmt: skip
_OURS = "clockwork."


def service_name(value: str) -> str:
    """Refuse what cannot be the name of a container."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value):
        raise Refused("name", "a name is 1 to 100 letters, digits, dots, dashes or underscores")
    return value


def image_name(value: str) -> str:
    """Refuse what cannot be the name or the id of an image."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}", value):
        raise Refused("image", 'an image is a name such as "nginx:1.25", a name with a digest, or an id')
    return value


def restart_policy(value: str) -> str:
    """Refuse what says not when to start again."""
    if not re.fullmatch(r"no|always|on-failure(?::[1-9]\d{0,4})?", value):
        raise Refused("restart", "restart is 'no', 'on-failure', 'on-failure:N' (at most N times in a row) or 'always'")
    return value


def within_an_hour(value: Any) -> Any:
    """Refuse more than 3600 seconds."""
    if isinstance(value, (int, float)) and value > 3600:
        raise Refused("stop_timeout", "a service may take at most an hour to stop")
    return value


def label_names(value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* sorted; its names are those of labels and none of ours."""
    for name in value:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}", name):
            raise Refused("labels", "the name of a label is letters, digits, dots, dashes, slashes or underscores")
        if name.startswith(_OURS):
            raise Refused("labels", f'labels that start with "{_OURS}" are the tool\'s own')
    return rules.sorted_map(value)


def engine_word(value: str) -> str:
    """Refuse what is not one word of an engine's command line."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", value):
        raise Refused("word", "this is a name or number without spaces")
    return value


def port_or_ports(ports: Any) -> None:
    """Refuse ``ports`` beside ``port``."""
    if ports:
        raise Refused("ports", 'give "port" or "ports", not both')


def environment_or_env(env: Any) -> None:
    """Refuse ``env`` beside ``environment``."""
    if env:
        raise Refused("env", '"environment" and "env" are the same attribute; give one of them')


def is_process(engine: Any, image: Any) -> bool:
    """Return whether it is certain that the service is no container."""
    return not isinstance(engine, Unknown) and not in_container(engine, image)


def working_folder(value: Any, engine: Any, image: Any) -> Any:
    """Return *value* normalised: a path of the project for a process, one inside for a container."""
    if isinstance(engine, Unknown) or not isinstance(value, str):
        return value  # nobody knows yet where this path is, or what it is
    return container_path(value) if in_container(engine, image) else rules.project_folder(value)


def fits(config: Mapping[str, Any]) -> None:
    """Refuse what does not go together. Nested blocks of *config* are mappings too; ports and env are in one spelling."""
    if in_container(config["engine"], config["image"]):
        _fits_container(config)
    elif is_process(config["engine"], config["image"]):
        _fits_process(config)
    health = config["health_check"]
    if isinstance(health, Mapping) and not config["ports"] and health["url"] is None and health.get("command") is None:
        raise Refused("health_check", "a health check needs a port to ask, or its own url")


def _fits_container(config: Mapping[str, Any]) -> None:
    if config["image"] is None:
        raise Refused("image", f'engine = "{config["engine"]}" needs an image; a process is engine = "process"')
    env = config["env"]
    for name, value in env.items() if isinstance(env, dict) else ():
        if isinstance(value, Sensitive) and (name in _SHELL_NAMES or _ENGINE_STEERING.match(name)):
            raise Refused("env", f"{name} would change the engine's own command, so its value cannot be sensitive here")


def _fits_process(config: Mapping[str, Any]) -> None:
    if config["image"] is not None:
        raise Refused("image", 'an image needs a container engine; leave engine out, or leave "image" out')
    if config["command"] is None:
        raise Refused("command", 'a service needs "command" (a process), or "image" (a container)')
    for name, why in _NOT_FOR_A_PROCESS.items():
        if config[name] is not None:
            raise Refused(name, f'"{name}" goes with an image: {why}')
    logging, health = config["logging"], config["health_check"]
    if isinstance(logging, Mapping) and logging["driver"] is not None:
        raise Refused("logging", '"driver" goes with an image: the output of a process goes to a file of ours')
    if isinstance(health, Mapping) and health.get("command") is not None:
        raise Refused(
            "health_check", 'a health check\'s "command" runs inside a container; ask a process by url or tcp'
        )
    for port in config["ports"] if isinstance(config["ports"], list) else ():
        if isinstance(port, Unknown):
            continue
        if not isinstance(port["internal"], Unknown) and port["internal"] != port["external"]:
            raise Refused("ports", "a process has no port mapping: external and internal must be the same")
        if port.get("host_ip") is not None:
            raise Refused("ports", "a process chooses its own address; host_ip goes with an image")
