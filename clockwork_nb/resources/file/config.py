"""The attributes of a ``file``."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_serializer, model_validator

from clockwork_nb.resources.config import Attributes, FilePath, Flag, Mode, Open, ProjectPath, SecretText, refuse

__all__ = ["FileConfig"]

_CONTENTS = ("content", "content_base64", "source", "template")


def _base64(value: str) -> str:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise refuse("base64", "this is not base64 (RFC 4648, section 4, without line breaks)") from None
    return base64.b64encode(data).decode()


class FileConfig(Attributes):
    """A file of the project."""

    path: FilePath = Field(description="where, relative to the project folder; missing folders are made")
    content: SecretText | None = Field(default=None, description="the whole content, as UTF-8; may be sensitive")
    content_base64: Annotated[str, AfterValidator(_base64), Open] | None = Field(
        default=None, description="the whole content, of any bytes, in base64"
    )
    source: ProjectPath | None = Field(
        default=None, description="a file of the project whose bytes are the content, copied as they are"
    )
    template: ProjectPath | None = Field(
        default=None, description="a file of the project that is a template; what it gives with vars is the content"
    )
    vars: dict[str, Any] = Field(default={}, description="the names that the template sees; values may be sensitive")
    mode: Mode = Field(default="0644", description='permissions, such as "0644" or "0755"')
    backup: Flag = Field(
        default=True,
        description="whether a file that this tool did not write is kept beside it before it is replaced or removed",
    )

    @field_serializer("vars", mode="plain")
    def _vars_as_they_are(self, value: dict[str, Any]) -> dict[str, Any]:
        # Pydantic would look into the marks of values; they have to stay.
        return value

    @model_validator(mode="after")
    def _one_of(self) -> FileConfig:
        given = [name for name in _CONTENTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse("content", f"give exactly one of {', '.join(_CONTENTS)}")
        if self.vars and self.template is None:
            raise refuse("vars", '"vars" goes with "template"')
        if self.source is not None and self.source == self.path:
            raise refuse("source", "a file cannot be its own source")
        if self.template is not None and self.template == self.path:
            raise refuse("template", "a file cannot be its own template")
        return self
