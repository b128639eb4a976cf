"""The parts a service's attributes are made of: published ports, mounts, health checks, logging, sizes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources import rules
from clockwork_nb.resources.config import (
    Attributes,
    Flag,
    Open,
    Port,
    ProjectPath,
    Seconds,
    Tries,
    Words,
    after,
    before,
    judge,
)
from clockwork_nb.resources.probes import http_url
from clockwork_nb.resources.service import parts

__all__ = [
    "Cpus",
    "HealthCheck",
    "Logging",
    "Memory",
    "Mounts",
    "PortMapping",
    "Ports",
    "Size",
    "VolumeMount",
]


class _Sparse(Attributes):
    """A part whose `_LATER` attributes are left out of the config while they are not given.

    Services that were recorded before an attribute existed do not look changed by it.
    """

    _LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        made: dict[str, Any] = handler(self)
        return {k: v for k, v in made.items() if v is not None or k not in self._LATER}


# --- ports --------------------------------------------------------------------------------------------------------


def _distinct(value: list[Any]) -> list[Any]:
    known = [p.external for p in value if not isinstance(p, Unknown)]
    judge(parts.distinct_ports, [external for external in known if not isinstance(external, Unknown)])
    return value


class PortMapping(_Sparse):
    """A TCP port of the service."""

    _LATER = frozenset({"host_ip"})

    external: Port = Field(description="the port clients use")
    internal: Port | None = Field(
        default=None, description="the port the service listens on inside its container; the same by default"
    )
    host_ip: Annotated[str, after(parts.ip_address), Open] | None = Field(
        default=None, description="the address of this machine it is opened on; 127.0.0.1 by default"
    )

    @model_validator(mode="after")
    def _both(self) -> PortMapping:
        if self.internal is None:
            self.internal = self.external
        return self


Ports = Annotated[list[Annotated[PortMapping, Open]], AfterValidator(_distinct), before(parts.written_ports), Open]


# --- mounts -------------------------------------------------------------------------------------------------------


class VolumeMount(Attributes):
    """A file or folder of the project, or a named volume of the engine, at a path inside the container."""

    path: Annotated[ProjectPath, before(parts.no_colon)] | None = Field(
        default=None, description="a file or folder of the project that must be there"
    )
    volume: Annotated[str, after(parts.volume_name), Open] | None = Field(
        default=None,
        description="or the name of a volume of the engine, made when it is not there; never removed by us",
    )
    target: Annotated[str, after(parts.below_root), Open] = Field(description="where inside the container")
    mode: Annotated[Literal["rw", "ro"], Open] = Field(default="rw", description='"ro" to read only')

    @model_validator(mode="after")
    def _one_source(self) -> VolumeMount:
        judge(parts.one_source, vars(self))
        return self


def _one_each(value: list[Any]) -> list[Any]:
    targets = [v.target for v in value if not isinstance(v, Unknown)]
    judge(parts.distinct_targets, [target for target in targets if isinstance(target, str)])
    return value


Mounts = Annotated[list[Annotated[VolumeMount, Open]], AfterValidator(_one_each), before(parts.written_mounts), Open]


# --- sizes --------------------------------------------------------------------------------------------------------


Size = Annotated[int, Field(ge=1024, le=parts.MAX_BYTES), before(parts.in_bytes), Open]
"""A number of bytes, or text with a unit (powers of 1024)."""
Memory = Annotated[int, Field(le=parts.MAX_BYTES), after(parts.memory_limit), before(parts.in_bytes), Open]


Cpus = Annotated[float, Field(ge=0.01, le=1024), after(rules.shortest), before(parts.hundredths), Open]


# --- health and logging -------------------------------------------------------------------------------------------


class HealthCheck(_Sparse):
    """How one can tell that the service works. Asked from here, by us: over HTTP, by connecting, or inside a container."""

    _LATER = frozenset({"tcp", "command"})

    path: Annotated[str, after(parts.probe_path), Open] = Field(default="/", description="asked at the first port")
    url: Annotated[str, after(http_url), Open] | None = Field(default=None, description="asked instead of path")
    tcp: Flag | None = Field(default=None, description="true: it is enough that the first port accepts connections")
    command: Words | None = Field(
        default=None, description="or a program and its arguments, run inside the container; exit 0 is healthy"
    )
    expect_status: Annotated[int, Field(ge=100, le=599), Open] = Field(default=200, description="the status expected")
    interval: Annotated[Seconds, after(parts.not_too_often)] = Field(
        default=0.2, description='pause between tries: seconds, or text such as "200ms"'
    )
    timeout: Seconds = Field(default=5, description="how long one try may take")
    retries: Tries = Field(default=30, description="how often it is tried before it counts as failed")
    start_period: Seconds = Field(default=0, description="extra time for the start, during which failures do not count")

    @model_validator(mode="after")
    def _one_way(self) -> HealthCheck:
        judge(parts.one_way, vars(self))
        return self


class Logging(Attributes):
    """Where the output goes and how much of it is kept."""

    driver: Annotated[str, after(parts.log_driver), Open] | None = Field(
        default=None, description="the engine's log driver; containers only"
    )
    max_size: Size | None = Field(
        default=None, description='when a log file is turned over: bytes, or text such as "10m"'
    )
    max_file: Annotated[int, Field(ge=1, le=100), Open] | None = Field(
        default=None, description="how many log files are kept, the one being written included"
    )
