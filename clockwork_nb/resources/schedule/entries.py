"""The text of a schedule: the lines in a crontab, the units of systemd. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.resources.schedule.calendar import to_calendar
from clockwork_nb.resources.scripts import comment, quote

__all__ = [
    "PROJECT",
    "backend_of",
    "cron_block",
    "cron_command",
    "cron_text",
    "cron_words_problem",
    "markers",
    "service_unit",
    "timer_unit",
    "unit_name",
]

PROJECT = "@PROJECT@"
"""Stands for the project folder in the text of a unit; whoever knows it puts it in, with ``%`` doubled."""

_MAX_COMMAND = 900  # crontab(5) of Debian takes 999 characters a command; the project's path comes on top


def backend_of(config: Mapping[str, Any]) -> str:
    """Return ``cron`` or ``systemd``: what *config* asks for, and for ``auto`` what its time is written for."""
    if config["backend"] != "auto":
        return str(config["backend"])
    return "systemd" if config.get("on_calendar") is not None else "cron"


# --- crontab ----------------------------------------------------------------------------------------------------------


def cron_text(line: str) -> str:
    """Return the shell text *line* as it stands in a crontab; every backslash in it is between single quotes.

    crontab(5) takes ``%`` for a line end and ``\\%`` for itself. What two backslashes are differs from one cron to
    the next, so none ever follows another, or stands before a percent sign that is not one of ours.
    """
    return line.replace("\\", "\\''").replace("%", "\\%")


def _command(words: Sequence[str], env: Mapping[str, str]) -> str:
    return " ".join([*(f"{name}={quote(value)}" for name, value in env.items()), *(quote(word) for word in words)])


def cron_words_problem(words: Sequence[str], env: Mapping[str, Any]) -> str:
    """Return why a crontab cannot hold this command, ``""`` when it can."""
    known = {name: value for name, value in env.items() if isinstance(value, str)} if isinstance(env, Mapping) else {}
    length = len(cron_text(_command(words, known)).encode())
    if length > _MAX_COMMAND:
        return f"the command has {length} bytes, and a crontab takes {_MAX_COMMAND}: put it into a script and run that"
    return ""


def cron_command(config: Mapping[str, Any], words: Sequence[str]) -> str:
    """Return the command of *config*, which runs *words*, as it stands in a crontab after the change of folder."""
    return cron_text(_command(words, config["env"]))


def markers(name: str, project: str) -> tuple[str, str]:
    """Return the comment lines before and after the lines of schedule *name* of the folder *project*."""
    return f"# >>> clockwork {name} of {project} >>>", f"# <<< clockwork {name} of {project} <<<"


def cron_block(config: Mapping[str, Any], words: Sequence[str], name: str, project: str) -> str:
    """Return the lines that stand in the crontab for *config*, with line ends.

    The script of ``ensure_schedule`` puts the same together: only there is the project folder known.
    """
    begin, end = markers(name, project)
    line = f"{config['cron']} cd {_cron_path(_place(project, config['working_dir']))} && {cron_command(config, words)}"
    if config["log"]:
        line += f" >> {_cron_path(_place(project, config['log']))} 2>&1"
    rests = "" if config["enabled"] else "# resting: "
    return f"{begin}\n{rests}{line}\n{end}\n"


def _place(project: str, path: str) -> str:
    return project if path == "." else f"{project.rstrip('/')}/{path}"


def _cron_path(path: str) -> str:
    plain = path.replace("'", "'\"'\"'")
    return cron_text(f"'{plain}'")


# --- systemd ----------------------------------------------------------------------------------------------------------


def unit_name(name: str, project: str) -> str:
    """Return the name, without ending, of the units for schedule *name* of the folder *project*."""
    return f"clockwork-{name}-{hashlib.sha256(project.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def _quoted(text: str, *, dollars: bool) -> str:
    """Return *text* as one quoted word of a unit: systemd.service(5), systemd.syntax(7)."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{plain.replace("$", "$$") if dollars else plain}"'


def service_unit(config: Mapping[str, Any], words: Sequence[str], name: str) -> str:
    """Return the unit that runs *words* once; `PROJECT` stands where the project folder goes."""
    lines = [
        *_head(name),
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={_unit_place(config['working_dir'])}",
        *(f"Environment={_quoted(f'{variable}={value}', dollars=False)}" for variable, value in config["env"].items()),
        # By way of env, so that a program is found by its name and every word is taken as it is.
        f"ExecStart=/usr/bin/env -- {' '.join(_quoted(word, dollars=True) for word in words)}",
    ]
    if config["log"]:
        log = _unit_place(config["log"])
        lines += [f"StandardOutput=append:{log}", f"StandardError=append:{log}"]
    return "\n".join(lines) + "\n"


def timer_unit(config: Mapping[str, Any], name: str) -> str:
    """Return the unit that says when."""
    events = (config["on_calendar"],) if config["on_calendar"] is not None else to_calendar(config["cron"])
    when = [f"OnCalendar={event}" for event in events]
    last = ["", "[Install]", "WantedBy=timers.target"]
    return "\n".join([*_head(name), "", "[Timer]", *when, "Persistent=true", *last]) + "\n"


def _head(name: str) -> list[str]:
    return [
        "# Written by clockwork from the declaration of this schedule; change it there.",
        "[Unit]",
        f"Description=clockwork {comment(name)}",
    ]


def _unit_place(path: str) -> str:
    return PROJECT if path == "." else f"{PROJECT}/{path.replace('%', '%%')}"
