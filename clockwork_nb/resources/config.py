"""The kinds of attribute that resource models are made of.

This module imports pydantic; import it only from a type's ``config.py``, which is itself imported on first use.

Every attribute may be `Unknown` (known after apply), which passes validation as it is. A `Sensitive` value is checked
and stays sensitive where the attribute can keep a secret, and is refused where its value would be shown (a path, a
port, a list of arguments).
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources.project_paths import path_problem
from clockwork_nb.secrets import Sensitive

__all__ = [
    "Attributes",
    "EnvMap",
    "FilePath",
    "Flag",
    "IdleSeconds",
    "Mode",
    "NetworkPorts",
    "Open",
    "Port",
    "ProjectFolder",
    "ProjectPath",
    "Seconds",
    "SecretText",
    "Text",
    "TextMap",
    "Tries",
    "WholeSeconds",
    "Word",
    "each_once",
    "refuse",
    "single_block",
]

MAX_SECONDS = 7 * 24 * 3600
_MODE = re.compile(r"0?([0-7]{3})\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def refuse(code: str, message: str) -> PydanticCustomError:
    """Return the error to raise for an attribute: *code* for machines, *message* for the author."""
    # The message is a template for pydantic: braces in an author's text must not be taken as fields.
    return PydanticCustomError("cw_refused", "{message}", {"message": message, "reason": code})


class Attributes(BaseModel):
    """Base of every resource model: no attribute is dropped, none is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        # As in HCL: an attribute that is null takes its default.
        if isinstance(data, dict):
            return {k: v for k, v in data.items() if v is not None or k not in cls.model_fields}
        return data


class _Marks:
    """Lets `Unknown` through, and `Sensitive` too where *secret* says that the attribute can keep one.

    *checked* is the type whose rules apply when it is not the annotated one, and *also* are types whose values need
    no check at all (``network`` is a flag or a list of ports; a union would report every alternative's error).
    """

    def __init__(self, *, secret: bool = False, checked: Any = None, also: tuple[type, ...] = ()) -> None:
        self.secret = secret
        self.checked = checked
        self.also = also

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source) if self.checked is None else handler.generate_schema(self.checked)
        return core_schema.no_info_wrap_validator_function(
            self._validate,
            schema,
            serialization=core_schema.wrap_serializer_function_ser_schema(self._serialise, schema=schema),
        )

    def _validate(self, value: Any, inner: Callable[[Any], Any]) -> Any:
        if isinstance(value, (Unknown, *self.also)):
            return value
        if not isinstance(value, Sensitive):
            return inner(value)
        if not self.secret:
            raise refuse("sensitive", "a sensitive value cannot stand here, because this attribute is shown to people")
        if isinstance(value.value, Unknown):
            return value
        try:
            return Sensitive(inner(value.value))
        except (ValidationError, PydanticCustomError, ValueError):
            # The inner error would carry the value.
            raise refuse("sensitive", "the sensitive value does not fit this attribute") from None

    def _serialise(self, value: Any, inner: Callable[[Any], Any]) -> Any:
        return value if isinstance(value, (Unknown, Sensitive, *self.also)) else inner(value)


Open = _Marks()
_SECRET = _Marks(secret=True)


def _project_path(value: str) -> str:
    problem = path_problem(value)
    if problem:
        raise refuse("path", problem)
    return posixpath.normpath(value)


def _path_of_file(value: str) -> str:
    plain = _path_of_thing(value)
    if "/" not in plain:
        raise refuse(
            "path",
            f'a step may not write at the top of the project, beside .clockwork; put it in a folder: "out/{plain}"',
        )
    return plain


def _path_of_thing(value: str) -> str:
    plain = _project_path(value)
    if plain == ".":
        raise refuse("path", "this is the project folder itself; name something in it")
    return plain


def _mode(value: str) -> str:
    found = _MODE.match(value)
    if found is None:
        raise refuse("mode", 'a mode is text of three octal digits with a leading zero, such as "0644"')
    return "0" + found.group(1)


