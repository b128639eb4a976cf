"""The attributes of a ``service``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    Flag,
    Open,
    Port,
    Seconds,
    Text,
    refuse,
    single_block,
)
from clockwork_nb.resources.containers import in_container
from clockwork_nb.resources.project_paths import path_problem
from clockwork_nb.resources.service.parts_config import (
    Cpus,
    HealthCheck,
    Logging,
    Memory,
    Mounts,
    PortMapping,
    Ports,
    Words,
    container_path,
)
from clockwork_nb.secrets import Sensitive

__all__ = ["HealthCheck", "Logging", "PortMapping", "ServiceConfig"]

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

_ENGINE_STEERING = re.compile(r"(?:LD_|DYLD_|GO|BASH_FUNC_|CONTAINERS?_|DOCKER_|STORAGE_|XDG_|PODMAN_|BUILDAH_)")
_SHELL_NAMES = frozenset(
    {
        "BASHOPTS", "BASH_ENV", "DBUS_SESSION_BUS_ADDRESS", "ENV", "EUID", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "IFS",
        "LINENO", "NO_PROXY", "OLDPWD", "OPTARG", "OPTIND", "PATH", "PPID", "PS1", "PS2", "PS4", "PWD",
        "REGISTRY_AUTH_FILE", "SHELLOPTS", "TMPDIR", "UID", "http_proxy", "https_proxy", "no_proxy",
    }
)  # fmt: skip
_OURS = "clockwork."


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value):
        raise refuse("name", "a name is 1 to 100 letters, digits, dots, dashes or underscores")
    return value


def _image(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}", value):
        raise refuse("image", 'an image is a name such as "nginx:1.25", a name with a digest, or an id')
    return value


def _restart(value: str) -> str:
    if not re.fullmatch(r"no|always|on-failure(?::[1-9]\d{0,4})?", value):
        raise refuse("restart", "restart is 'no', 'on-failure', 'on-failure:N' (at most N times in a row) or 'always'")
    return value


def _within_an_hour(value: Any) -> Any:
    if isinstance(value, (int, float)) and value > 3600:
        raise refuse("stop_timeout", "a service may take at most an hour to stop")
    return value


def _label_names(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}", name):
            raise refuse("labels", "the name of a label is letters, digits, dots, dashes, slashes or underscores")
        if name.startswith(_OURS):
            raise refuse("labels", f'labels that start with "{_OURS}" are the tool\'s own')
    return dict(sorted(value.items()))


def _word_of_engine(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", value):
        raise refuse("word", "this is a name or number without spaces")
    return value


EngineWord = Annotated[str, AfterValidator(_word_of_engine), Open]
Labels = Annotated[dict[str, Text], AfterValidator(_label_names), Open]


class ServiceConfig(Attributes):
    """A long-running service: a container where it has an image, else a supervised process."""

    engine: Annotated[Literal["auto", "podman", "docker", "process"], Open] = Field(
        default="auto", description="what runs it; auto: the container engine for an image, else a supervised process"
    )
    image: Annotated[str, AfterValidator(_image), Open] | None = Field(
        default=None, description="the container's image: a name, or the id of an image resource"
    )
    build: Any = Field(default=None, exclude=True, description='declare an "image" resource instead')
    source_repo: Any = Field(default=None, exclude=True, description='declare a "repository" resource instead')
    pull: Annotated[Literal["missing", "never", "always"], Open] | None = Field(
        default=None, description="when the image is fetched from its registry: missing (the default), never, or always"
    )
    name: Annotated[str, AfterValidator(_name), Open] | None = Field(
        default=None, description="the container's name, by default the resource's; for a process its name for people"
    )
    command: Words | None = Field(
        default=None, description="the program and its arguments, as a list; for a container instead of the image's own"
    )
    ports: Ports = Field(default=[], description='TCP ports: numbers, "8080:80", or { external, internal, host_ip }')
    port: Port | None = Field(default=None, exclude=True, description="short for ports with one entry")
    env: EnvMap = Field(default={}, description="its environment; values may be sensitive")
    environment: EnvMap | None = Field(default=None, exclude=True, description="the same as env")
    volumes: Mounts | None = Field(
        default=None, description='mounts: "./folder:/inside:ro", "volume:/inside", or { path | volume, target, mode }'
    )
    working_dir: Text | None = Field(
        default=None, description="where it runs: a folder of the project for a process, a path inside for a container"
    )
    user: EngineWord | None = Field(default=None, description="the user (and :group) it runs as inside the container")
    network: EngineWord | None = Field(
        default=None, description="the engine's network it joins, or host or none; by default the engine's own"
    )
    read_only: Flag | None = Field(default=None, description="whether the container's own files can only be read")
    privileged: Flag | None = Field(default=None, description="whether it gets all rights on this machine")
    labels: Labels | None = Field(default=None, description="labels of the container, besides our own")
    logging: Annotated[Logging, BeforeValidator(single_block), Open] | None = Field(
        default=None, description="{ driver, max_size, max_file }"
    )
    health_check: Annotated[HealthCheck, BeforeValidator(single_block), Open] | None = Field(
        default=None,
        description="{ path | url | tcp | command, expect_status, interval, timeout, retries, start_period }",
    )
    restart: Annotated[str, AfterValidator(_restart), Open] = Field(
        default="on-failure", description="when it is started again by itself: no, on-failure, on-failure:N, always"
    )
    memory: Memory | None = Field(default=None, description='how much memory it may use: bytes, or text such as "64m"')
    cpus: Cpus | None = Field(default=None, description="how many processors it may use, such as 0.5")
    pids: Annotated[int, Field(ge=1, le=4_194_304), Open] | None = Field(
        default=None, description="how many processes it may have at once"
    )
    state: Annotated[Literal["running", "stopped"], Open] = Field(default="running", description="whether it runs")
    stop_timeout: Annotated[Seconds, AfterValidator(_within_an_hour)] = Field(
        default=10, description="how long it may take to stop before it is killed"
    )

    @model_validator(mode="before")
    @classmethod
    def _elsewhere(cls, data: Any) -> Any:
        # Before anything else: a service with a build usually has no image, and that is not what is wrong with it.
        if not isinstance(data, dict):
            return data
        if data.get("build") is not None:
            raise refuse("build", 'declare image "web" { context = …, tags = […] } and write image = image.web.id here')
        if data.get("source_repo") is not None:
            raise refuse("source_repo", 'declare repository "src" { url = …, path = … } and use its path')
        return data

    @field_validator("port", mode="after")
    @classmethod
    def _port_or_ports(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("ports"):
            raise refuse("ports", 'give "port" or "ports", not both')
        return value

    @field_validator("environment", mode="after")
    @classmethod
    def _environment_or_env(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("env"):
            raise refuse("env", '"environment" and "env" are the same attribute; give one of them')
        return value

    @field_validator("working_dir", mode="after")
    @classmethod
    def _folder(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(info.data.get("engine"), Unknown):
            return value  # nobody knows yet where this path is
        if in_container(info.data.get("engine"), info.data.get("image")):
            return container_path(value) if isinstance(value, str) else value
        if isinstance(value, str) and (problem := path_problem(value)):
            raise refuse("path", problem)
        return posixpath.normpath(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_spelling(self) -> ServiceConfig:
        if self.port is not None:
            self.ports = [PortMapping(external=self.port)]
        if self.environment is not None:
            self.env = self.environment
        if in_container(self.engine, self.image):
            self._check_container()
        elif not isinstance(self.engine, Unknown):
            self._check_process()
        health = self.health_check
        if isinstance(health, HealthCheck) and health.url is None and health.command is None and not self.ports:
            raise refuse("health_check", "a health check needs a port to ask, or its own url")
        return self

    def _check_container(self) -> None:
        if self.image is None:
            raise refuse("image", f'engine = "{self.engine}" needs an image; a process is engine = "process"')
        if isinstance(self.env, dict):
            for name, value in self.env.items():
                if isinstance(value, Sensitive) and (name in _SHELL_NAMES or _ENGINE_STEERING.match(name)):
                    raise refuse(
                        "env", f"{name} would change the engine's own command, so its value cannot be sensitive here"
                    )

    def _check_process(self) -> None:
        if self.image is not None:
            raise refuse("image", 'an image needs a container engine; leave engine out, or leave "image" out')
        if self.command is None:
            raise refuse("command", 'a service needs "command" (a process), or "image" (a container)')
        for name, why in _NOT_FOR_A_PROCESS.items():
            if getattr(self, name) is not None:
                raise refuse(name, f'"{name}" goes with an image: {why}')
        if isinstance(self.logging, Logging) and self.logging.driver is not None:
            raise refuse("logging", '"driver" goes with an image: the output of a process goes to a file of ours')
        if isinstance(self.health_check, HealthCheck) and self.health_check.command is not None:
            raise refuse(
                "health_check", 'a health check\'s "command" runs inside a container; ask a process by url or tcp'
            )
        for port in self.ports if isinstance(self.ports, list) else ():
            if isinstance(port, Unknown):
                continue
            if not isinstance(port.internal, Unknown) and port.internal != port.external:
                raise refuse("ports", "a process has no port mapping: external and internal must be the same")
            if port.host_ip is not None:
                raise refuse("ports", "a process chooses its own address; host_ip goes with an image")
        if self.working_dir is None:
            self.working_dir = "."
