"""What the attributes of a ``file`` may be."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Any

from clockwork_nb.resources.plain import (
    REQUIRED,
    PlainAttributes,
    file_path,
    flag,
    json_object,
    mode,
    project_path,
    secret_text,
    text,
)
from clockwork_nb.resources.rules import Refused

__all__ = ["PLAIN", "base64_text", "one_content"]

_CONTENTS = ("content", "content_base64", "source", "template")


def base64_text(value: str) -> str:
    """Return *value*, some bytes in base64, in its usual spelling."""
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("base64", "this is not base64 (RFC 4648, section 4, without line breaks)") from None
    return base64.b64encode(data).decode()


def one_content(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a file whose content comes from nowhere, from two places or from itself."""
    if sum(config[name] is not None for name in _CONTENTS) != 1:
        raise Refused("content", f"give exactly one of {', '.join(_CONTENTS)}")
    if config["vars"] and config["template"] is None:
        raise Refused("vars", '"vars" goes with "template"')
    if config["source"] is not None and config["source"] == config["path"]:
        raise Refused("source", "a file cannot be its own source")
    if config["template"] is not None and config["template"] == config["path"]:
        raise Refused("template", "a file cannot be its own template")


PLAIN = PlainAttributes(
    {
        "path": (file_path, REQUIRED),
        "content": (secret_text, None),
        "content_base64": (text(base64_text), None),
        "source": (project_path, None),
        "template": (project_path, None),
        "vars": (json_object, {}),
        "mode": (mode, "0644"),
        "backup": (flag, True),
    },
    whole=one_content,
)
