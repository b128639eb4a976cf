"""What the attributes of a ``schedule`` may be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clockwork_nb.patterns import pattern
from clockwork_nb.resources import rules
from clockwork_nb.resources.plain import (
    PlainAttributes,
    each,
    env_map,
    file_path,
    flag,
    one_of,
    project_folder,
    project_path,
    text,
    word,
)
from clockwork_nb.resources.rules import Refused
from clockwork_nb.resources.schedule.calendar import calendar_problem, cron_problem, plain_cron
from clockwork_nb.resources.schedule.entries import cron_words_problem
from clockwork_nb.secrets import Sensitive

__all__ = ["PLAIN", "calendar_event", "cron_time", "fits", "program_line", "schedule_name"]

_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}\Z")
_CONTROL = pattern(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def cron_time(value: str) -> str:
    """Return *value*, a time of crontab(5), in its plain spelling."""
    plain = plain_cron(value)
    problem = "a time is on one line" if _CONTROL.search(value.replace("\t", " ")) else cron_problem(plain)
    if problem:
        raise Refused("cron", problem)
    return plain


def calendar_event(value: str) -> str:
    """Return *value*, a calendar event of systemd.time(7), without spaces around it."""
    problem = calendar_problem(value)
    if problem:
        raise Refused("on_calendar", problem)
    return value.strip()


def program_line(value: list[Any]) -> list[Any]:
    """Refuse a command that cannot stand on one line, after variables."""
    rules.program(value)
    if isinstance(value[0], str) and (value[0].startswith("-") or "=" in value[0]):
        raise Refused("command", 'the program\'s name cannot begin with "-" or hold "="')
    for part in value:
        if isinstance(part, str) and _CONTROL.search(part):
            raise Refused("command", "a schedule is one line: put text with line breaks into a script and run that")
    return value


def schedule_name(value: str) -> str:
    """Refuse what cannot be the name of a schedule."""
    if not _NAME.match(value):
        raise Refused("name", "a name is 1 to 60 letters, digits, dots, dashes or underscores")
    return value


def fits(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a schedule without a time or without a command, and what its backend cannot write down."""
    if (config["cron"] is None) == (config["on_calendar"] is None):
        raise Refused("cron", 'give exactly one of "cron" and "on_calendar"')
    if (config["command"] is None) == (config["runbook"] is None):
        raise Refused("command", 'give exactly one of "command" (a list) and "runbook" (a notebook)')
    if config["backend"] == "cron" and config["on_calendar"] is not None:
        raise Refused("on_calendar", '"on_calendar" is for systemd; cron takes "cron"')
    if config["backend"] == "systemd" and config["cron"] == "@reboot":
        raise Refused("cron", '"@reboot" is for cron; with systemd use a service')
    if isinstance(config["runbook"], str) and not config["runbook"].endswith(".ipynb"):
        raise Refused("runbook", "a runbook is a notebook, a file that ends in .ipynb")
    if config["runbook"] is not None and config["working_dir"] != ".":
        raise Refused("working_dir", "a runbook runs in the project folder")
    if isinstance(config["env"], dict):
        _check_env(config["env"])
    with_systemd = config["backend"] == "systemd" or config["on_calendar"] is not None
    for path in (config["working_dir"], config["log"]):
        if isinstance(path, str) and "\\" in path and with_systemd:
            raise Refused("path", "a path in a unit of systemd cannot hold a backslash")
    command = config["command"]
    if isinstance(command, list) and all(isinstance(part, str) for part in command) and not with_systemd:
        problem = cron_words_problem(command, config["env"])
        if problem:
            raise Refused("command", problem)


def _check_env(env: Mapping[str, Any]) -> None:
    for variable, value in env.items():
        if isinstance(value, Sensitive):
            raise Refused(
                "env", f'"{variable}" is sensitive, and a schedule is kept as readable text; read it from a file'
            )
        if isinstance(value, str) and _CONTROL.search(value):
            raise Refused("env", f'the value of "{variable}" holds a line break or control character')


PLAIN = PlainAttributes(
    {
        "cron": (text(cron_time), None),
        "on_calendar": (text(calendar_event), None),
        "command": (each(word, program_line), None),
        "runbook": (project_path, None),
        "env": (env_map, {}),
        "working_dir": (project_folder, "."),
        "backend": (one_of("auto", "cron", "systemd"), "auto"),
        "log": (file_path, None),
        "enabled": (flag, True),
        "name": (text(schedule_name), None),
    },
    whole=fits,
)
