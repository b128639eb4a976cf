"""Which file is meant by a pack's or a job's name, and its bytes, read once."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import JOB_ID

__all__ = ["MAX_PACK_BYTES", "find_pack", "pack_here", "read_pack"]

MAX_PACK_BYTES: Final = 512 * 1024 * 1024
_CHUNK: Final = 1 << 20


def read_pack(path: Path) -> bytes:
    """Return the bytes of the pack file *path*; a link is followed, because a person named it.

    The file is opened once: what is checked and what is shown are the same bytes, whatever becomes of the name.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: no regular file, not readable, or more than 512 MiB.
    """
    try:
        # O_NONBLOCK: a pipe in the place of a file must not make anybody wait.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise InvalidInputError(f"{path} is not a file", hint="Name the zip file of a jobpack.")
            data = bytearray()
            while len(data) <= MAX_PACK_BYTES and (chunk := os.read(handle, _CHUNK)):
                data += chunk
        finally:
            os.close(handle)
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_PACK_BYTES:
        raise InvalidInputError(f"{path} has more than {MAX_PACK_BYTES:,} bytes; no jobpack has")
    return bytes(data)


def find_pack(folder: Path, name: str) -> Path:
    """Return the pack of the job *name* in *folder*: the final one, else the one of the longest log.

    *name* may also be a file of the folder, as a footer names it.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: there is none.
    """
    found = pack_here(folder, name)
    if found is not None:
        return found
    if not JOB_ID.match(name):
        raise InvalidInputError(f"{name} is not a file and not a job id", hint="See: clockwork job list")
    if name.endswith(".zip"):
        raise InvalidInputError(f"there is no file {name}, neither here nor in {folder}")
    raise InvalidInputError(f"no pack of job {name} in {folder}", hint=f"clockwork jobpack export {name}")


def pack_here(folder: Path, name: str) -> Path | None:
    """Return what `find_pack` returns; None when there is none."""
    named = folder / name
    if "/" not in name and named.is_file():
        return named
    if not JOB_ID.match(name) or name.endswith(".zip"):
        return None
    final = folder / f"jobpack_{name}.zip"
    if final.is_file():
        return final
    pattern = re.compile(rf"jobpack_{re.escape(name)}\.at(\d{{1,18}})\.zip")
    found = [(int(m[1]), p) for p in folder.glob("jobpack_*.zip") if (m := pattern.fullmatch(p.name))]
    return max(found)[1] if found else None
