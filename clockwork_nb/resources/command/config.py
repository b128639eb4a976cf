"""The attributes of a ``command``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    FilePath,
    Flag,
    NetworkPorts,
    Open,
    ProjectFolder,
    ProjectPath,
    SecretText,
    Text,
    TextMap,
    WholeSeconds,
    Word,
    each_once,
    refuse,
)

__all__ = ["CommandConfig"]


def _words(value: list[Any]) -> list[Any]:
    if not value or value[0] == "":
        raise refuse("command", "a command needs at least the program's name")
    return value


class CommandConfig(Attributes):
    """Something a script or a program does."""

    script: SecretText | None = Field(default=None, description="the text of a script; give this or command")
    command: Annotated[list[Word], AfterValidator(_words), Open] | None = Field(
        default=None, description="a program and its arguments, as a list; no shell reads it"
    )
    interpreter: Annotated[Literal["sh", "bash", "python3"], Open] = Field(
        default="sh", description="what runs the script"
    )
    creates: FilePath | None = Field(
        default=None, description="a path the command makes; when it is there the command has nothing to do"
    )
    unless: Text | None = Field(default=None, description="a line of sh; when it exits with 0 the command does not run")
    writes: Annotated[list[ProjectPath], AfterValidator(each_once), Open] = Field(
        default=[], description="paths the command may write to, besides the folder of creates"
    )
    network: NetworkPorts = Field(
        default=False, description="whether it may use the network: true, or a list of TCP ports"
    )
    triggers: TextMap = Field(default={}, description="values whose change makes the command run again")
    idempotent: Flag = Field(default=False, description="whether running it twice does no harm")
    timeout: WholeSeconds = Field(default=600, description='how long it may take: seconds, or text such as "5m"')
    env: EnvMap = Field(default={}, description="environment variables; values may be sensitive")
    working_dir: ProjectFolder = Field(default=".", description="where it runs, relative to the project folder")

    @model_validator(mode="after")
    def _one_of(self) -> CommandConfig:
        if (self.script is None) == (self.command is None):
            raise refuse("command", 'give exactly one of "script" (a text) and "command" (a list)')
        if self.command is not None and "interpreter" in self.model_fields_set:
            raise refuse("command", '"interpreter" goes with "script"; a "command" list names its own program')
        return self
