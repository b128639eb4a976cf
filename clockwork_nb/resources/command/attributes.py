"""What the attributes of a ``command`` may be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clockwork_nb.resources import rules
from clockwork_nb.resources.plain import (
    PlainAttributes,
    each,
    env_map,
    file_path,
    flag,
    idle_seconds,
    line,
    network_ports,
    one_of,
    project_folder,
    project_path,
    seconds,
    secret_text,
    text_map,
    whole_number,
    whole_seconds,
    words,
)
from clockwork_nb.resources.rules import Refused
from clockwork_nb.secrets import Sensitive

__all__ = ["PLAIN", "one_program"]


def one_program(config: Mapping[str, Any], given: Collection[str]) -> None:
    """Refuse a command that is none or two, or that its interpreter cannot run; *given* are the names that are set."""
    if (config["script"] is None) == (config["command"] is None):
        raise Refused("command", 'give exactly one of "script" (a text) and "command" (a list)')
    if config["command"] is not None and config["destroy"] is None and "interpreter" in given:
        raise Refused("command", '"interpreter" goes with "script"; a "command" list names its own program')
    if config["interpreter"] in {"deno", "go"}:
        _runs_by_itself(config)


def _runs_by_itself(config: Mapping[str, Any]) -> None:
    """Refuse what needs a shell around the script: these programs are started directly."""
    interpreter = config["interpreter"]
    for name in ("creates", "unless", "stdin"):
        if config[name] is not None:
            raise Refused(name, f'"{name}" does not go with the interpreter {interpreter}; the script has to do it')
    env = config["env"].values() if isinstance(config["env"], dict) else ()
    if any(isinstance(value, Sensitive) for value in (config["script"], *env)):
        raise Refused("sensitive", f"a script of {interpreter} cannot be given a sensitive value; use sh or python3")


PLAIN = PlainAttributes(
    {
        "script": (secret_text, None),
        "command": (words, None),
        "interpreter": (one_of("sh", "bash", "python3", "deno", "go"), "sh"),
        "creates": (file_path, None),
        "unless": (line, None),
        "destroy": (line, None),
        "stdin": (secret_text, None),
        "writes": (each(project_path, rules.each_once), []),
        "network": (network_ports, False),
        "triggers": (text_map, {}),
        "idempotent": (flag, False),
        "timeout": (whole_seconds, 600),
        "idle_timeout": (idle_seconds, 0),
        "retries": (whole_number(0, 100), 0),
        "retry_delay": (seconds, 1),
        "env": (env_map, {}),
        "working_dir": (project_folder, "."),
    },
    whole=one_program,
)
