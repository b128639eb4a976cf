"""The attributes of a ``file``."""

from __future__ import annotations

from pydantic import Field

from clockwork_nb.resources.config import Attributes, FilePath, Mode, SecretText

__all__ = ["FileConfig"]


class FileConfig(Attributes):
    """A file of the project."""

    path: FilePath = Field(description="where, relative to the project folder; missing folders are made")
    content: SecretText = Field(description="the whole content, as UTF-8; may be sensitive")
    mode: Mode = Field(default="0644", description='permissions, such as "0644" or "0755"')
