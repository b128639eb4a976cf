"""The attributes of a ``file``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_serializer, model_validator

from clockwork_nb.resources.config import Attributes, FilePath, Flag, Mode, Open, ProjectPath, SecretText, after, judge
from clockwork_nb.resources.file.attributes import base64_text, one_content

__all__ = ["FileConfig"]


class FileConfig(Attributes):
    """A file of the project."""

    path: FilePath = Field(description="where, relative to the project folder; missing folders are made")
    content: SecretText | None = Field(default=None, description="the whole content, as UTF-8; may be sensitive")
    content_base64: Annotated[str, after(base64_text), Open] | None = Field(
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
        judge(one_content, vars(self))
        return self
