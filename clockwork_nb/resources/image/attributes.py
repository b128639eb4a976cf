"""What the attributes of an ``image`` may be."""

from __future__ import annotations

import re
from typing import Any

from clockwork_nb.patterns import pattern
from clockwork_nb.resources import rules
from clockwork_nb.resources.plain import (
    REQUIRED,
    PlainAttributes,
    each,
    flag,
    named,
    one_of,
    project_path,
    text,
    word,
)
from clockwork_nb.resources.rules import Refused

__all__ = ["PLAIN", "arguments", "below_project", "distinct_tags", "stage", "tag"]

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = pattern(rf"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?\Z")
_ARGUMENT = pattern(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


def below_project(value: Any) -> Any:
    """Refuse the project folder. Stands before the check of the type."""
    if isinstance(value, str) and value in {".", "./"}:
        raise Refused(
            "context", 'the project folder holds .clockwork, which must not go into an image: use a folder, "web"'
        )
    return value


def tag(value: str) -> str:
    """Refuse what cannot be the name of an image."""
    if len(value) > 255 or not _TAG.match(value):
        raise Refused("tags", f'"{value[:60]}" is no image name: write it in small letters, such as "web:latest"')
    return value


def distinct_tags(value: list[Any]) -> list[Any]:
    """Refuse an image without a name, or with one twice."""
    if not value:
        raise Refused("tags", 'an image needs a name: tags = ["web:latest"]')
    texts = [v for v in value if isinstance(v, str)]
    if len(set(texts)) != len(texts):
        raise Refused("tags", "a tag is given twice")
    return value


def arguments(value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* sorted; its names are those of build arguments."""
    for name in value:
        if not _ARGUMENT.match(name):
            raise Refused("build_args", f'"{name[:60]}" cannot be the name of a build argument')
    return rules.sorted_map(value)


def stage(value: str) -> str:
    """Refuse what cannot be the name of a stage."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", value):
        raise Refused("target", "a target is the name of a stage: letters, digits, dots, dashes or underscores")
    return value


PLAIN = PlainAttributes(
    {
        "engine": (one_of("auto", "podman", "docker"), "auto"),
        "context": (lambda value: project_path(below_project(value)), REQUIRED),
        "tags": (each(text(tag), distinct_tags), REQUIRED),
        "dockerfile": (project_path, None),
        "build_args": (named(word, arguments), {}),
        "target": (text(stage), None),
        "network": (flag, True),
    }
)
