"""Looks at a declared file. Reads only."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from typing import Any

from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.resources.scripts import sealed
from clockwork_nb.secrets import Sensitive

__all__ = ["observe"]

_CHUNK = 1 << 20


def observe(config: Mapping[str, Any], context: ObserveContext) -> Observation:
    """Return what is at ``path``: ``kind``, and for a regular file ``mode``, ``size`` and ``sha256``.

    A pipe or device is never opened for longer than it takes to see what it is, and a link is not followed.
    """
    path = config.get("path")
    if not isinstance(path, str):
        return Observation(None, detail="the path is not known yet")
    try:
        # O_NONBLOCK: a pipe put in the file's place must not stop us.
        handle = os.open(context.root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return Observation(False, detail="not there")
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
