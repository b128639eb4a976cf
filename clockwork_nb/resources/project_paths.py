"""Which texts are paths of things in the project. Pure; looks at no file."""

from __future__ import annotations

import posixpath

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.patterns import pattern

__all__ = ["path_in_project", "path_problem"]

_CONTROL = pattern(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAME_BYTES = 255
_PATH_BYTES = 4000


def path_problem(text: str) -> str:
    """Return why *text* is no path below the project folder, ``""`` when it is one (``.`` is the folder itself).

    >>> path_problem("out/../a")
    '".." would leave the project folder; write the path relative to the project folder'
    """
    if not text:
        return "a path cannot be empty"
    if _CONTROL.search(text):
        return "a path cannot hold control characters or line breaks"
    if text.startswith("/"):
        return "write the path relative to the project folder; absolute paths are not supported yet"
    if text.startswith("~"):
        return '"~" is not expanded; write the path relative to the project folder'
    if ".." in text.split("/"):
        return '".." would leave the project folder; write the path relative to the project folder'
    plain = posixpath.normpath(text)
    if plain.split("/", 1)[0] == ".clockwork":
        return ".clockwork belongs to the tool; choose another folder"
    if len(plain) <= _NAME_BYTES and plain.isascii():
        return ""
    try:
        too_long = (
            any(len(part.encode()) > _NAME_BYTES for part in plain.split("/")) or len(plain.encode()) > _PATH_BYTES
        )
    except UnicodeEncodeError:
        return "a path cannot hold half of a surrogate pair"
    return "the path is longer than file systems allow" if too_long else ""


def path_in_project(text: str) -> str:
    """Return *text* normalised, a path of something below the project folder.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    problem = path_problem(text)
    if not problem and posixpath.normpath(text) == ".":
        problem = "this is the project folder itself; name something in it"
    if problem:
        raise InvalidInputError(f"{text!r} is no path here: {problem}", hint='Write it like "out/index.html".')
    return posixpath.normpath(text)
