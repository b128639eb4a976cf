"""The attributes of a ``repository``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    FilePath,
    Flag,
    Open,
    SecretText,
    WholeSeconds,
    refuse,
)
from clockwork_nb.resources.repository.urls import ref_problem, url_problem, url_transport
from clockwork_nb.secrets import Sensitive, unseal

__all__ = ["RepositoryConfig"]

_USER = re.compile(r"[A-Za-z0-9._@+-]{1,200}\Z")
_NAME_BYTES = 240  # the new checkout is built beside the old one, under the same name with a few characters more


def _url(value: str) -> str:
    problem = url_problem(value)
    if problem:
        raise refuse("url", problem)
    return value


def _ref(value: str) -> str:
    problem = ref_problem(value)
    if problem:
        raise refuse("ref", problem)
    return value


def _place(value: Any) -> Any:
    if not isinstance(value, str):
        return value  # known after apply
    parts = value.split("/")
    if any(part.lower() == ".git" for part in parts):
        raise refuse("path", 'a checkout cannot be inside of a ".git" folder')
    if len(parts[-1].encode()) > _NAME_BYTES:
        raise refuse("path", f"the name of the folder can have at most {_NAME_BYTES} bytes")
    return value


def _user(value: str) -> str:
    if not _USER.match(value):
        raise refuse("username", "a user name is 1 to 200 letters, digits or . _ @ + -")
    return value


class RepositoryConfig(Attributes):
    """A checkout of a git repository."""

    url: Annotated[str, AfterValidator(_url), Open] = Field(
        description='where it comes from: https://, http://, ssh://, user@host:path, file:///, "/path" or "./path"'
    )
    path: Annotated[FilePath, AfterValidator(_place)] = Field(
        description="the folder of the checkout, relative to the project folder; missing folders are made"
    )
    ref: Annotated[str, AfterValidator(_ref), Open] | None = Field(
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
    username: Annotated[str, AfterValidator(_user), Open] | None = Field(
        default=None, description='who asks, for http and https with a password; "git" if not given'
    )
    password: SecretText | None = Field(
        default=None, description="a password or token for http and https; make it sensitive"
    )

    @model_validator(mode="after")
    def _password_over_http(self) -> RepositoryConfig:
        if self.username is not None and self.password is None:
            raise refuse("username", '"username" goes with "password"')
        if isinstance(self.password, str):
            raise refuse(
                "password", 'a password must be sensitive: a variable with "sensitive = true", or sensitive(…)'
            )
        if isinstance(self.password, Sensitive) and re.search(r"[\x00\r\n]", str(unseal(self.password))):
            raise refuse("password", "a password cannot hold a line break")
        if self.password is not None and isinstance(self.url, str) and url_transport(self.url) not in {"http", "https"}:
            raise refuse("password", '"password" is for http and https; ssh uses your keys')
        return self
