"""The attributes of a ``service``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    Flag,
    Open,
    Port,
    Seconds,
    Text,
    Words,
    after,
    before,
    judge,
    refuse,
    single_block,
)
from clockwork_nb.resources.service import attributes as own
from clockwork_nb.resources.service.parts_config import (
    Cpus,
    HealthCheck,
    Logging,
    Memory,
    Mounts,
    PortMapping,
    Ports,
)

__all__ = ["HealthCheck", "Logging", "PortMapping", "ServiceConfig"]


EngineWord = Annotated[str, after(own.engine_word), Open]
Labels = Annotated[dict[str, Text], after(own.label_names), Open]


class ServiceConfig(Attributes):
    """A long-running service: a container where it has an image, else a supervised process."""

    engine: Annotated[Literal["auto", "podman", "docker", "process"], Open] = Field(
        default="auto", description="what runs it; auto: the container engine for an image, else a supervised process"
    )
    image: Annotated[str, after(own.image_name), Open] | None = Field(
        default=None, description="the container's image: a name, or the id of an image resource"
    )
    build: Any = Field(default=None, exclude=True, description='declare an "image" resource instead')
    source_repo: Any = Field(default=None, exclude=True, description='declare a "repository" resource instead')
    pull: Annotated[Literal["missing", "never", "always"], Open] | None = Field(
        default=None, description="when the image is fetched from its registry: missing (the default), never, or always"
    )
    name: Annotated[str, after(own.service_name), Open] | None = Field(
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
    logging: Annotated[Logging, before(single_block), Open] | None = Field(
        default=None, description="{ driver, max_size, max_file }"
    )
    health_check: Annotated[HealthCheck, before(single_block), Open] | None = Field(
        default=None,
        description="{ path | url | tcp | command, expect_status, interval, timeout, retries, start_period }",
    )
    restart: Annotated[str, after(own.restart_policy), Open] = Field(
        default="on-failure", description="when it is started again by itself: no, on-failure, on-failure:N, always"
    )
    memory: Memory | None = Field(default=None, description='how much memory it may use: bytes, or text such as "64m"')
    cpus: Cpus | None = Field(default=None, description="how many processors it may use, such as 0.5")
    pids: Annotated[int, Field(ge=1, le=4_194_304), Open] | None = Field(
        default=None, description="how many processes it may have at once"
    )
    state: Annotated[Literal["running", "stopped"], Open] = Field(default="running", description="whether it runs")
    stop_timeout: Annotated[Seconds, after(own.within_an_hour)] = Field(
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
        if value is not None:
            judge(own.port_or_ports, info.data.get("ports"))
        return value

    @field_validator("environment", mode="after")
    @classmethod
    def _environment_or_env(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            judge(own.environment_or_env, info.data.get("env"))
        return value

    @field_validator("working_dir", mode="after")
    @classmethod
    def _folder(cls, value: Any, info: ValidationInfo) -> Any:
        return judge(own.working_folder, value, info.data.get("engine"), info.data.get("image"))

    @model_validator(mode="after")
    def _one_spelling(self) -> ServiceConfig:
        if self.port is not None:
            self.ports = [PortMapping(external=self.port)]
        if self.environment is not None:
            self.env = self.environment
        judge(own.fits, {name: _as_mapping(value) for name, value in vars(self).items()})
        if self.working_dir is None and own.is_process(self.engine, self.image):
            self.working_dir = "."
        return self


def _as_mapping(value: Any) -> Any:
    """Return *value* with mappings for the models that it is or holds."""
    if isinstance(value, list):
        return [_as_mapping(v) for v in value]
    return vars(value) if isinstance(value, Attributes) else value
