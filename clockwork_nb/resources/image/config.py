"""The attributes of an ``image``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clockwork_nb.resources.config import Attributes, Flag, Open, ProjectPath, Word, after, before
from clockwork_nb.resources.image.attributes import arguments, below_project, distinct_tags, stage, tag

__all__ = ["ImageConfig"]

Tag = Annotated[str, after(tag), Open]


class ImageConfig(Attributes):
    """A container image that is built from a folder of the project."""

    engine: Annotated[Literal["auto", "podman", "docker"], Open] = Field(
        default="auto", description="what builds and keeps it; auto: the container engine that is here"
    )
    context: Annotated[ProjectPath, before(below_project)] = Field(
        description="the folder that is built from; an ignore file in it is honoured"
    )
    tags: Annotated[list[Tag], after(distinct_tags), Open] = Field(description="its names, the first is its own")
    dockerfile: ProjectPath | None = Field(
        default=None, description="the build file below the context; Containerfile or Dockerfile by default"
    )
    build_args: Annotated[dict[str, Word], after(arguments), Open] = Field(
        default={}, description="values of ARG; they stay readable in the image, so they cannot be sensitive"
    )
    target: Annotated[str, after(stage), Open] | None = Field(default=None, description="the stage to stop at")
    network: Flag = Field(
        default=True, description="whether the build may use the network: fetch base images, download in RUN"
    )
