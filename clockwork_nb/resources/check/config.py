"""The attributes of a ``check``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from clockwork_nb.resources import rules
from clockwork_nb.resources.check import attributes as own
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
    Words,
    after,
    before,
    judge,
    refuse,
    single_block,
)
from clockwork_nb.resources.probes import http_url

__all__ = ["CheckConfig", "Url"]


Url = Annotated[str, after(http_url), Open]
Status = Annotated[int, Field(ge=100, le=599), Open]
Method = Annotated[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], Open]
Headers = Annotated[TextMap, after(own.header_lines)]
Host = Annotated[str, after(own.host_name), Open]
Pattern = Annotated[str, after(own.pattern_of_python), Open]
Account = Annotated[str, after(own.account), Open]
ContainerName = Annotated[str, after(own.container_name), Open]
ServiceName = Annotated[str, after(own.service_address), Open]
ProcessName = Annotated[str, after(own.process_name), Open]
Engine = Annotated[Literal["auto", "podman", "docker"], Open]
Count = Annotated[int, Field(ge=1, le=1_000_000), Open]
Size = Annotated[int, Field(ge=0, le=2**62), Open]
Percent = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False), after(rules.shortest), Open]


class HttpCheck(Attributes):
    """An answer over HTTP."""

    url: Url = Field(description="what is asked; redirects are not followed")
    method: Method = Field(default="GET", description="how it is asked")
    headers: Headers = Field(default={}, description="headers of the request; values may be sensitive")
    expect_status: Status = Field(default=200, description="the status that must come")
    contains: Text | None = Field(default=None, description="text that must be in the first MiB of the answer")

    @model_validator(mode="after")
    def _has_a_body(self) -> HttpCheck:
        judge(own.no_body_for_head, vars(self))
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
        judge(own.some_permission, vars(self))
        return self


class FileSize(Attributes):
    """How large a file is."""

    path: ProjectPath = Field(description="the file, relative to the project folder")
    min: Size | None = Field(default=None, description="at least so many bytes")
    max: Size | None = Field(default=None, description="at most so many bytes")

    @model_validator(mode="after")
    def _range(self) -> FileSize:
        judge(own.size_range, vars(self))
        return self


class FileMatches(Attributes):
    """A file with a matching line, or with exactly these bytes."""

    path: ProjectPath = Field(description="the file, relative to the project folder")
    pattern: Pattern | None = Field(
        default=None, description="a regular expression (Python) that must match somewhere; ^ and $ match at lines"
    )
    sha256: Annotated[str, after(own.digest), Open] | None = Field(
        default=None, description="the digest that the file's bytes must have"
    )

    @model_validator(mode="after")
    def _one_of(self) -> FileMatches:
        judge(own.one_proof, vars(self))
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
        judge(own.one_log, vars(self))
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
        judge(own.one_measure, vars(self))
        return self


class CpuUsage(Attributes):
    """How busy the processors are."""

    max_percent: Percent = Field(
        description="at most so much: of all processors, or with process of one (200 means two are busy)"
    )
    window: Annotated[Seconds, after(own.longer_than_nothing)] = Field(
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
        judge(own.one_limit, vars(self))
        return self


class CommandCheck(Attributes):
    """A program that must succeed. It may write nothing."""

    command: Words | None = Field(default=None, description="a program and its arguments, as a list; no shell reads it")
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
        judge(own.one_program, vars(self))
        return self


Block = before(single_block)
Named = before(own.named_block)


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
    command: Annotated[CommandCheck, before(own.command_block), Open] | None = Field(
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
        judge(own.one_kind, vars(self))
        return self
