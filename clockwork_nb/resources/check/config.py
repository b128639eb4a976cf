"""The attributes of a ``check``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    Open,
    Port,
    ProjectPath,
    Seconds,
    Text,
    Tries,
    refuse,
    single_block,
)
from clockwork_nb.resources.probes import url_problem

__all__ = ["CheckConfig", "FileMatches", "HttpCheck", "TcpCheck", "Url"]

_KINDS = ("http", "tcp", "file_exists", "file_matches")


def _url(value: str) -> str:
    problem = url_problem(value)
    if problem:
        raise refuse("url", problem)
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise refuse("pattern", f"this is not a regular expression: {error}") from None
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45}", value):
        raise refuse("host", "a host is a name or an IP address")
    return value


Url = Annotated[str, AfterValidator(_url), Open]
Status = Annotated[int, Field(ge=100, le=599), Open]


class HttpCheck(Attributes):
    """An answer over HTTP."""

    url: Url = Field(description="what is asked, with GET; redirects are not followed")
    expect_status: Status = Field(default=200, description="the status that must come")
    contains: Text | None = Field(default=None, description="text that must be in the first MiB of the answer")


class TcpCheck(Attributes):
    """A port that accepts connections."""

    host: Annotated[str, AfterValidator(_host), Open] = Field(default="127.0.0.1", description="a name or IP address")
    port: Port = Field(description="the TCP port")


class FileMatches(Attributes):
    """A file with a matching line."""

    path: ProjectPath = Field(description="the file, relative to the project folder")
    pattern: Annotated[str, AfterValidator(_pattern), Open] = Field(
        description="a regular expression (Python) that must match somewhere; ^ and $ match at lines"
    )


class CheckConfig(Attributes):
    """Something that must hold."""

    http: Annotated[HttpCheck, BeforeValidator(single_block), Open] | None = Field(
        default=None, description="an answer over HTTP: { url, expect_status, contains }"
    )
    tcp: Annotated[TcpCheck, BeforeValidator(single_block), Open] | None = Field(
        default=None, description="an open port: { host, port }"
    )
    file_exists: ProjectPath | None = Field(default=None, description="a file that must be there")
    file_matches: Annotated[FileMatches, BeforeValidator(single_block), Open] | None = Field(
        default=None, description="a file that must match: { path, pattern }"
    )
    retries: Tries = Field(default=10, description="how often it is tried before it counts as failed")
    interval: Seconds = Field(default=0.5, description='pause between tries: seconds, or text such as "200ms"')
    timeout: Seconds = Field(default=5, description="how long one try over the network may take")

    @model_validator(mode="before")
    @classmethod
    def _not_built(cls, data: Any) -> Any:
        if isinstance(data, dict) and "assert" in data:
            raise refuse("assert", '"assert" is not built yet; use http, tcp, file_exists or file_matches')
        return data

    @model_validator(mode="after")
    def _one_of(self) -> CheckConfig:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise refuse("check", f"give exactly one of {', '.join(_KINDS)}")
        return self