def _mode_type(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        raise refuse("mode", f'a mode is text: write "{value:04d}", in quotes')
    return value


def _as_text(value: Any) -> Any:
    # HCL converts numbers and booleans to text where text is asked for.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise refuse("nul", "text given to a program cannot hold a NUL character")
    return value


def _env_names(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not _VARIABLE.match(name):
            raise refuse("env", f'"{_CONTROL.sub("?", name)}" cannot be the name of an environment variable')
        if name.startswith("CW_"):
            raise refuse("env", f'"{name}" is reserved: names with CW_ are the tool\'s own')
    return dict(sorted(value.items()))


def _sorted_map(value: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(value.items()))


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        parts = _DURATION.findall(value)
        if not parts or "".join(n + u for n, u in parts) != value:
            raise refuse("duration", 'a time is a number of seconds, or text such as "30s", "500ms", "5m", "1h30m"')
        value = sum((Decimal(number) * _UNIT[unit] for number, unit in parts), Decimal(0))
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value


def _whole(value: float) -> int:
    if not float(value).is_integer():
        raise refuse("duration", "this time must be a whole number of seconds")
    return int(value)


def _shortest(value: float) -> float:
    return int(value) if float(value).is_integer() else value


def each_once(value: list[Any]) -> list[Any]:
    """Return the known elements of *value* sorted, each once, then the unknown ones."""
    known = sorted({v for v in value if not isinstance(v, Unknown)})
    return [*known, *(v for v in value if isinstance(v, Unknown))]


def _port_list(value: list[Any]) -> bool | list[Any]:
    return each_once(value) or False


def single_block(value: Any) -> Any:
    """Return the one element of a list of blocks, anything else as it is: ``x { … }`` and ``x = { … }`` mean the same."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value[0]
    return value


Text = Annotated[str, AfterValidator(_no_nul), Open]
Word = Annotated[str, AfterValidator(_no_nul), BeforeValidator(_as_text), Open]
"""One word of a command line; numbers and booleans become text as in HCL."""
SecretText = Annotated[str, _SECRET]
Flag = Annotated[bool, Open]
Port = Annotated[int, Field(ge=1, le=65535), Open]
NetworkPorts = Annotated[
    bool | list[int], _Marks(checked=Annotated[list[Port], AfterValidator(_port_list)], also=(bool,))
]
"""Whether a step may use the network: a flag, or the TCP ports, sorted."""
Tries = Annotated[int, Field(ge=1, le=100_000), Open]
Mode = Annotated[str, AfterValidator(_mode), BeforeValidator(_mode_type), Open]
ProjectPath = Annotated[str, AfterValidator(_path_of_thing), Open]
FilePath = Annotated[str, AfterValidator(_path_of_file), Open]
"""As `ProjectPath`, in a folder: at the top a step would need the right to write beside ``.clockwork``."""
"""A file or folder of the project: relative, normalised, never the project folder itself."""
ProjectFolder = Annotated[str, AfterValidator(_project_path), Open]
"""As `ProjectPath`, or ``.`` for the project folder itself."""
Seconds = Annotated[
    float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False), AfterValidator(_shortest), BeforeValidator(_duration), Open
]
IdleSeconds = Annotated[
    float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False), AfterValidator(_whole), BeforeValidator(_duration), Open
]
"""Whole seconds, 0 for no limit."""
WholeSeconds = Annotated[
    float, Field(ge=1, le=MAX_SECONDS, allow_inf_nan=False), AfterValidator(_whole), BeforeValidator(_duration), Open
]
_ValueText = Annotated[str, AfterValidator(_no_nul), BeforeValidator(_as_text), _SECRET]
TextMap = Annotated[dict[str, _ValueText], AfterValidator(_sorted_map), Open]
"""Names to text; numbers and booleans become text as in HCL; single values may be sensitive."""
EnvMap = Annotated[dict[str, _ValueText], AfterValidator(_env_names), Open]
"""A `TextMap` whose names are those of environment variables."""
