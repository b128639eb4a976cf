"""The kinds of attribute that resource models are made of. What values they take is said by `rules`.

This module imports pydantic; import it only from a type's ``config.py``, which is itself imported on first use.

Every attribute may be `Unknown` (known after apply), which passes validation as it is. A `Sensitive` value is checked
and stays sensitive where the attribute can keep a secret, and is refused where its value would be shown (a path, a
port, a list of arguments).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

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
from clockwork_nb.resources import rules
from clockwork_nb.resources.rules import MAX_SECONDS, Refused, each_once, single_block
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
    "Words",
    "after",
    "before",
    "each_once",
    "judge",
    "refuse",
    "single_block",
]

T = TypeVar("T")


def refuse(code: str, message: str) -> PydanticCustomError:
    """Return the error to raise for an attribute: *code* for machines, *message* for the author."""
    # The message is a template for pydantic: braces in an author's text must not be taken as fields. And pydantic cannot
    # give it out with half of a surrogate pair in it, which `jsondecode` can make.
    message = message.encode("utf-8", "backslashreplace").decode()
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


def judge(rule: Callable[..., T], *values: Any) -> T:
    """Return what *rule* makes of *values*; what it refuses is an error of the attribute, or of the model."""
    try:
        return rule(*values)
    except Refused as problem:
        raise refuse(problem.code, str(problem)) from None


def after(rule: Callable[[Any], Any]) -> AfterValidator:
    """Return the validator that applies *rule* to a value of the right type."""
    return AfterValidator(lambda value: judge(rule, value))


def before(rule: Callable[[Any], Any]) -> BeforeValidator:
    """Return the validator that applies *rule* before the type is checked."""
    return BeforeValidator(lambda value: judge(rule, value))


Text = Annotated[str, after(rules.no_nul), Open]
Word = Annotated[str, after(rules.no_nul), before(rules.as_text), Open]
"""One word of a command line; numbers and booleans become text as in HCL."""
Words = Annotated[list[Word], after(rules.program), Open]
"""A program and its arguments."""
SecretText = Annotated[str, _SECRET]
Flag = Annotated[bool, Open]
Port = Annotated[int, Field(ge=1, le=65535), Open]
NetworkPorts = Annotated[bool | list[int], _Marks(checked=Annotated[list[Port], after(rules.port_list)], also=(bool,))]
"""Whether a step may use the network: a flag, or the TCP ports, sorted."""
Tries = Annotated[int, Field(ge=1, le=100_000), Open]
Mode = Annotated[str, after(rules.mode), before(rules.mode_is_text), Open]
ProjectPath = Annotated[str, after(rules.project_path), Open]
"""A file or folder of the project: relative, normalised, never the project folder itself."""
FilePath = Annotated[str, after(rules.file_path), Open]
"""As `ProjectPath`, in a folder: at the top a step would need the right to write beside ``.clockwork``."""
ProjectFolder = Annotated[str, after(rules.project_folder), Open]
"""As `ProjectPath`, or ``.`` for the project folder itself."""
_Time = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Seconds = Annotated[_Time, after(rules.shortest), before(rules.duration), Open]
IdleSeconds = Annotated[_Time, after(rules.whole_seconds), before(rules.duration), Open]
"""Whole seconds, 0 for no limit."""
WholeSeconds = Annotated[
    float, Field(ge=1, le=MAX_SECONDS, allow_inf_nan=False), after(rules.whole_seconds), before(rules.duration), Open
]
_ValueText = Annotated[str, after(rules.no_nul), before(rules.as_text), _SECRET]
TextMap = Annotated[dict[str, _ValueText], after(rules.sorted_map), Open]
"""Names to text; numbers and booleans become text as in HCL; single values may be sensitive."""
EnvMap = Annotated[dict[str, _ValueText], after(rules.env_names), Open]
"""A `TextMap` whose names are those of environment variables."""
