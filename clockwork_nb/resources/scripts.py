"""What every template shares: headers, quoting, places of artifacts, and how values reach a step.

Scripts never hold values: short ones come in ``CW_…`` variables, contents as files whose path is in a variable.
A script's text depends on the declaration alone, never on the kind of change, so that a person's edit can be told
from a new template.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import slug
from clockwork_nb.intake.values import contains_unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Action, Artifact
from clockwork_nb.secrets import Sensitive

__all__ = [
    "INSIDE",
    "TRAPS",
    "artifact_path",
    "comment",
    "data_artifact",
    "parent",
    "python_script",
    "quote",
    "require_known",
    "safe_operand",
    "sealed",
    "sh_script",
]

_UNPRINTABLE = pattern(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

INSIDE = """\
project=$(pwd -P)
# Stops when the folder $1, with links resolved, lies outside of the project.
stay_inside() {
    case "$(cd -P -- "$1" && pwd -P)/" in
        "${project%/}"/*) ;;
        *) echo "$1 leads out of the project folder" >&2; exit 1 ;;
    esac
}
"""
"""A shell function for scripts that change something a link could lead away from; the cwd must be the project root."""

TRAPS = """\
trap 'rm -f -- "$temporary"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"""


def comment(text: str) -> str:
    """Return *text* as it may stand in a one-line comment: no line break or control character, at most 160 characters.

    >>> comment("a\\nrm -rf /")
    'a?rm -rf /'
    """
    plain = _UNPRINTABLE.sub("?", text)
    return plain if len(plain) <= 160 else plain[:157] + "..."


def quote(word: str) -> str:
    """Return *word* as one word of POSIX shell, whatever it holds but NUL.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA for a NUL, which no argument can hold.

    >>> quote("it's $HOME")
    '\\'it\\'"\\'"\\'s $HOME\\''
    """
    if "\x00" in word:
        raise InvalidInputError("an argument cannot hold a NUL character")
    return shlex.quote(word)


def artifact_path(action: Action, extension: str) -> str:
    """Return where the script of *action* lives below the build folder: ``scripts/<slug>/<action>.<extension>``."""
    return f"scripts/{slug(action.address)}/{action.name}.{extension}"


def _header(action: Action, what: str) -> str:
    return (
        f"# What: {comment(what)}\n"
        f"# Why:  so that {comment(action.address)} is as the configuration says (action {comment(action.name)}).\n"
        f"# From: {comment(action.address)}, by clockwork's template. An edit here is kept, shown, and run once approved.\n"
        "# Values come in the CW_ variables, contents as files to read; nothing is pasted in here.\n"
    )


def sh_script(action: Action, what: str, body: str) -> Artifact:
    """Return the POSIX shell script of *action*: header, ``set -eu``, *body*."""
    text = f"#!/bin/sh\n{_header(action, what)}set -eu\n\n{body.rstrip()}\n"
    return Artifact(artifact_path(action, "sh"), text.encode(), "0755", comment(what), "sh")


def python_script(action: Action, what: str, body: str) -> Artifact:
    """Return the Python script (standard library only) of *action*: header and *body*."""
    text = f"#!/usr/bin/env python3\n{_header(action, what)}\n{body.rstrip()}\n"
    return Artifact(artifact_path(action, "py"), text.encode(), "0755", comment(what), "python")


def data_artifact(action: Action, name: str, value: Any, purpose: str) -> tuple[Artifact, Mapping[str, Any]]:
    """Return *value* (text, maybe sensitive, or bytes) as the data artifact *name* beside the script, and its secrets.

    A sensitive value is not written: the artifact names it, and the mapping holds it for the moment of use.
    """
    path = f"scripts/{slug(action.address)}/{name}"
    if isinstance(value, Sensitive):
        secret = f"{action.address}:{name}"
        return Artifact(path, b"", "0644", comment(purpose), "data", secret=secret), {secret: value.value}
    content = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    return Artifact(path, content, "0644", comment(purpose), "data"), {}


def require_known(action: Action) -> None:
    """Refuse to make a script while a value is still unknown.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    if contains_unknown(dict(action.args)):
        raise InvalidInputError(
            f"{action.address} depends on a value that is known only after apply",
            hint="Apply what it depends on first (--target), then plan again.",
        )


def safe_operand(path: str) -> str:
    """Return *path* so that no program takes it for an option (POSIX Utility Syntax Guideline 10).

    >>> safe_operand("-rf"), safe_operand("out/a")
    ('./-rf', 'out/a')
    """
    return f"./{path}" if path.startswith("-") else path


def parent(path: str) -> str:
    """Return the folder that *path* (normalised, relative) is in; ``.`` at the top.

    >>> parent("out/site/index.html"), parent("a")
    ('out/site', '.')
    """
    return path.rpartition("/")[0] or "."


def sealed(value: Any) -> bool:
    """Return whether *value* is a recorded sensitive value: only its keyed digest is known."""
    return isinstance(value, dict) and set(value) == {"$sensitive"}
