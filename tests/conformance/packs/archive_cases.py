"""Archives that lie in their headers: names, duplicates, layout, end records, types, compression, extra fields."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from clockwork_nb.jobpack.layout import MANIFEST, NATIVE_EVENTS, STATEMENT
from tests.conformance.packs import rawzip
from tests.conformance.packs.cases import (
    DUPLICATE,
    HASH,
    LIMIT,
    MALFORMED,
    MANIFEST_BAD,
    UNDECLARED,
    UNSAFE,
    Case,
    good,
    good_bytes,
    good_files,
)
from tests.conformance.packs.rawzip import File


def names() -> Iterator[Case]:
    evil = {
        "parent": b"../evil", "parent-inside": b"clockwork/../../evil", "absolute": b"/etc/evil", "drive": b"C:/evil",
        "drive-relative": b"C:evil", "unc": b"//host/share/evil", "backslash": b"..\\evil", "nul": b"evil\0.txt",
        "control": b"evil\x1b[31m", "dot-part": b"clockwork/./evil", "empty-part": b"clockwork//evil",
        "folder": b"clockwork/evil/", "trailing-dot": b"evil.", "trailing-space": b"evil ", "stream": b"evil:stream",
        "device": b"con", "device-extension": b"clockwork/NUL.txt", "device-number": b"lpt1", "tilde": b"~/evil",
        "short-name": b"PROGRA~1", "long": b"a/" * 119 + b"evil", "long-part": b"a" * 101, "deep": b"a/" * 9 + b"b",
        "empty": b"", "not-utf8": b"ev\xffil", "nfd": "e\u0301vil".encode(), "bidi": "evil\u202etxt".encode(),
        "zero-width": "ev\u200bil".encode(), "fullwidth": "\uff0e\uff0e/evil".encode(), "hidden": b".evil",
        "glob": b"evil*", "dash": b"-rf",
    }  # fmt: skip
    for label, name in evil.items():
        yield Case(f"N-{label}", rawzip.write([*good_files(), File(name, b"x")]), (UNSAFE,))


def duplicates() -> Iterator[Case]:
    files, manifest = good_files(), good()[MANIFEST]
    forged = manifest.replace(b"job_small", b"job_smile")
    for label, extra in {
        "exact": [File(b"job.json", good()["job.json"])],
        "exact-other-content": [File(b"job.json", b"{}")],
        "three": [File(b"job.json", b"1"), File(b"job.json", b"2")],
        "case": [File(b"JOB.json", b"{}")],
        "case-folder": [File(b"Clockwork/events.jsonl", b"{}")],
        "file-and-folder": [File(b"job.json/evil", b"x")],
        "folder-and-file": [File(b"clockwork", b"x")],
        "manifest-forged-last": [File(MANIFEST.encode(), forged)],
    }.items():
        yield Case(f"D-{label}", rawzip.write([*files, *extra]), (DUPLICATE,))
    yield Case("D-manifest-forged-first", rawzip.write([File(MANIFEST.encode(), forged), *files]), (DUPLICATE,))
    for label, name in {
        "manifest-same-twice": MANIFEST.encode(), "statement": STATEMENT.encode(), "native-log": NATIVE_EVENTS.encode(),
        "inner-case": b"clockwork/Sections/1/plan.json", "folder-of-a-file": NATIVE_EVENTS.encode() + b"/evil",
        "folder-in-other-case": b"CLOCKWORK/genesis.JSON/evil",
    }.items():  # fmt: skip
        twin = File(name, good().get(name.decode(), b"x"))
        yield Case(f"D-{label}", rawzip.write(sorted([*files, twin], key=lambda entry: entry.name)), (DUPLICATE,))
    twins = [File("clockwork/\u00e9".encode(), b"x"), File("clockwork/e\u0301".encode(), b"y")]
    yield Case("D-two-unicode-forms", rawzip.write([*files, *twins]), (UNSAFE,))


_LIES = {
    "needed": 45, "flags": 8, "method": 8, "time": 1, "date": 0x22, "crc": 0x01020304, "packed": 3, "size": 3,
    "name_length": 3, "extra_length": 4,
}  # fmt: skip


def headers() -> Iterator[Case]:
    for where in ("local", "central"):
        for name, value in _LIES.items():
            files = good_files()
            getattr(files[2], where)[name] = value
            yield Case(f"H-{where}-{name}", rawzip.write(files), (MALFORMED, UNSAFE, LIMIT))
    files = good_files()
    files[2].local_name = b"evil.json".ljust(len(files[2].name), b"x")
    yield Case("H-local-other-name", rawzip.write(files), (MALFORMED,))
    files = good_files()
    files[2].central["disk"] = 1
    yield Case("H-central-disk", rawzip.write(files), (MALFORMED,))
    for label, off in {"shorter": -1, "longer": 1}.items():
        files = good_files()
        files[2].both(packed=len(files[2].data) + off)
        yield Case(f"H-both-packed-{label}", rawzip.write(files), (MALFORMED,))
    files = good_files()
    files[2].both(crc=0x01020304)
    yield Case("H-both-crc", rawzip.write(files), (HASH,))


def layout() -> Iterator[Case]:
    files, last = good_files(), len(good_files()) - 1
    orphan = [*files[:3], File(b"evil", b"x"), *files[3:]]
    yield Case("L-orphan", rawzip.write(orphan, drop_central=[3]), (MALFORMED,))
    yield Case("L-orphan-last", rawzip.write([*files, File(b"zzz", b"x")], drop_central=[len(files)]), (MALFORMED,))
    yield Case("L-gap-before-directory", rawzip.write(files, gap=b"\0" * 8), (MALFORMED,))
    yield Case("L-shebang", rawzip.write(files, prefix=b"#!/bin/sh\n"), (MALFORMED,))
    yield Case("L-program", rawzip.write(files, prefix=b"MZ" + b"\0" * 62), (MALFORMED,))
    yield Case("L-prefix-hidden", b"junk" + good_bytes(), (MALFORMED,))
    gap = good_files()
    gap[1].after = b"hidden"
    yield Case("L-gap-between", rawzip.write(gap), (MALFORMED,))
    yield Case("L-reversed-directory", rawzip.write(files, order=range(last, -1, -1)), (MALFORMED,))
    yield Case("L-reversed-everything", rawzip.write(files[::-1]), (MALFORMED,))
    for label, offset in {"overlap": 0, "past-directory": 2**24, "huge": 0xFFFFFFFE, "inside": 20}.items():
        lying = good_files()
        lying[4].central["offset"] = offset
        yield Case(f"L-offset-{label}", rawzip.write(lying), (MALFORMED,))
    nested = good_files()
    nested[3].data = rawzip.write([File(b"evil", b"x")])
    yield Case("L-quoted-overlap", rawzip.write(nested), (HASH,))
    shared = File(b"zzz", files[last].data, only_listed=True)
    shared.central["offset"] = len(_bodies(files[:last]))
    yield Case("L-two-names-one-body", rawzip.write([*files, shared]), (MALFORMED,))
    again = File(files[last].name, files[last].data, only_listed=True)
    again.central["offset"] = shared.central["offset"]
    yield Case("L-listed-twice", rawzip.write([*files, again]), (DUPLICATE,))
    late = _bodies([File(b"zzz", b"x")])
    yield Case("L-entry-behind-the-directory", rawzip.write(files, before_end=late), (MALFORMED,))
    listed = File(b"zzz", b"x", only_listed=True)
    listed.central["offset"] = len(_bodies(files)) + sum(46 + len(entry.name) for entry in (*files, listed))
    yield Case("L-listed-behind-the-directory", rawzip.write([*files, listed], before_end=late), (MALFORMED,))
    whole = rawzip.write(files)
    directory = whole[len(_bodies(files)) : -22]
    yield Case("L-directory-twice", rawzip.write(files, gap=directory), (MALFORMED,))
    yield Case("L-nested-directory", rawzip.write([*files, File(b"zzz", directory)]), (UNDECLARED,))
    wide = good_files()
    wide[1].both(packed=len(wide[1].data) + 30, size=len(wide[1].data) + 30)
    yield Case("L-body-reaches-into-the-next", rawzip.write(wide), (MALFORMED,))


def _bodies(files: list[File]) -> bytes:
    """Return the entries of *files* without any directory."""
    whole = rawzip.write(files)
    return whole[: int.from_bytes(whole[-6:-2], "little")]


def end_records() -> Iterator[Case]:
    files, count = good_files(), len(good_files())
    data = good_bytes()
    yield Case("E-trailing-byte", data + b"x", (MALFORMED,))
    yield Case("E-trailing-zeros", data + b"\0" * 512, (MALFORMED,))
    yield Case("E-comment", rawzip.write(files, comment=b"signed by nobody"), (MALFORMED,))
    yield Case(
        "E-archive-in-comment", rawzip.write(files, comment=rawzip.write([File(b"a", b"x")])), (MALFORMED, MANIFEST_BAD)
    )
    yield Case("E-second-empty", data + rawzip.write([]), (MALFORMED,))
    yield Case("E-second-other", data + rawzip.write([File(b"evil", b"x")]), (MALFORMED,))
    yield Case("E-long-comment", rawzip.write(files, comment=b"\0" * 65535), (MALFORMED,))
    yield Case("E-missing", data[:-22], (MALFORMED,))
    yield Case("E-split", data[:-10], (MALFORMED,))
    yield Case("E-before-end", rawzip.write(files, before_end=b"junk"), (MALFORMED,))
    size = int.from_bytes(data[-10:-6], "little")
    junk_inside = rawzip.write(files, before_end=b"junk", end={"directory_size": size + 4})
    yield Case("E-junk-in-directory", junk_inside, (MALFORMED,))
    for label, lie in {
        "count-low": {"count": count - 1, "here": count - 1}, "count-high": {"count": count + 1, "here": count + 1},
        "count-differs": {"here": count - 1}, "count-zero": {"count": 0, "here": 0}, "size-zero": {"directory_size": 0},
        "size-high": {"directory_size": 2**31}, "offset-zero": {"directory_offset": 0},
        "offset-high": {"directory_offset": 0xFFFFFFFE}, "disk": {"disk": 1}, "start-disk": {"start_disk": 1},
        "comment-length": {"comment_length": 5},
    }.items():  # fmt: skip
        yield Case(f"E-{label}", rawzip.write(files, end=lie), (MALFORMED,))


def types() -> Iterator[Case]:
    for label, mode in {
        "symlink": 0o120777, "fifo": 0o010644, "device": 0o020644, "socket": 0o140644, "folder": 0o040755,
        "setuid": 0o104644, "executable": 0o100755, "everybody-writes": 0o100666,
    }.items():  # fmt: skip
        files = good_files()
        files[2].central["attributes"] = mode << 16
        yield Case(f"T-{label}", rawzip.write(files), (MALFORMED,))
    for label, lie in {
        "dos": {"made_by": 20},
        "dos-folder-bit": {"attributes": 0x10},
        "text-bit": {"internal": 1},
    }.items():
        files = good_files()
        files[2].central |= lie
        yield Case(f"T-{label}", rawzip.write(files), (MALFORMED,))


def compression() -> Iterator[Case]:
    for label, fields in {
        "encrypted": {"flags": 1}, "strong-encryption": {"flags": 0x41}, "aes": {"method": 99}, "deflate64": {"method": 9},
        "bzip2": {"method": 12}, "lzma": {"method": 14}, "zstd": {"method": 93}, "patched": {"flags": 0x20},
        "utf8-flag": {"flags": 0x800}, "descriptor": {"flags": 8}, "masked-headers": {"flags": 0x2000},
    }.items():  # fmt: skip
        files = good_files()
        files[2].both(**fields)
        yield Case(f"C-{label}", rawzip.write(files), (MALFORMED,))
    entry = good_files()
    deflated = zlib.compress(entry[2].data)[2:-4]
    entry[2].body = deflated
    entry[2].both(method=8, packed=len(deflated))
    yield Case("C-honest-deflate", rawzip.write(entry), (MALFORMED,))


def extras() -> Iterator[Case]:
    for label, extra in {
        "timestamp": struct.pack("<HHBL", 0x5455, 5, 1, 315532800), "unicode-path": struct.pack("<HHBL4s", 0x7075, 9, 1, 0, b"evil"),
        "ntfs": struct.pack("<HHL", 0x000A, 4, 0), "unix-link": struct.pack("<HHL", 0x756E, 4, 0),
        "unicode-comment": struct.pack("<HHBL4s", 0x6375, 9, 1, 0, b"evil"), "empty-block": struct.pack("<HH", 0xCAFE, 0),
        "bad-length": struct.pack("<HH", 0x5455, 400), "one-byte": b"x",
    }.items():  # fmt: skip
        files = good_files()
        files[2].local_extra = files[2].central_extra = extra
        yield Case(f"X-{label}", rawzip.write(files), (MALFORMED,))
    for label, where in {"local-only": "local_extra", "directory-only": "central_extra"}.items():
        files = good_files()
        setattr(files[2], where, struct.pack("<HH", 0xCAFE, 0))
        yield Case(f"X-{label}", rawzip.write(files), (MALFORMED,))
    files = good_files()
    files[2].comment = b"hello"
    yield Case("X-comment", rawzip.write(files), (MALFORMED,))
