"""The attributes of a ``check``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources.config import (
    Attributes,
    Mode,
    NetworkPorts,
    Open,
    Port,
    ProjectFolder,
    ProjectPath,
    Seconds,
    Text,
    TextMap,
    Tries,
    Word,
    refuse,
    single_block,
)
from clockwork_nb.resources.probes import url_problem
from clockwork_nb.secrets import Sensitive

__all__ = ["CheckConfig", "Url"]

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_LINE = re.compile(r"[\r\n\x00]")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\Z")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")
_SERVICE = re.compile(r"[A-Za-z0-9_.\-\[\]\" ]{1,200}\Z")


def _url(value: str) -> str:
    problem = url_problem(value)
    if problem:
        raise refuse("url", problem)
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise refuse("pattern", f"this is not a regular expression: {error}") from None
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45}", value):
        raise refuse("host", "a host is a name or an IP address")
    return value


def _sha256(value: str) -> str:
    plain = value.removeprefix("sha256:").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise refuse("sha256", "a SHA-256 digest is 64 hexadecimal digits")
    return plain


def _account(value: str) -> str:
    if not _ACCOUNT.match(value):
        raise refuse("account", "this is the name or the number of a user or group")
    return value


def _container(value: str) -> str:
    if not _CONTAINER.match(value):
        raise refuse("container", "this is the name or the id of a container")
    return value


def _service(value: str) -> str:
    if not _SERVICE.match(value):
        raise refuse("service", 'this is the address of a service, such as "service.web"')
    return value if value.startswith("service.") else f"service.{value}"


def _process(value: str) -> str:
    if not value or "/" in value or _LINE.search(value):
        raise refuse("process", "this is the name of a program, without its folder")
    return value


def _headers(value: Any) -> Any:
    if isinstance(value, Unknown):
        return value
    for name, text in value.items():
        if not _HEADER.match(name):
            raise refuse("headers", f"{name!r} cannot be the name of a header (RFC 9110, section 5.1)")
        plain = text.value if isinstance(text, Sensitive) else text
        if isinstance(plain, str) and _LINE.search(plain):
            raise refuse("headers", f"the header {name} holds a line break or a NUL")
    return value


def _positive(value: Any) -> Any:
    if isinstance(value, (int, float)) and value <= 0:
        raise refuse("window", "a window is longer than 0")
    return value


def _shortest(value: float) -> float:
    return int(value) if value.is_integer() else value


def _named(value: Any) -> Any:
    """Return the block that a bare name is short for."""
    return {"name": value} if isinstance(value, str) else single_block(value)


def _command(value: Any) -> Any:
    """Return the block that a list of words or the text of a script is short for."""
    if isinstance(value, str):
        return {"script": value}
    if isinstance(value, list) and not (len(value) == 1 and isinstance(value[0], dict)):
        return {"command": value}
    return single_block(value)


def _words(value: list[Any]) -> list[Any]:
    if not value or value[0] == "":
        raise refuse("command", "a command needs at least the program's name")
    return value


Url = Annotated[str, AfterValidator(_url), Open]
Status = Annotated[int, Field(ge=100, le=599), Open]
Method = Annotated[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], Open]
Headers = Annotated[TextMap, AfterValidator(_headers)]
Host = Annotated[str, AfterValidator(_host), Open]
Pattern = Annotated[str, AfterValidator(_pattern), Open]
Account = Annotated[str, AfterValidator(_account), Open]
ContainerName = Annotated[str, AfterValidator(_container), Open]
ServiceName = Annotated[str, AfterValidator(_service), Open]
ProcessName = Annotated[str, AfterValidator(_process), Open]
Engine = Annotated[Literal["auto", "podman", "docker"], Open]
Count = Annotated[int, Field(ge=1, le=1_000_000), Open]
Size = Annotated[int, Field(ge=0, le=2**62), Open]
Percent = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False), AfterValidator(_shortest), Open]


class HttpCheck(Attributes):
    """An answer over HTTP."""

    url: Url = Field(description="what is asked; redirects are not followed")
    method: Method = Field(default="GET", description="how it is asked")
    headers: Headers = Field(default={}, description="headers of the request; values may be sensitive")
    expect_status: Status = Field(default=200, description="the status that must come")
    contains: Text | None = Field(default=None, description="text that must be in the first MiB of the answer")

    @model_validator(mode="after")
    def _has_a_body(self) -> HttpCheck:
        if self.method == "HEAD" and self.contains:
            raise refuse("contains", "the answer to HEAD has no text; ask with GET")
        return self


class ResponseTime(HttpCheck):
    """An answer over HTTP that is there in time."""

    max_ms: Count = Field(description="milliseconds from the connection to the end of the first MiB of the answer")


class TcpCheck(Attributes):
    """A port that accepts connections."""

    host: Host = Field(default="127.0.0.1", description="a name or IP address")
    port: Port = Field(description="the TCP port")


class PortCheck(Attributes):
    """A port that somebody has."""

    host: Host = Field(default="127.0.0.1", description="a name or IP address")
    port: Port = Field(description="the port")
    protocol: Annotated[Literal["tcp", "udp"], Open] = Field(
        default="tcp", description="tcp: it accepts a connection; udp: it answers, or at least nothing refuses"
    )


class FilePermissions(Attributes):
    """Who may do what with a file."""

    path: ProjectPath = Field(description="the file or folder, relative to the project folder")
    mode: Mode | None = Field(default=None, description='the permissions, such as "0640"')
    owner: Account | None = Field(default=None, description="the owner's name or number")
    group: Account | None = Field(default=None, description="the group's name or number")

    @model_validator(mode="after")
    def _something(self) -> FilePermissions:
        if self.mode is None and self.owner is None and self.group is None:
            raise refuse("file_permissions", "give at least one of mode, owner, group")
        return self


class FileSize(Attributes):
    """How large a file is."""

    path: ProjectPath = Field(description="the file, relative to the project folder")
    min: Size | None = Field(default=None, description="at least so many bytes")
    max: Size | None = Field(default=None, description="at most so many bytes")

    @model_validator(mode="after")
    def _range(self) -> FileSize:
        if self.min is None and self.max is None:
            raise refuse("file_size", "give at least one of min, max")
        if isinstance(self.min, int) and isinstance(self.max, int) and self.min > self.max:
            raise refuse("file_size", "min is greater than max")
        return self


class FileMatches(Attributes):
    """A file with a matching line, or with exactly these bytes."""

    path: ProjectPath = Field(description="the file, relative to the project folder")
    pattern: Pattern | None = Field(
        default=None, description="a regular expression (Python) that must match somewhere; ^ and $ match at lines"
    )
    sha256: Annotated[str, AfterValidator(_sha256), Open] | None = Field(
        default=None, description="the digest that the file's bytes must have"
    )

    @model_validator(mode="after")
    def _one_of(self) -> FileMatches:
        if (self.pattern is None) == (self.sha256 is None):
            raise refuse("file_matches", "give exactly one of pattern, sha256")
        return self


class LogContains(Attributes):
    """A line in the newest part of a log."""

    path: ProjectPath | None = Field(default=None, description="a log file, relative to the project folder")
    service: ServiceName | None = Field(default=None, description='a service of this workspace: "service.web"')
    container: ContainerName | None = Field(default=None, description="a container, by name or id")
    engine: Engine = Field(default="auto", description="who runs the container: podman, docker, or what is there")
    pattern: Pattern = Field(description="a regular expression (Python) that one of the lines must match")
    lines: Count = Field(default=100, description="how many lines from the end are looked at")

    @model_validator(mode="after")
    def _one_of(self) -> LogContains:
        if sum(where is not None for where in (self.path, self.service, self.container)) != 1:
            raise refuse("log_contains", "give exactly one of path, service, container")
        return self


class ServiceStatus(Attributes):
    """How a service of this workspace is."""

    name: ServiceName = Field(description='its address, such as "service.web"')
    expect: Annotated[Literal["running", "stopped", "exited", "failed", "backoff"], Open] = Field(
        default="running", description="the status it must have"
    )


class ContainerCheck(Attributes):
    """A container, whoever started it."""

    name: ContainerName = Field(description="its name or id")
    engine: Engine = Field(default="auto", description="who runs it: podman, docker, or what is there")


class ProcessRunning(Attributes):
    """A program that runs."""

    name: ProcessName = Field(description="the program's name, without its folder")
    min_count: Count = Field(default=1, description="at least so many processes of it")


class ProcessNotRunning(Attributes):
    """A program that does not run."""

    name: ProcessName = Field(description="the program's name, without its folder")


class MemoryUsage(Attributes):
    """How much memory is in use."""

    max_mb: Count | None = Field(default=None, description="at most so many MiB")
    max_percent: Percent | None = Field(default=None, description="at most so much of the machine's memory")
    process: ProcessName | None = Field(default=None, description="only of processes of this program; all by default")

    @model_validator(mode="after")
    def _one_of(self) -> MemoryUsage:
        if (self.max_mb is None) == (self.max_percent is None):
            raise refuse("memory_usage", "give exactly one of max_mb, max_percent")
        return self


class CpuUsage(Attributes):
    """How busy the processors are."""

    max_percent: Percent = Field(
        description="at most so much: of all processors, or with process of one (200 means two are busy)"
    )
    window: Annotated[Seconds, AfterValidator(_positive)] = Field(
        default=1, description='how long is measured: seconds, or text such as "500ms"'
    )
    process: ProcessName | None = Field(default=None, description="only processes of this program; all by default")


class DiskUsage(Attributes):
    """How full a file system is, or how large a folder."""

    path: ProjectFolder = Field(default=".", description="a file or folder, relative to the project folder")
    max_percent: Percent | None = Field(default=None, description="the file system is at most so full")
    min_free_mb: Size | None = Field(default=None, description="at least so many MiB of the file system are free")
    max_mb: Size | None = Field(default=None, description="what is at and below path takes at most so many MiB")

    @model_validator(mode="after")
    def _one_of(self) -> DiskUsage:
        if sum(limit is not None for limit in (self.max_percent, self.min_free_mb, self.max_mb)) != 1:
            raise refuse("disk_usage", "give exactly one of max_percent, min_free_mb, max_mb")
        return self


class CommandCheck(Attributes):
    """A program that must succeed. It may write nothing."""

    command: Annotated[list[Word], AfterValidator(_words), Open] | None = Field(
        default=None, description="a program and its arguments, as a list; no shell reads it"
    )
    script: Text | None = Field(default=None, description="the text of a script; give this or command")
    interpreter: Annotated[Literal["sh", "bash", "python3"], Open] = Field(
        default="sh", description="what runs the script"
    )
    expect_exit: Annotated[int, Field(ge=0, le=255), Open] = Field(default=0, description="the exit code it must have")
    contains: Text | None = Field(default=None, description="text that must be in the first MiB it prints")
    working_dir: ProjectFolder = Field(default=".", description="where it runs, relative to the project folder")
    network: NetworkPorts = Field(
        default=False, description="whether it may use the network: true, or a list of TCP ports"
    )

    @model_validator(mode="after")
    def _one_of(self) -> CommandCheck:
        if (self.script is None) == (self.command is None):
            raise refuse("command", 'give exactly one of "script" (a text) and "command" (a list)')
        return self


Block = BeforeValidator(single_block)
Named = BeforeValidator(_named)


class CheckConfig(Attributes):
    """Something that must hold."""

    http: Annotated[HttpCheck, Block, Open] | None = Field(
        default=None, description="an answer over HTTP: { url, method, headers, expect_status, contains }"
    )
    response_time: Annotated[ResponseTime, Block, Open] | None = Field(
        default=None, description="an answer over HTTP in time: as http, and max_ms"
    )
    tcp: Annotated[TcpCheck, Block, Open] | None = Field(default=None, description="an open port: { host, port }")
    port_accessible: Annotated[PortCheck, Block, Open] | None = Field(
        default=None, description="a port that somebody has: { host, port, protocol }"
    )
    file_exists: ProjectPath | None = Field(default=None, description="a file that must be there")
    file_permissions: Annotated[FilePermissions, Block, Open] | None = Field(
        default=None, description="who may do what: { path, mode, owner, group }"
    )
    file_size: Annotated[FileSize, Block, Open] | None = Field(
        default=None, description="how large a file is, in bytes: { path, min, max }"
    )
    file_matches: Annotated[FileMatches, Block, Open] | None = Field(
        default=None, description="what is in a file: { path, pattern | sha256 }"
    )
    log_contains: Annotated[LogContains, Block, Open] | None = Field(
        default=None, description="a line of a log: { path | service | container, pattern, lines }"
    )
    service_status: Annotated[ServiceStatus, Named, Open] | None = Field(
        default=None, description="how a service of this workspace is: its address, or { name, expect }"
    )
    container_running: Annotated[ContainerCheck, Named, Open] | None = Field(
        default=None, description="a container that runs: its name, or { name, engine }"
    )
    container_healthy: Annotated[ContainerCheck, Named, Open] | None = Field(
        default=None, description="a container whose own health check passes: its name, or { name, engine }"
    )
    process_running: Annotated[ProcessRunning, Named, Open] | None = Field(
        default=None, description="a program that runs: its name, or { name, min_count }"
    )
    process_not_running: Annotated[ProcessNotRunning, Named, Open] | None = Field(
        default=None, description="a program that does not run: its name"
    )
    memory_usage: Annotated[MemoryUsage, Block, Open] | None = Field(
        default=None, description="memory in use: { max_mb | max_percent, process }"
    )
    cpu_usage: Annotated[CpuUsage, Block, Open] | None = Field(
        default=None, description="how busy the processors are: { max_percent, window, process }"
    )
    disk_usage: Annotated[DiskUsage, Block, Open] | None = Field(
        default=None, description="room on the disk: { path, max_percent | min_free_mb | max_mb }"
    )
    command: Annotated[CommandCheck, BeforeValidator(_command), Open] | None = Field(
        default=None, description="a program that must succeed: a list, a script, or { command | script, … }"
    )
    retries: Tries = Field(default=10, description="how often it is tried before it counts as failed")
    interval: Seconds = Field(default=0.5, description='pause between tries: seconds, or text such as "200ms"')
    timeout: Seconds = Field(default=5, description="how long one try may take where it waits for somebody else")

    @model_validator(mode="before")
    @classmethod
    def _not_built(cls, data: Any) -> Any:
        if isinstance(data, dict) and "assert" in data:
            raise refuse("assert", '"assert" is not built yet; use one of the other kinds, such as http or command')
        return data

    @model_validator(mode="after")
    def _one_of(self) -> CheckConfig:
        kinds = [name for name in type(self).model_fields if name not in {"retries", "interval", "timeout"}]
        if len([kind for kind in kinds if getattr(self, kind) is not None]) != 1:
            raise refuse("check", f"give exactly one of {', '.join(kinds)}")
        return self
