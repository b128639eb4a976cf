"""A zip writer in which every header field can be set to a lie. With no lie it writes exactly what the product writes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LOCAL = ("needed", "flags", "method", "time", "date", "crc", "packed", "size", "name_length", "extra_length")
CENTRAL = (
    "made_by", "needed", "flags", "method", "time", "date", "crc", "packed", "size", "name_length", "extra_length",
    "comment_length", "disk", "internal", "attributes", "offset",
)  # fmt: skip
END = ("disk", "start_disk", "here", "count", "directory_size", "directory_offset", "comment_length")


@dataclass
class File:
    """One entry. ``local`` and ``central`` override header fields by name; ``body`` what is stored."""

    name: bytes
    data: bytes
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    body: bytes | None = None
    after: bytes = b""
    """Bytes between this entry's data and whatever comes next."""
    only_listed: bool = False
    """Whether the directory names it and nothing of it is in front of a body."""

    def both(self, **fields: Any) -> File:
        self.local |= {name: value for name, value in fields.items() if name in LOCAL}
        self.central |= fields
        return self


def files_of(files: Mapping[str, bytes]) -> list[File]:
    return [File(name.encode(), files[name]) for name in sorted(files)]


def _defaults(entry: File) -> dict[str, Any]:
    body = entry.data if entry.body is None else entry.body
    return {
        "made_by": 0x0314,
        "needed": 20,
        "flags": 0,
        "method": 0,
        "time": 0,
        "date": 0x21,
        "crc": zlib.crc32(entry.data),
        "packed": len(body),
        "size": len(entry.data),
        "name_length": len(entry.name),
        "disk": 0,
        "internal": 0,
        "attributes": 0o100644 << 16,
        "comment_length": len(entry.comment),
    }


def write(
    files: Sequence[File],
    *,
    end: Mapping[str, int] | None = None,
    prefix: bytes = b"",
    gap: bytes = b"",
    suffix: bytes = b"",
    comment: bytes = b"",
    before_end: bytes = b"",
    order: Sequence[int] | None = None,
    drop_central: Sequence[int] = (),
) -> bytes:
    """Return the archive. *order* is the order of the directory, *drop_central* leaves entries out of it."""
    out = bytearray(prefix)
    records: list[bytes] = []
    for entry in files:
        local_name = entry.name if entry.local_name is None else entry.local_name
        base = _defaults(entry) | {"offset": len(out)}
        local = base | {"name_length": len(local_name), "extra_length": len(entry.local_extra)} | entry.local
        central = base | {"extra_length": len(entry.central_extra)} | entry.central
        if not entry.only_listed:
            out += struct.pack("<4s5H3L2H", b"PK\x03\x04", *(local[name] for name in LOCAL))
            out += local_name + entry.local_extra + (entry.data if entry.body is None else entry.body) + entry.after
        record = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *(central[name] for name in CENTRAL))
        records.append(record + entry.name + entry.central_extra + entry.comment)
    out += gap
    chosen = [i for i in (range(len(files)) if order is None else order) if i not in drop_central]
    offset = len(out)
    directory = b"".join(records[i] for i in chosen)
    out += directory + before_end
    fields = {
        "disk": 0,
        "start_disk": 0,
        "here": len(chosen),
        "count": len(chosen),
        "directory_size": len(directory),
        "directory_offset": offset,
        "comment_length": len(comment),
    } | dict(end or {})
    out += struct.pack("<4s4H2LH", b"PK\x05\x06", *(fields[name] for name in END)) + comment + suffix
    return bytes(out)


# What Go's archive/zip writes for Wrkr: sizes and CRC behind the data, and an extended timestamp (1980-01-01).
_TIMESTAMP = struct.pack("<HHBL", 0x5455, 5, 1, 315532800)


def write_wrkr(files: Mapping[str, bytes], **options: Any) -> bytes:
    """Return the archive that Wrkr would write of *files*."""
    entries = []
    for name in sorted(files):
        data = files[name]
        entry = File(name.encode(), data, local_extra=_TIMESTAMP, central_extra=_TIMESTAMP)
        entry.local = {"flags": 8, "crc": 0, "packed": 0, "size": 0}
        entry.central = {"flags": 8, "made_by": 20, "attributes": 0}
        entry.after = struct.pack("<4s3L", b"PK\x07\x08", zlib.crc32(data), len(data), len(data))
        entries.append(entry)
    return write(entries, **options)
