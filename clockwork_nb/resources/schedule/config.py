"""The attributes of a ``schedule``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    FilePath,
    Flag,
    Open,
    ProjectFolder,
    ProjectPath,
    Word,
    refuse,
)
from clockwork_nb.resources.schedule.calendar import calendar_problem, cron_problem, plain_cron
from clockwork_nb.resources.schedule.entries import cron_words_problem
from clockwork_nb.secrets import Sensitive

__all__ = ["ScheduleConfig"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _cron(value: str) -> str:
    plain = plain_cron(value)
    problem = "a time is on one line" if _CONTROL.search(value.replace("\t", " ")) else cron_problem(plain)
    if problem:
        raise refuse("cron", problem)
    return plain


def _calendar(value: str) -> str:
    problem = calendar_problem(value)
    if problem:
        raise refuse("on_calendar", problem)
    return value.strip()


def _words(value: list[Any]) -> list[Any]:
    if not value or value[0] == "":
        raise refuse("command", "a command needs at least the program's name")
    if isinstance(value[0], str) and (value[0].startswith("-") or "=" in value[0]):
        raise refuse("command", 'the program\'s name cannot begin with "-" or hold "="')
    for word in value:
        if isinstance(word, str) and _CONTROL.search(word):
            raise refuse("command", "a schedule is one line: put text with line breaks into a script and run that")
    return value


def _name(value: str) -> str:
    if not _NAME.match(value):
        raise refuse("name", "a name is 1 to 60 letters, digits, dots, dashes or underscores")
    return value


class ScheduleConfig(Attributes):
    """Something that runs again and again."""

    cron: Annotated[str, AfterValidator(_cron), Open] | None = Field(
        default=None, description='when: five fields as in crontab, such as "30 3 * * 1-5", or "@daily"'
    )
    on_calendar: Annotated[str, AfterValidator(_calendar), Open] | None = Field(
        default=None, description='when, in systemd\'s words, such as "Mon..Fri 03:30"; give this or cron'
    )
    command: Annotated[list[Word], AfterValidator(_words), Open] | None = Field(
        default=None, description="the program and its arguments, as a list; no shell reads it"
    )
    runbook: ProjectPath | None = Field(
        default=None, description="a notebook that is run instead of a command, relative to the project folder"
    )
    env: EnvMap = Field(default={}, description="environment variables; not for secrets")
    working_dir: ProjectFolder = Field(default=".", description="where it runs, relative to the project folder")
    backend: Annotated[Literal["auto", "cron", "systemd"], Open] = Field(
        default="auto", description="what starts it: cron, or a systemd timer of the user; auto takes cron for cron"
    )
    log: FilePath | None = Field(default=None, description="a file that what it prints is appended to")
    enabled: Flag = Field(default=True, description="whether it runs; otherwise it is written down and rests")
    name: Annotated[str, AfterValidator(_name), Open] | None = Field(
        default=None, description="its name among this project's schedules; the address if not given"
    )

    @model_validator(mode="after")
    def _fits(self) -> ScheduleConfig:
        if (self.cron is None) == (self.on_calendar is None):
            raise refuse("cron", 'give exactly one of "cron" and "on_calendar"')
        if (self.command is None) == (self.runbook is None):
            raise refuse("command", 'give exactly one of "command" (a list) and "runbook" (a notebook)')
        if self.backend == "cron" and self.on_calendar is not None:
            raise refuse("on_calendar", '"on_calendar" is for systemd; cron takes "cron"')
        if self.backend == "systemd" and self.cron == "@reboot":
            raise refuse("cron", '"@reboot" is for cron; with systemd use a service')
        if isinstance(self.runbook, str) and not self.runbook.endswith(".ipynb"):
            raise refuse("runbook", "a runbook is a notebook, a file that ends in .ipynb")
        if self.runbook is not None and self.working_dir != ".":
            raise refuse("working_dir", "a runbook runs in the project folder")
        if isinstance(self.env, dict):
            self._check_env(self.env)
        for path in (self.working_dir, self.log):
            if isinstance(path, str) and "\\" in path and self._backend() == "systemd":
                raise refuse("path", "a path in a unit of systemd cannot hold a backslash")
        if isinstance(self.command, list) and all(isinstance(word, str) for word in self.command):
            problem = "" if self._backend() == "systemd" else cron_words_problem(self.command, self.env)
            if problem:
                raise refuse("command", problem)
        return self

    def _backend(self) -> str:
        return "systemd" if self.backend == "systemd" or self.on_calendar is not None else "cron"

    def _check_env(self, env: dict[str, Any]) -> None:
        for name, value in env.items():
            if isinstance(value, Sensitive):
                raise refuse(
                    "env", f'"{name}" is sensitive, and a schedule is kept as readable text; read it from a file'
                )
            if isinstance(value, str) and _CONTROL.search(value):
                raise refuse("env", f'the value of "{name}" holds a line break or control character')
