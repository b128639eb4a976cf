"""The parts a service's attributes are made of: published ports, mounts, health checks, logging, sizes."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources.config import (
    Attributes,
    Flag,
    Open,
    Port,
    ProjectPath,
    Seconds,
    Tries,
    Word,
    refuse,
)
from clockwork_nb.resources.containers import parse_size
from clockwork_nb.resources.probes import url_problem

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
    "Words",
    "container_path",
]

_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_PUBLISHED = re.compile(
    r"(?:(?P<ip>\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):)?(?P<external>\d{1,5})(?::(?P<internal>\d{1,5}))?\Z"
)
_MIN_MEMORY = 6 << 20  # docker's own lower limit; below it nothing starts
_MAX_BYTES = 1 << 50


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


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        raise refuse(
            "host_ip", 'host_ip is an IP address: "127.0.0.1" for this machine alone, "0.0.0.0" for all'
        ) from None


def _as_mapping(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"external": value}
    if not isinstance(value, str):
        return value
    found = _PUBLISHED.match(value)
    if found is None:
        raise refuse("ports", f'"{value[:60]}" is no port: write 8080, "8080:80" or "127.0.0.1:8080:80" (host first)')
    out: dict[str, Any] = {"external": int(found["external"])}
    if found["internal"]:
        out["internal"] = int(found["internal"])
    if found["ip"]:
        out["host_ip"] = found["ip"]
    return out


def _as_mappings(value: Any) -> Any:
    if isinstance(value, dict):
        value = [value]
    return [_as_mapping(v) for v in value] if isinstance(value, list) else value


def _distinct(value: list[Any]) -> list[Any]:
    seen = [p.external for p in value if not isinstance(p, Unknown) and not isinstance(p.external, Unknown)]
    twice = sorted({port for port in seen if seen.count(port) > 1})
    if twice:
        raise refuse("ports", f"port {twice[0]} is given twice")
    return value


class PortMapping(_Sparse):
    """A TCP port of the service."""

    _LATER = frozenset({"host_ip"})

    external: Port = Field(description="the port clients use")
    internal: Port | None = Field(
        default=None, description="the port the service listens on inside its container; the same by default"
    )
    host_ip: Annotated[str, AfterValidator(_address), Open] | None = Field(
        default=None, description="the address of this machine it is opened on; 127.0.0.1 by default"
    )

    @model_validator(mode="after")
    def _both(self) -> PortMapping:
        if self.internal is None:
            self.internal = self.external
        return self


Ports = Annotated[list[Annotated[PortMapping, Open]], AfterValidator(_distinct), BeforeValidator(_as_mappings), Open]


# --- mounts -------------------------------------------------------------------------------------------------------


def container_path(value: str) -> str:
    """Return *value*, a path inside a container, normalised; it is absolute and holds nothing a mount cannot say."""
    if not value.startswith("/") or ".." in value.split("/"):
        raise refuse("path", 'a path inside a container is absolute and without ".."')
    if any(ord(c) < 32 or ord(c) == 127 or c == ":" for c in value):
        raise refuse("path", "a path inside a container cannot hold a colon or a control character")
    return posixpath.normpath(value)


def _below_root(value: str) -> str:
    plain = container_path(value)
    if plain == "/":
        raise refuse("target", "nothing can be mounted over the root of a container")
    return plain


def _no_colon(value: Any) -> Any:
    if isinstance(value, str) and ":" in value:
        raise refuse("path", "a path with a colon cannot be mounted")
    return value


def _volume_name(value: str) -> str:
    if not _VOLUME_NAME.match(value):
        raise refuse("volume", "the name of a volume is 1 to 100 letters, digits, dots, dashes or underscores")
    return value


class VolumeMount(Attributes):
    """A file or folder of the project, or a named volume of the engine, at a path inside the container."""

    path: Annotated[ProjectPath, BeforeValidator(_no_colon)] | None = Field(
        default=None, description="a file or folder of the project that must be there"
    )
    volume: Annotated[str, AfterValidator(_volume_name), Open] | None = Field(
        default=None,
        description="or the name of a volume of the engine, made when it is not there; never removed by us",
    )
    target: Annotated[str, AfterValidator(_below_root), Open] = Field(description="where inside the container")
    mode: Annotated[Literal["rw", "ro"], Open] = Field(default="rw", description='"ro" to read only')

    @model_validator(mode="after")
    def _one_source(self) -> VolumeMount:
        if (self.path is None) == (self.volume is None):
            raise refuse("volumes", 'a mount has either "path" (of the project) or "volume" (a name)')
        return self


def _as_mount(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = value.split(":")
    if len(parts) not in {2, 3}:
        raise refuse("volumes", f'"{value[:60]}" is no mount: write "./folder:/inside:ro" or "volume:/inside"')
    # As for both engines: a name without a slash is a volume, "./data" is a folder.
    kind = "path" if "/" in parts[0] or parts[0].startswith(".") else "volume"
    return {kind: parts[0], "target": parts[1], **({"mode": parts[2]} if len(parts) == 3 else {})}


def _as_mounts(value: Any) -> Any:
    if isinstance(value, dict):
        value = [value]
    return [_as_mount(v) for v in value] if isinstance(value, list) else value


def _one_each(value: list[Any]) -> list[Any]:
    targets = [v.target for v in value if not isinstance(v, Unknown) and isinstance(v.target, str)]
    twice = sorted({t for t in targets if targets.count(t) > 1})
    if twice:
        raise refuse("volumes", f"two things are mounted at {twice[0]}")
    return value


Mounts = Annotated[list[Annotated[VolumeMount, Open]], AfterValidator(_one_each), BeforeValidator(_as_mounts), Open]


# --- sizes --------------------------------------------------------------------------------------------------------


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = parse_size(value)
        except ValueError:
            raise refuse("size", 'a size is a number of bytes, or text such as "64m", "512k", "2g"') from None
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    return value


def _memory(value: int) -> int:
    if value < _MIN_MEMORY:
        raise refuse("memory", "a memory limit is at least 6m; a smaller one starts nothing")
    return value


Size = Annotated[int, Field(ge=1024, le=_MAX_BYTES), BeforeValidator(_bytes), Open]
"""A number of bytes, or text with a unit (powers of 1024)."""
Memory = Annotated[int, Field(le=_MAX_BYTES), AfterValidator(_memory), BeforeValidator(_bytes), Open]


def _hundredths(value: Any) -> Any:
    if isinstance(value, (Decimal, int)) and not isinstance(value, bool):
        value = float(value)
    if isinstance(value, float) and round(value, 2) != value:
        raise refuse("cpus", "cpus is a number with at most two decimals, such as 0.5 or 1.25")
    return value


def _short(value: float) -> float:
    return int(value) if float(value).is_integer() else value


Cpus = Annotated[float, Field(ge=0.01, le=1024), AfterValidator(_short), BeforeValidator(_hundredths), Open]


# --- health and logging -------------------------------------------------------------------------------------------


def _words(value: list[Any]) -> list[Any]:
    if not value or value[0] == "":
        raise refuse("command", "a command needs at least the program's name")
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


Words = Annotated[list[Word], AfterValidator(_words), Open]


class HealthCheck(_Sparse):
    """How one can tell that the service works. Asked from here, by us: over HTTP, by connecting, or inside a container."""

    _LATER = frozenset({"tcp", "command"})

    path: Annotated[str, AfterValidator(_path), Open] = Field(default="/", description="asked at the first port")
    url: Annotated[str, AfterValidator(_url), Open] | None = Field(default=None, description="asked instead of path")
    tcp: Flag | None = Field(default=None, description="true: it is enough that the first port accepts connections")
    command: Words | None = Field(
        default=None, description="or a program and its arguments, run inside the container; exit 0 is healthy"
    )
    expect_status: Annotated[int, Field(ge=100, le=599), Open] = Field(default=200, description="the status expected")
    interval: Annotated[Seconds, AfterValidator(_positive)] = Field(
        default=0.2, description='pause between tries: seconds, or text such as "200ms"'
    )
    timeout: Seconds = Field(default=5, description="how long one try may take")
    retries: Tries = Field(default=30, description="how often it is tried before it counts as failed")
    start_period: Seconds = Field(default=0, description="extra time for the start, during which failures do not count")

    @model_validator(mode="after")
    def _one_way(self) -> HealthCheck:
        given = [n for n in ("url", "tcp", "command") if getattr(self, n) not in (None, False)]
        if len(given) > 1:
            raise refuse("health_check", f'a health check asks in one way; "{given[0]}" and "{given[1]}" are two')
        return self


def _driver(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", value):
        raise refuse("driver", 'a log driver is a word such as "json-file", "k8s-file", "journald", "none"')
    return value


class Logging(Attributes):
    """Where the output goes and how much of it is kept."""

    driver: Annotated[str, AfterValidator(_driver), Open] | None = Field(
        default=None, description="the engine's log driver; containers only"
    )
    max_size: Size | None = Field(
        default=None, description='when a log file is turned over: bytes, or text such as "10m"'
    )
    max_file: Annotated[int, Field(ge=1, le=100), Open] | None = Field(
        default=None, description="how many log files are kept, the one being written included"
    )
