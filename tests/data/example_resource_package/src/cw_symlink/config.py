"""The attributes of a ``symlink``."""

from __future__ import annotations

from pydantic import Field

from clockwork_nb.resources.config import Attributes, FilePath, Text

__all__ = ["SymlinkConfig"]


class SymlinkConfig(Attributes):
    """A symbolic link of the project."""

    path: FilePath = Field(description="where the link is, relative to the project folder")
    target: Text = Field(description="where it leads, relative to its own folder")
