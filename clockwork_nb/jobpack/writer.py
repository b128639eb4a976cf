"""Writes the archive: the same bytes for the same files, wherever and whenever."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from clockwork_nb.errors import PackLimitError
from clockwork_nb.jobpack.archive import read_archive
from clockwork_nb.jobpack.layout import MAX_ENTRIES, MAX_PACK_BYTES

__all__ = ["write_archive"]

_HEADER_ROOM = 2 * 46 + 30 + 22  # local header, directory entry, and a share of the end record; names come twice


def write_archive(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of *files*, in the order of their names: stored, 1980-01-01, mode 0644, no extras.

    The bytes were read back by the strict reader before they are returned.

    Raises:
        PackLimitError: E_PACK_LIMIT: too many files or too large.
        PackError: a name that no pack may hold.
    """
    total = sum(len(data) + 2 * len(name) + _HEADER_ROOM for name, data in files.items())
    if len(files) > MAX_ENTRIES or total > MAX_PACK_BYTES:
        raise PackLimitError(
            f"a pack of {len(files)} files and about {total} bytes is too large: at most {MAX_ENTRIES} files and "
            f"{MAX_PACK_BYTES} bytes",
            hint="Publish fewer or smaller artifacts.",
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, also where this runs on something else
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[name])
    data = buffer.getvalue()
    read_archive(data)
    return data
