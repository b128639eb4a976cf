"""The attributes of an ``image``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from clockwork_nb.resources.config import Attributes, Flag, Open, ProjectPath, Word, refuse

__all__ = ["ImageConfig"]

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = re.compile(rf"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?\Z")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


def _context(value: Any) -> Any:
    if isinstance(value, str) and value in {".", "./"}:
        raise refuse(
            "context", 'the project folder holds .clockwork, which must not go into an image: use a folder, "web"'
        )
    return value


def _tag(value: str) -> str:
    if len(value) > 255 or not _TAG.match(value):
        raise refuse("tags", f'"{value[:60]}" is no image name: write it in small letters, such as "web:latest"')
    return value


def _each_once(value: list[Any]) -> list[Any]:
    if not value:
        raise refuse("tags", 'an image needs a name: tags = ["web:latest"]')
    texts = [v for v in value if isinstance(v, str)]
    if len(set(texts)) != len(texts):
        raise refuse("tags", "a tag is given twice")
    return value


def _arguments(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not _ARGUMENT.match(name):
            raise refuse("build_args", f'"{name[:60]}" cannot be the name of a build argument')
    return dict(sorted(value.items()))


def _target(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", value):
        raise refuse("target", "a target is the name of a stage: letters, digits, dots, dashes or underscores")
    return value


Tag = Annotated[str, AfterValidator(_tag), Open]


class ImageConfig(Attributes):
    """A container image that is built from a folder of the project."""

    engine: Annotated[Literal["auto", "podman", "docker"], Open] = Field(
        default="auto", description="what builds and keeps it; auto: the container engine that is here"
    )
    context: Annotated[ProjectPath, BeforeValidator(_context)] = Field(
        description="the folder that is built from; an ignore file in it is honoured"
    )
    tags: Annotated[list[Tag], AfterValidator(_each_once), Open] = Field(description="its names, the first is its own")
    dockerfile: ProjectPath | None = Field(
        default=None, description="the build file below the context; Containerfile or Dockerfile by default"
    )
    build_args: Annotated[dict[str, Word], AfterValidator(_arguments), Open] = Field(
        default={}, description="values of ARG; they stay readable in the image, so they cannot be sensitive"
    )
    target: Annotated[str, AfterValidator(_target), Open] | None = Field(
        default=None, description="the stage to stop at"
    )
    network: Flag = Field(
        default=True, description="whether the build may use the network: fetch base images, download in RUN"
    )
