"""All functions of the language, and those that need something from the edge: files, the time of the run, free ports."""

from __future__ import annotations

import base64
import hashlib
import posixpath
from collections.abc import Mapping
from typing import Any, Final

from clockwork_nb.errors import ClockworkError
from clockwork_nb.intake.function_kit import Ambient, Function, FunctionError, Table
from clockwork_nb.intake.functions_collections import COLLECTION_FUNCTIONS
from clockwork_nb.intake.functions_encoding import ENCODING_FUNCTIONS
from clockwork_nb.intake.functions_numbers import NUMBER_FUNCTIONS
from clockwork_nb.intake.functions_text import TEXT_FUNCTIONS
from clockwork_nb.intake.limits import LIMITS
from clockwork_nb.intake.names import did_you_mean, shown
from clockwork_nb.secrets import Sensitive

__all__ = ["FUNCTIONS", "FUNCTION_NAMES", "NOT_BUILT", "read_project_file", "unknown_function"]

_EDGE: Final = Table()
_add = _EDGE.add

NOT_BUILT: Final[Mapping[str, str]] = {
    "abspath": "Write paths relative to the project folder.",
    "base64gzip": "Compress in a command resource.",
    "bcrypt": "Its result differs each time; make the hash outside and pass it as a sensitive variable.",
    "cidrcontains": "Compare with cidrhost.",
    "env": "Declare a variable and set CW_VAR_name.",
    "fileset": "List the files in a local.",
    "getenv": "Declare a variable and set CW_VAR_name.",
    "pathexpand": "Write paths relative to the project folder.",
    "plantimestamp": "Use timestamp(), which is frozen per run.",
    "regex": "Use startswith, endswith, strcontains, split, trimprefix or trimsuffix.",
    "regexall": "Use split with a for expression.",
    "rsadecrypt": "Pass the plain value as a sensitive variable.",
    "setsymmetricdifference": "Use setunion and setsubtract.",
    "textdecodebase64": "Only UTF-8 is built: use base64decode.",
    "textencodebase64": "Only UTF-8 is built: use base64encode.",
    "uuid": 'Its result differs each time; use uuidv5("url", …), which does not.',
    "yamldecode": "Use jsondecode.",
    "yamlencode": "JSON is YAML too: use jsonencode.",
}
"""Functions of Terraform that are not built: name → what to do instead."""


def _path(text: str) -> str:
    """Return *text* as a plain path inside the project; the edge looks at links."""
    plain = posixpath.normpath(text) if text else ""
    if not plain or "\0" in plain:
        raise FunctionError("this is no path of a file", 0)
    if plain == ".." or plain.startswith(("/", "~", "../")):
        raise FunctionError(
            "this path leads out of the project folder", 0, detail="Write a path relative to the project folder."
        )
    return plain


def read_project_file(ambient: Ambient, path: str) -> bytes:
    """Return the bytes of *path*, which is relative to the project root.

    Raises:
        FunctionError: it leads out of the project, is not there, cannot be read, or is too large.
    """
    plain = _path(path)
    if ambient.context.read_file is None:
        raise FunctionError("files cannot be read here", 0)
    try:
        data = ambient.context.read_file(plain)
    except FileNotFoundError:
        raise FunctionError(f"there is no file {shown(plain)}", 0) from None
    except ClockworkError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise FunctionError(f"there is no file {shown(plain)}", 0) from None
        raise FunctionError(error.message, 0, detail=error.hint) from error
    except OSError as error:
        raise FunctionError(f"{shown(plain)} cannot be read: {error.strerror}", 0) from error
    if len(data) > LIMITS.text:
        raise FunctionError(f"{shown(plain)} is larger than {LIMITS.text:,} bytes", 0, code="cw-limit")
    return data


@_add("text", ambient=True)
def file(ambient: Ambient, path: str) -> str:
    try:
        return read_project_file(ambient, path).decode("utf-8")
    except UnicodeDecodeError:
        raise FunctionError(f"{shown(path)} is not UTF-8 text", 0, detail="Use filebase64.") from None


@_add("text", ambient=True)
def fileexists(ambient: Ambient, path: str) -> bool:
    plain = _path(path)
    if ambient.context.read_file is None:
        raise FunctionError("files cannot be read here", 0)
    try:
        ambient.context.read_file(plain)
    except FileNotFoundError:
        return False
    except ClockworkError as error:
        if isinstance(error.__cause__, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
            return False
        raise FunctionError(error.message, 0, detail=error.hint) from error
    except (IsADirectoryError, NotADirectoryError):
        return False
    except OSError as error:
        raise FunctionError(f"{shown(plain)} cannot be read: {error.strerror}", 0) from error
    return True


@_add("text", ambient=True)
def filebase64(ambient: Ambient, path: str) -> str:
    return base64.b64encode(read_project_file(ambient, path)).decode()


@_add("text", ambient=True)
def filesha256(ambient: Ambient, path: str) -> str:
    return hashlib.sha256(read_project_file(ambient, path)).hexdigest()


@_add("text", ambient=True)
def filemd5(ambient: Ambient, path: str) -> str:
    return hashlib.md5(read_project_file(ambient, path), usedforsecurity=False).hexdigest()


@_add("text")
def dirname(path: str) -> str:
    return posixpath.normpath(posixpath.dirname(path) or ".") if path else "."


@_add("text")
def basename(path: str) -> str:
    return posixpath.basename(path.rstrip("/")) or ("/" if path else ".")


@_add(ambient=True)
def timestamp(ambient: Ambient) -> str:
    ambient.volatile = True
    return ambient.context.now


@_add("text", ambient=True)
def free_port(ambient: Ambient, name: str) -> int:
    if ambient.context.free_port is None:
        raise FunctionError("free ports cannot be had here")
    try:
        port = ambient.context.free_port(name)
    except ClockworkError as error:
        raise FunctionError(error.message, detail=error.hint) from error
    ambient.ports[name] = port
    return port


@_add("any?", structural=True)
def sensitive(value: Any) -> Any:
    return Sensitive(value)


FUNCTIONS: Final[Mapping[str, Function]] = {
    **TEXT_FUNCTIONS,
    **COLLECTION_FUNCTIONS,
    **NUMBER_FUNCTIONS,
    **ENCODING_FUNCTIONS,
    **_EDGE,
}
FUNCTION_NAMES: Final = frozenset(FUNCTIONS) | {"can", "issensitive", "nonsensitive", "templatefile", "try"}
"""Every function that can be called, the ones that the evaluator does itself included."""


def unknown_function(name: str) -> dict[str, str]:
    """Return text, note, detail and code of the error for a function that cannot be called."""
    if name in NOT_BUILT:
        return {
            "text": f'the function "{name}" is not built yet',
            "note": "",
            "detail": NOT_BUILT[name],
            "code": "cw-not-built",
        }
    return {
        "text": f"there is no function {shown(name)}",
        "note": did_you_mean(name, FUNCTION_NAMES),
        "detail": "",
        "code": "cw-unknown-function",
    }
