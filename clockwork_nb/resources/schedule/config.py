"""The attributes of a ``schedule``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    FilePath,
    Flag,
    Open,
    ProjectFolder,
    ProjectPath,
    Word,
    after,
    judge,
)
from clockwork_nb.resources.schedule.attributes import calendar_event, cron_time, fits, program_line, schedule_name

__all__ = ["ScheduleConfig"]


class ScheduleConfig(Attributes):
    """Something that runs again and again."""

    cron: Annotated[str, after(cron_time), Open] | None = Field(
        default=None, description='when: five fields as in crontab, such as "30 3 * * 1-5", or "@daily"'
    )
    on_calendar: Annotated[str, after(calendar_event), Open] | None = Field(
        default=None, description='when, in systemd\'s words, such as "Mon..Fri 03:30"; give this or cron'
    )
    command: Annotated[list[Word], after(program_line), Open] | None = Field(
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
    name: Annotated[str, after(schedule_name), Open] | None = Field(
        default=None, description="its name among this project's schedules; the address if not given"
    )

    @model_validator(mode="after")
    def _fits(self) -> ScheduleConfig:
        judge(fits, vars(self))
        return self
