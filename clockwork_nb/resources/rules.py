"""What attributes may be: the rules that models (`config`) and plain attributes (`plain`) share. No pydantic here.

A rule takes a value of the right type and returns it as a config keeps it. Rules that stand before the check of the
type return what they do not know as it is.
"""

from __future__ import annotations

import math
import posixpath
from decimal import Decimal
from typing import Any, Final

from clockwork_nb.intake.values import Unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.resources.project_paths import path_problem

__all__ = [
    "MAX_SECONDS",
    "Refused",
    "as_text",
    "duration",
    "each_once",
    "env_names",
    "file_path",
    "mode",
    "mode_is_text",
    "no_nul",
    "port_list",
    "program",
    "project_folder",
    "project_path",
    "shortest",
    "single_block",
    "sorted_map",
    "whole_seconds",
]

MAX_SECONDS: Final = 7 * 24 * 3600

_MODE = pattern(r"0?([0-7]{3})\Z")
_VARIABLE = pattern(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DURATION = pattern(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_CONTROL = pattern(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Refused(ValueError):
    """A value that is not allowed: *code* for machines, the message for the author."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# --- paths --------------------------------------------------------------------------------------------------------


def project_folder(value: str) -> str:
    """Return *value*, a path below the project folder or that folder itself, normalised."""
    problem = path_problem(value)
    if problem:
        raise Refused("path", problem)
    return posixpath.normpath(value)


def project_path(value: str) -> str:
    """As `project_folder`, but not the project folder itself."""
    plain = project_folder(value)
    if plain == ".":
        raise Refused("path", "this is the project folder itself; name something in it")
    return plain


def file_path(value: str) -> str:
    """As `project_path`, in a folder: at the top a step would need the right to write beside ``.clockwork``."""
    plain = project_path(value)
    if "/" not in plain:
        raise Refused(
            "path",
            f'a step may not write at the top of the project, beside .clockwork; put it in a folder: "out/{plain}"',
        )
    return plain


def mode(value: str) -> str:
    """Return *value* as four octal digits."""
    found = _MODE.match(value)
    if found is None:
        raise Refused("mode", 'a mode is text of three octal digits with a leading zero, such as "0644"')
    return "0" + found.group(1)


def mode_is_text(value: Any) -> Any:
    """Refuse a number: the zero in front of it is lost already. Stands before the check of the type."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise Refused("mode", f'a mode is text: write "{value:04d}", in quotes')
    return value


# --- texts --------------------------------------------------------------------------------------------------------


def as_text(value: Any) -> Any:
    """Return numbers and booleans as text, as HCL does where text is asked for. Stands before the check of the type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value


def no_nul(value: str) -> str:
    """Refuse a NUL character."""
    if "\x00" in value:
        raise Refused("nul", "text given to a program cannot hold a NUL character")
    return value


def program(value: list[Any]) -> list[Any]:
    """Refuse a command line without a program."""
    if not value or value[0] == "":
        raise Refused("command", "a command needs at least the program's name")
    return value


def env_names(value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* sorted; its names are those of environment variables and none of ours."""
    for name in value:
        if not _VARIABLE.match(name):
            raise Refused("env", f'"{_CONTROL.sub("?", name)}" cannot be the name of an environment variable')
        if name.startswith("CW_"):
            raise Refused("env", f'"{name}" is reserved: names with CW_ are the tool\'s own')
    return sorted_map(value)


def sorted_map(value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* in the order of its names."""
    return dict(sorted(value.items()))


# --- numbers ------------------------------------------------------------------------------------------------------


def duration(value: Any) -> Any:
    """Return the seconds that a text such as ``1h30m`` means, whole ones as int. Stands before the check of the type."""
    if isinstance(value, str):
        parts = _DURATION.findall(value)
        if not parts or "".join(n + u for n, u in parts) != value:
            raise Refused("duration", 'a time is a number of seconds, or text such as "30s", "500ms", "5m", "1h30m"')
        value = sum((Decimal(number) * _UNIT[unit] for number, unit in parts), Decimal(0))
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value


def whole_seconds(value: float) -> int:
    """Return *value* as int; a fraction is refused."""
    if not float(value).is_integer():
        raise Refused("duration", "this time must be a whole number of seconds")
    return int(value)


def shortest(value: float) -> float:
    """Return *value*, as int where it is whole."""
    return int(value) if float(value).is_integer() else value


# --- lists and blocks ---------------------------------------------------------------------------------------------


def each_once(value: list[Any]) -> list[Any]:
    """Return the known elements of *value* sorted, each once, then the unknown ones."""
    known = sorted({v for v in value if not isinstance(v, Unknown)})
    return [*known, *(v for v in value if isinstance(v, Unknown))]


def port_list(value: list[Any]) -> bool | list[Any]:
    """Return the ports sorted, each once; False for none."""
    return each_once(value) or False


def single_block(value: Any) -> Any:
    """Return the one element of a list of blocks, anything else as it is: ``x { … }`` and ``x = { … }`` mean the same."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value[0]
    return value
