"""The attributes of a ``directory``."""

from __future__ import annotations

from pydantic import Field

from clockwork_nb.resources.config import Attributes, Mode, ProjectPath

__all__ = ["DirectoryConfig"]


class DirectoryConfig(Attributes):
    """A folder of the project."""

    path: ProjectPath = Field(description="where, relative to the project folder; missing parents are made")
    mode: Mode = Field(default="0755", description='permissions, such as "0755" or "0700"')
