"""The attributes of a ``service``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    Open,
    Port,
    ProjectFolder,
    Seconds,
    Tries,
    Word,
    refuse,
    single_block,
)
from clockwork_nb.resources.probes import url_problem

__all__ = ["HealthCheck", "PortMapping", "ServiceConfig"]

_NO_CONTAINERS = (
    'containers are not built yet: a service takes "command", a list that starts the process; '
    "remove the attributes that describe an image"
)


def _as_mappings(value: Any) -> Any:
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return value
    return [{"external": v} if isinstance(v, int) and not isinstance(v, bool) else v for v in value]


def _distinct(value: list[Any]) -> list[Any]:
    seen = [p.external for p in value if not isinstance(p, Unknown) and not isinstance(p.external, Unknown)]
    twice = sorted({port for port in seen if seen.count(port) > 1})
    if twice:
        raise refuse("ports", f"port {twice[0]} is given twice")
    return value


def _words(value: list[Any]) -> list[Any]:
    if not value or value[0] == "":
        raise refuse("command", "a command needs at least the program's name")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value):
        raise refuse("name", "a name is 1 to 100 letters, digits, dots, dashes or underscores")
    return value


def _path(value: str) -> str:
    if not value.startswith("/") or url_problem(f"http://localhost{value}"):
        raise refuse("path", 'the path of a health check starts with "/" and is plain ASCII')
    return value


def _url(value: str) -> str:
    problem = url_problem(value)
    if problem:
        raise refuse("url", problem)
    return value


def _positive(value: Any) -> Any:
    if isinstance(value, (int, float)) and value < 0.01:
        raise refuse("interval", "an interval is at least 10ms")
    return value


def _within_an_hour(value: Any) -> Any:
    if isinstance(value, (int, float)) and value > 3600:
        raise refuse("stop_timeout", "a service may take at most an hour to stop")
    return value


class PortMapping(Attributes):
    """A TCP port the process listens on."""

    external: Port = Field(description="the port clients use")
    internal: Port | None = Field(default=None, description="the port the process listens on; the same for a process")

    @model_validator(mode="after")
    def _same(self) -> PortMapping:
        if self.internal is None:
            self.internal = self.external
        if not isinstance(self.internal, Unknown) and self.internal != self.external:
            raise refuse("ports", "a process has no port mapping: external and internal must be the same")
        return self


class HealthCheck(Attributes):
    """How one can tell that the service works."""

    path: Annotated[str, AfterValidator(_path), Open] = Field(default="/", description="asked at the first port")
    url: Annotated[str, AfterValidator(_url), Open] | None = Field(default=None, description="asked instead of path")
    expect_status: Annotated[int, Field(ge=100, le=599), Open] = Field(default=200, description="the status expected")
    interval: Annotated[Seconds, AfterValidator(_positive)] = Field(
        default=0.2, description='pause between tries: seconds, or text such as "200ms"'
    )
    timeout: Seconds = Field(default=5, description="how long one try may take")
    retries: Tries = Field(default=30, description="how often it is tried before it counts as failed")
    start_period: Seconds = Field(default=0, description="extra time for the start, during which failures do not count")


class ServiceConfig(Attributes):
    """A supervised process."""

    name: Annotated[str, AfterValidator(_name), Open] | None = Field(default=None, description="its name for people")
    command: Annotated[list[Word], AfterValidator(_words), Open] = Field(
        description="the program and its arguments, as a list; no shell reads it"
    )
    ports: Annotated[list[PortMapping], AfterValidator(_distinct), BeforeValidator(_as_mappings), Open] = Field(
        default=[], description="TCP ports it listens on: numbers, or { external, internal }"
    )
    port: Port | None = Field(default=None, exclude=True, description="short for ports with one entry")
    env: EnvMap = Field(default={}, description="its environment; values may be sensitive")
    environment: EnvMap | None = Field(default=None, exclude=True, description="the same as env")
    working_dir: ProjectFolder = Field(default=".", description="where it runs, relative to the project folder")
    health_check: Annotated[HealthCheck, BeforeValidator(single_block), Open] | None = Field(
        default=None, description="{ path | url, expect_status, interval, timeout, retries, start_period }"
    )
    restart: Annotated[Literal["no", "on-failure", "always"], Open] = Field(
        default="on-failure", description="when it is started again by itself"
    )
    state: Annotated[Literal["running", "stopped"], Open] = Field(default="running", description="whether it runs")
    stop_timeout: Annotated[Seconds, AfterValidator(_within_an_hour)] = Field(
        default=10, description="how long it may take to stop before it is killed"
    )
    image: Any = Field(default=None, exclude=True, description="not built yet: containers")

    @model_validator(mode="before")
    @classmethod
    def _no_containers(cls, data: Any) -> Any:
        # Before anything else: a service with an image usually has no command, and that is not what is wrong with it.
        if isinstance(data, dict) and data.get("image") is not None:
            raise refuse("image", _NO_CONTAINERS)
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

    @model_validator(mode="after")
    def _one_spelling(self) -> ServiceConfig:
        if self.port is not None:
            self.ports = [PortMapping(external=self.port)]
        if self.environment is not None:
            self.env = self.environment
        health = self.health_check
        if isinstance(health, HealthCheck) and health.url is None and not self.ports:
            raise refuse("health_check", "a health check needs a port to ask, or its own url")
        return self
