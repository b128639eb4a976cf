"""The attributes of a ``command``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from clockwork_nb.resources.command.attributes import one_program
from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    FilePath,
    Flag,
    IdleSeconds,
    NetworkPorts,
    Open,
    ProjectFolder,
    ProjectPath,
    Seconds,
    SecretText,
    Text,
    TextMap,
    WholeSeconds,
    Words,
    after,
    each_once,
    judge,
)

__all__ = ["CommandConfig"]


class CommandConfig(Attributes):
    """Something a script or a program does."""

    script: SecretText | None = Field(default=None, description="the text of a script; give this or command")
    command: Words | None = Field(default=None, description="a program and its arguments, as a list; no shell reads it")
    interpreter: Annotated[Literal["sh", "bash", "python3", "deno", "go"], Open] = Field(
        default="sh", description="what runs the scripts"
    )
    creates: FilePath | None = Field(
        default=None, description="a path the command makes; when it is there the command has nothing to do"
    )
    unless: Text | None = Field(default=None, description="a line of sh; when it exits with 0 the command does not run")
    destroy: Text | None = Field(
        default=None,
        description="a script, run by the same interpreter, that undoes what the command did; it runs at the removal",
    )
    stdin: SecretText | None = Field(default=None, description="what the command reads from its standard input")
    writes: Annotated[list[ProjectPath], after(each_once), Open] = Field(
        default=[], description="paths the command may write to, besides the folder of creates"
    )
    network: NetworkPorts = Field(
        default=False, description="whether it may use the network: true, or a list of TCP ports"
    )
    triggers: TextMap = Field(default={}, description="values whose change makes the command run again")
    idempotent: Flag = Field(default=False, description="whether running it twice does no harm")
    timeout: WholeSeconds = Field(default=600, description='how long it may take: seconds, or text such as "5m"')
    idle_timeout: IdleSeconds = Field(
        default=0, description="how long it may say nothing before it is stopped; 0: as long as it likes"
    )
    retries: Annotated[int, Field(ge=0, le=100), Open] = Field(
        default=0, description="how often it is started again after a failure, within one apply"
    )
    retry_delay: Seconds = Field(
        default=1, description='pause before the first retry, such as "2s"; it doubles with each further one'
    )
    env: EnvMap = Field(default={}, description="environment variables; values may be sensitive")
    working_dir: ProjectFolder = Field(default=".", description="where it runs, relative to the project folder")

    @model_validator(mode="after")
    def _one_of(self) -> CommandConfig:
        judge(one_program, vars(self), self.model_fields_set)
        return self
