"""What the attributes of a ``repository`` may be."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from clockwork_nb.patterns import pattern
from clockwork_nb.resources import rules
from clockwork_nb.resources.plain import (
    REQUIRED,
    PlainAttributes,
    flag,
    secret_text,
    text,
    whole_number,
    whole_seconds,
)
from clockwork_nb.resources.repository.urls import ref_problem, url_problem, url_transport
from clockwork_nb.resources.rules import Refused
from clockwork_nb.secrets import Sensitive, unseal

__all__ = ["PLAIN", "address", "credentials", "git_ref", "place", "user_name"]

_USER = pattern(r"[A-Za-z0-9._@+-]{1,200}\Z")
_NAME_BYTES = 240  # the new checkout is built beside the old one, under the same name with a few characters more


def address(value: str) -> str:
    """Refuse what no checkout may come from."""
    problem = url_problem(value)
    if problem:
        raise Refused("url", problem)
    return value


def git_ref(value: str) -> str:
    """Refuse what cannot be the name of a branch, tag or commit."""
    problem = ref_problem(value)
    if problem:
        raise Refused("ref", problem)
    return value


def place(value: Any) -> Any:
    """Refuse a path of the project at which no checkout can be."""
    if not isinstance(value, str):
        return value  # known after apply
    parts = value.split("/")
    if any(part.lower() == ".git" for part in parts):
        raise Refused("path", 'a checkout cannot be inside of a ".git" folder')
    if len(parts[-1].encode()) > _NAME_BYTES:
        raise Refused("path", f"the name of the folder can have at most {_NAME_BYTES} bytes")
    return value


def user_name(value: str) -> str:
    """Refuse what cannot be the name of a user."""
    if not _USER.match(value):
        raise Refused("username", "a user name is 1 to 200 letters, digits or . _ @ + -")
    return value


def credentials(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a password that everybody could read, that cannot be sent, or that nobody asks for."""
    url, password = config["url"], config["password"]
    if config["username"] is not None and password is None:
        raise Refused("username", '"username" goes with "password"')
    if isinstance(password, str):
        raise Refused("password", 'a password must be sensitive: a variable with "sensitive = true", or sensitive(…)')
    if isinstance(password, Sensitive) and re.search(r"[\x00\r\n]", str(unseal(password))):
        raise Refused("password", "a password cannot hold a line break")
    if password is not None and isinstance(url, str) and url_transport(url) not in {"http", "https"}:
        raise Refused("password", '"password" is for http and https; ssh uses your keys')


PLAIN = PlainAttributes(
    {
        "url": (text(address), REQUIRED),
        "path": (text(lambda value: place(rules.file_path(value))), REQUIRED),
        "ref": (text(git_ref), None),
        "depth": (whole_number(1, 1_000_000), None),
        "submodules": (flag, False),
        "refresh": (whole_seconds, None),
        "timeout": (whole_seconds, 1800),
        "username": (text(user_name), None),
        "password": (secret_text, None),
    },
    whole=credentials,
)
