"""The attributes of a ``command``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

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
    Word,
    each_once,
    refuse,
)
from clockwork_nb.secrets import Sensitive

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
    writes: Annotated[list[ProjectPath], AfterValidator(each_once), Open] = Field(
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
        if (self.script is None) == (self.command is None):
            raise refuse("command", 'give exactly one of "script" (a text) and "command" (a list)')
        if self.command is not None and self.destroy is None and "interpreter" in self.model_fields_set:
            raise refuse("command", '"interpreter" goes with "script"; a "command" list names its own program')
        if self.interpreter in {"deno", "go"}:
            self._runs_by_itself()
        return self

    def _runs_by_itself(self) -> None:
        """Refuse what needs a shell around the script: these programs are started directly."""
        for name in ("creates", "unless", "stdin"):
            if getattr(self, name) is not None:
                raise refuse(
                    name, f'"{name}" does not go with the interpreter {self.interpreter}; the script has to do it'
                )
        env = self.env.values() if isinstance(self.env, dict) else ()
        if any(isinstance(value, Sensitive) for value in (self.script, *env)):
            raise refuse(
                "sensitive", f"a script of {self.interpreter} cannot be given a sensitive value; use sh or python3"
            )
