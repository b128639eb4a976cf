"""The strict zip reader: bytes in, entries out, or a refusal.

Two archives that different tools read differently are one archive too many. This reader accepts two exact shapes and
nothing else: what `clockwork_nb.jobpack.writer` writes (profile ``clockwork``), and what Wrkr's Go writer writes
(profile ``wrkr``). Field positions are those of APPNOTE.TXT 6.3.10 §4.3; every field has one allowed value or must be
equal in the directory and in front of the data, and no byte of the file belongs to nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from clockwork_nb.errors import HashMismatchError, PackDuplicateError, PackLimitError, PackMalformedError
from clockwork_nb.jobpack.layout import MAX_ENTRIES, MAX_PACK_BYTES, check_entry_name

__all__ = ["CLOCKWORK", "WRKR", "Archive", "Entry", "Profile", "check_crc", "read_archive"]

_END: Final = struct.Struct("<4s4H2LH")  # §4.3.16 end of central directory
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")  # §4.3.12
_LOCAL: Final = struct.Struct("<4s5H3L2H")  # §4.3.7
_DESCRIPTOR: Final = struct.Struct("<4s3L")  # §4.3.9, with the signature

DOS_DATE: Final = 0x21  # 1980-01-01
_REGULAR_0644: Final = 0o100644 << 16


class Profile(Struct, frozen=True):
    """The one allowed value of each field. ``extra`` is the exact extra field of every header."""

    name: Literal["clockwork", "wrkr"]
    made_by: int
    flags: int
    extra: bytes
    attributes: int
    descriptor: bool


CLOCKWORK: Final = Profile("clockwork", (3 << 8) | 20, 0, b"", _REGULAR_0644, descriptor=False)
# Extended timestamp (Info-ZIP 0x5455): 5 bytes, "modification time present", 1980-01-01T00:00:00Z.
WRKR: Final = Profile("wrkr", 20, 0x8, struct.pack("<HHBL", 0x5455, 5, 1, 315532800), 0, descriptor=True)


class Entry(Struct, frozen=True):
    """One file: where its bytes are, and the CRC-32 both headers give for them."""

    name: str
    offset: int
    size: int
    crc: int


class Archive(Struct, frozen=True):
    """A well-formed archive. Contents are not checked against their CRC yet (`check_crc`)."""

    profile: Profile
    data: bytes
    entries: Mapping[str, Entry]

    def read(self, name: str) -> bytes:
        """Return the bytes of the entry *name*; KeyError when there is none."""
        entry = self.entries[name]
        return self.data[entry.offset : entry.offset + entry.size]

    def view(self, name: str) -> memoryview:
        """Return the bytes of the entry *name* without a copy; KeyError when there is none."""
        entry = self.entries[name]
        return memoryview(self.data)[entry.offset : entry.offset + entry.size]


def check_crc(archive: Archive) -> None:
    """Compare every entry with its CRC-32.

    Raises:
        HashMismatchError: E_VERIFY_HASH_MISMATCH for the first that differs, in directory order.
    """
    for entry in archive.entries.values():
        found = zlib.crc32(archive.view(entry.name))
        if found != entry.crc:
            raise HashMismatchError(
                f"{entry.name} does not have the content that was packed",
                details={"path": entry.name, "expected": f"crc32 {entry.crc:08x}", "found": f"crc32 {found:08x}"},
            )


def read_archive(data: bytes) -> Archive:
    """Return the entries of *data*, in directory order.

    Raises:
        PackLimitError: E_PACK_LIMIT: more than 512 MiB or 50,000 entries.
        PackUnsafePathError: E_PACK_UNSAFE_PATH: a name outside the grammar of `layout.check_entry_name`.
        PackDuplicateError: E_PACK_DUPLICATE: two names that are one on some file system, or a file that is a folder.
        PackMalformedError: E_PACK_MALFORMED: everything else that is not exactly as it must be.
    """
    if len(data) > MAX_PACK_BYTES:
        raise PackLimitError(f"the pack has {len(data)} bytes; at most {MAX_PACK_BYTES} are read")
    count, directory, directory_end = _read_end(data)
    raw = _read_directory(data, count, directory, directory_end)
    names = [_decode_name(record.name) for record in raw]
    _check_names(names)
    profile = CLOCKWORK if any(name.startswith("clockwork/") for name in names) else WRKR
    entries: dict[str, Entry] = {}
    at = 0
    for name, record in zip(names, raw, strict=True):
        _check_record(record, name, profile)
        if record.offset != at:
            raise PackMalformedError(f"{name} does not begin where the entry before it ends", details={"path": name})
        entry, at = _check_local(data, at, record, name, profile)
        entries[name] = entry
    if at != directory:
        raise PackMalformedError("the last entry does not end where the directory begins")
    if profile is CLOCKWORK and names != sorted(names):
        raise PackMalformedError("the entries are not in the order of their names")
    return Archive(profile, data, entries)


class _Record(Struct, frozen=True):
    made_by: int
    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    packed: int
    size: int
    disk: int
    internal: int
    attributes: int
    offset: int
    name: bytes
    extra: bytes


def _read_end(data: bytes) -> tuple[int, int, int]:
    """Return count of entries, start and end of the directory."""
    end_at = len(data) - _END.size
    if end_at < 0 or data[end_at : end_at + 4] != b"PK\x05\x06":
        raise PackMalformedError("this is not a zip archive that ends with its directory")
    _, disk, start_disk, here, count, size, offset, comment = _END.unpack_from(data, end_at)
    if disk or start_disk or here != count or comment or size == 0xFFFFFFFF or offset == 0xFFFFFFFF:
        raise PackMalformedError("the end record has a field that a jobpack does not have")
    if count > MAX_ENTRIES:
        raise PackLimitError(f"the pack has {count} entries; at most {MAX_ENTRIES} are read")
    if offset + size != end_at:
        raise PackMalformedError("the directory is not where the end record says")
    return count, offset, end_at


def _read_directory(data: bytes, count: int, at: int, end: int) -> list[_Record]:
    out = []
    total = 0
    for _ in range(count):
        if at + _CENTRAL.size > end or data[at : at + 4] != b"PK\x01\x02":
            raise PackMalformedError("the directory has fewer entries than the end record says")
        fields = _CENTRAL.unpack_from(data, at)
        (
            _,
            made_by,
            needed,
            flags,
            method,
            time,
            date,
            crc,
            packed,
            size,
            n,
            m,
            k,
            disk,
            internal,
            attributes,
            offset,
        ) = fields
        at += _CENTRAL.size
        if k:
            raise PackMalformedError("an entry has a comment")
        name, extra = data[at : at + n], data[at + n : at + n + m]
        out.append(
            _Record(
                made_by,
                needed,
                flags,
                method,
                time,
                date,
                crc,
                packed,
                size,
                disk,
                internal,
                attributes,
                offset,
                name,
                extra,
            )
        )
        at += n + m
        total += size
        if total > MAX_PACK_BYTES:
            raise PackLimitError(f"the entries claim to hold more than {MAX_PACK_BYTES} bytes")
    if at != end:
        raise PackMalformedError("the directory has more entries than the end record says")
    return out


def _decode_name(name: bytes) -> str:
    # Latin-1 never fails and maps bytes one to one; the grammar then allows ASCII only.
    return check_entry_name(name.decode("latin-1"))


def _check_names(names: list[str]) -> None:
    seen: dict[str, str] = {}
    folders: set[str] = set()
    for name in names:
        folded = name.lower()
        if folded in seen:
            raise PackDuplicateError(f"{name} and {seen[folded]} are one name on some systems", details={"path": name})
        seen[folded] = name
        folder = folded.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for folder in folders:
        if folder in seen:
            raise PackDuplicateError(f"{seen[folder]} is a file and a folder", details={"path": seen[folder]})


def _check_record(record: _Record, name: str, profile: Profile) -> None:
    wrong = [
        label
        for label, found, allowed in (
            ("compression method", record.method, 0),
            ("flags", record.flags, profile.flags),
            ("creator", record.made_by, profile.made_by),
            ("version needed", record.needed, 20),
            ("time", record.time, 0),
            ("date", record.date, DOS_DATE),
            ("disk number", record.disk, 0),
            ("internal attributes", record.internal, 0),
            ("mode", record.attributes, profile.attributes),
            ("extra field", record.extra, profile.extra),
            ("stored size", record.packed, record.size),
        )
        if found != allowed
    ]
    if wrong:
        raise PackMalformedError(
            f"{name} has a {wrong[0]} that a jobpack does not have", details={"path": name, "fields": wrong}
        )


def _check_local(data: bytes, at: int, record: _Record, name: str, profile: Profile) -> tuple[Entry, int]:
    """Compare the header in front of the data with the directory's; return the entry and where the next one begins."""
    known = (0, 0, 0) if profile.descriptor else (record.crc, record.packed, record.size)
    header = _LOCAL.pack(b"PK\x03\x04", 20, profile.flags, 0, 0, DOS_DATE, *known, len(record.name), len(profile.extra))
    expected = header + record.name + profile.extra
    start = at + len(expected)
    end = start + record.size
    after = end + (_DESCRIPTOR.size if profile.descriptor else 0)
    if data[at:start] != expected:
        raise PackMalformedError(
            f"{name} is described differently in the directory and in its header", details={"path": name}
        )
    if profile.descriptor and data[end:after] != _DESCRIPTOR.pack(
        b"PK\x07\x08", record.crc, record.packed, record.size
    ):
        raise PackMalformedError(f"the data descriptor of {name} differs from the directory", details={"path": name})
    return Entry(name, start, record.size, record.crc), after
