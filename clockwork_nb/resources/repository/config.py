"""The attributes of a ``repository``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    FilePath,
    Flag,
    Open,
    SecretText,
    WholeSeconds,
    after,
    judge,
)
from clockwork_nb.resources.repository.attributes import address, credentials, git_ref, place, user_name

__all__ = ["RepositoryConfig"]


class RepositoryConfig(Attributes):
    """A checkout of a git repository."""

    url: Annotated[str, after(address), Open] = Field(
        description='where it comes from: https://, http://, ssh://, user@host:path, file:///, "/path" or "./path"'
    )
    path: Annotated[FilePath, after(place)] = Field(
        description="the folder of the checkout, relative to the project folder; missing folders are made"
    )
    ref: Annotated[str, after(git_ref), Open] | None = Field(
        default=None,
        description="a branch, a tag, or a commit (4 digits at least); the remote's own branch if not given",
    )
    depth: Annotated[int, Field(ge=1, le=1_000_000), Open] | None = Field(
        default=None, description="how many commits of the history a new checkout gets; all of them if not given"
    )
    submodules: Flag = Field(default=False, description="whether its submodules are checked out too")
    refresh: WholeSeconds | None = Field(
        default=None, description='when the last fetch counts as old, such as "1h"; then a plan fetches again'
    )
    timeout: WholeSeconds = Field(default=1800, description='how long a fetch may take: seconds, or text such as "5m"')
    username: Annotated[str, after(user_name), Open] | None = Field(
        default=None, description='who asks, for http and https with a password; "git" if not given'
    )
    password: SecretText | None = Field(
        default=None, description="a password or token for http and https; make it sensitive"
    )

    @model_validator(mode="after")
    def _with_credentials(self) -> RepositoryConfig:
        judge(credentials, vars(self))
        return self
