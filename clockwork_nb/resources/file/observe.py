"""Looks at a declared file. Reads only."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from typing import Any

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.resources.project_paths import path_in_project
from clockwork_nb.resources.scripts import sealed
from clockwork_nb.secrets import Sensitive

__all__ = ["found", "observe"]

_CHUNK = 1 << 20
_MOST = 12 << 20
_NOT_THERE = Observation(False, detail="not there")


def observe(config: Mapping[str, Any], context: ObserveContext) -> Observation:
    """Return what is at ``path``: ``kind``, and for a regular file ``mode``, ``size`` and ``sha256``.

    A pipe or device is never opened for longer than it takes to see what it is, and a link is not followed.
    """
    path = config.get("path")
    if not isinstance(path, str):
        return Observation(None, detail="the path is not known yet")
    try:
        # O_NONBLOCK: a pipe put in the file's place must not stop us.
        handle = os.open(f"{context.root}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return _NOT_THERE
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Observation(True, {"kind": "symbolic link"}, "a symbolic link")
        return Observation(None, detail=f"cannot be read: {error.strerror}")
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            kind = "folder" if stat.S_ISDIR(info.st_mode) else "special file"
            return Observation(True, {"kind": kind}, f"a {kind}")
        digest = hashlib.sha256()
        while chunk := os.read(handle, _CHUNK):
            digest.update(chunk)
    except OSError as error:
        return Observation(None, detail=f"cannot be read: {error.strerror}")
    finally:
        os.close(handle)
    mode = f"{stat.S_IMODE(info.st_mode):04o}"
    content = config.get("content")
    if isinstance(content, Sensitive) or sealed(content):
        # Digest and size of a secret would help somebody guess it: the one stays as sensitive, the other is not said.
        return Observation(
            True, {"kind": "file", "mode": mode, "sha256": Sensitive(digest.hexdigest())}, f"mode {mode}"
        )
    seen = {"kind": "file", "mode": mode, "size": info.st_size, "sha256": digest.hexdigest()}
    return Observation(True, seen, f"{info.st_size} bytes, mode {mode}")


def found(import_id: str, context: ObserveContext) -> Mapping[str, Any] | None:
    """Return the attributes that describe the regular file *import_id*; None when there is none.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, it is no path in a folder of the project, is too large for a block, or
            cannot be read.
    """
    path = path_in_project(import_id)
    if "/" not in path:
        raise InvalidInputError(
            f"{path} lies at the top of the project, where no step may write", hint="Move it into a folder first."
        )
    place = context.root / path
    seen = observe({"path": path}, context)
    if not seen.exists or seen.attributes.get("kind") != "file":
        return None
    if seen.attributes["size"] > _MOST:
        raise InvalidInputError(
            f"{path} has {seen.attributes['size']:,} bytes, too many for the text of a block",
            hint=f'Copy it to another place of the project and write a block with path = "{path}" and source.',
        )
    try:
        data = place.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}", hint="Check its permissions.") from error
    out: dict[str, Any] = {"path": path, "mode": seen.attributes["mode"]}
    try:
        out["content"] = data.decode("utf-8")
    except UnicodeDecodeError:
        out["content_base64"] = base64.b64encode(data).decode()
    return out
