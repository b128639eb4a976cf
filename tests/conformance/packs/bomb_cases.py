"""Archives that would be large, and archives of another kind: bombs, zip64, other containers."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator

from clockwork_nb.canonical import parse_json
from clockwork_nb.jobpack.layout import MANIFEST, NATIVE_EVENTS
from tests.conformance.packs import rawzip, samples, tamper
from tests.conformance.packs.cases import LIMIT, MALFORMED, MANIFEST_BAD, MISSING, UNDECLARED, Case, good, good_files
from tests.conformance.packs.rawzip import File
from tests.conformance.packs.tamper import zipped


def zip64() -> Iterator[Case]:
    extra = struct.pack("<HHQQ", 1, 16, 10, 10)
    needless = good_files()
    needless[2].local_extra = needless[2].central_extra = extra
    yield Case("Z-needless-extra", rawzip.write(needless), (MALFORMED,))
    central_only = good_files()
    central_only[2].central_extra = extra
    central_only[2].central |= {"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF}
    yield Case("Z-sizes-in-extra", rawzip.write(central_only), (MALFORMED, LIMIT))
    files, data = good_files(), rawzip.write(good_files())
    directory = len(data) - 22
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 10, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, directory, 1)
    yield Case("Z-end-without-sentinel", rawzip.write(files, before_end=record + locator), (MALFORMED,))
    yield Case("Z-locator-only", rawzip.write(files, before_end=locator), (MALFORMED,))
    sentinel = {"count": 0xFFFF, "here": 0xFFFF, "directory_size": 0xFFFFFFFF, "directory_offset": 0xFFFFFFFF}
    yield Case("Z-sentinels", rawzip.write(files, before_end=record + locator, end=sentinel), (MALFORMED,))
    yield Case("Z-count-sentinel", rawzip.write(files, end={"count": 0xFFFF, "here": 0xFFFF}), (LIMIT, MALFORMED))
    # The locator points at a record that is not there, or at another one than a reader that looks backwards finds.
    for label, lie in {"locator-at-zero": 0, "locator-behind": directory + 56, "locator-far": 2**63}.items():
        wrong = struct.pack("<4sLQL", b"PK\x06\x07", 0, lie, 1)
        yield Case(f"Z-{label}", rawzip.write(files, before_end=record + wrong, end=sentinel), (MALFORMED,))
    huge = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**63, 2**63, 2**63, 2**63)
    yield Case("Z-counts-of-two-to-the-63", rawzip.write(files, before_end=huge + locator, end=sentinel), (MALFORMED,))
    room = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44 + 8, 45, 45, 0, 0, 1, 1, 10, 0) + b"evildata"
    yield Case("Z-extensible-data", rawzip.write(files, before_end=room + locator, end=sentinel), (MALFORMED,))
    yield Case("Z-two-records", rawzip.write(files, before_end=record * 2 + locator, end=sentinel), (MALFORMED,))
    for label, fields in {
        "size": {"size": 2**32 - 1},
        "offset": {"offset": 2**32 - 1},
        "disk": {"disk": 0xFFFF},
    }.items():
        one = good_files()
        one[2].central_extra = struct.pack("<HHQ", 1, 8, 2**63)
        one[2].central |= fields
        yield Case(f"Z-{label}-of-two-to-the-63", rawzip.write(one), (MALFORMED, LIMIT))
    version = good_files()
    version[2].both(needed=45)
    yield Case("Z-version-45", rawzip.write(version), (MALFORMED,))
    yield Case(
        "Z-offset-sentinel-only", rawzip.write(files, before_end=record + locator, end={"directory_offset": 2**32 - 1}),
        (MALFORMED,),
    )  # fmt: skip


def bombs() -> Iterator[Case]:
    body = zlib.compress(b"\0" * 2_000_000, 9)[2:-4]
    for label, size in {"ratio": 2_000_000, "claims-a-gigabyte": 2**30, "claims-little": 10}.items():
        entry = File(b"clockwork/bomb", b"", body=body).both(method=8, size=size, packed=len(body))
        yield Case(f"B-{label}", rawzip.write([*good_files(), entry]), (MALFORMED, LIMIT))
    stored = File(b"clockwork/bomb", b"x").both(size=0xFFFFFFFE, packed=0xFFFFFFFE)
    yield Case("B-forged-stored-size", rawzip.write([*good_files(), stored]), (LIMIT, MALFORMED))
    packed = File(b"clockwork/bomb", b"x").both(packed=0xFFFFFFFE)
    yield Case("B-forged-packed-size", rawzip.write([*good_files(), packed]), (MALFORMED,))
    many = [File(f"clockwork/blobs/{n}".encode(), b"") for n in range(50_001)]
    yield Case("B-many-entries", rawzip.write(many), (LIMIT,))
    half = [File(f"clockwork/b{n}".encode(), b"x").both(size=2**28, packed=2**28) for n in range(3)]
    yield Case("B-sum-over-limit", rawzip.write(half), (LIMIT,))
    gigabyte = _zeros_deflated(1024)
    real = File(b"clockwork/bomb", b"", body=gigabyte).both(method=8, size=2**30, packed=len(gigabyte), crc=0)
    yield Case("B-a-real-gigabyte", rawzip.write([*good_files(), real]), (LIMIT, MALFORMED))
    megabytes = _zeros_deflated(64)
    inner = rawzip.write([File(b"bomb", b"", body=megabytes).both(method=8, size=64 << 20, packed=len(megabytes))])
    for _ in range(5):  # archives in archives: nothing here ever opens an inner one
        inner = rawzip.write([File(f"{n}.zip".encode(), inner) for n in range(2)])
    yield Case("B-nested", zipped({**good(), "clockwork/bomb.zip": inner}), (UNDECLARED,))
    for label, size in {"stream-longer-than-declared": 1000, "stream-shorter-than-declared": 3_000_000}.items():
        lying = File(b"clockwork/bomb", b"", body=body).both(method=8, size=size, packed=len(body))
        yield Case(f"B-{label}", rawzip.write([*good_files(), lying]), (MALFORMED,))
    unused = File(b"clockwork/bomb", b"", body=body + b"unused").both(method=8, size=2_000_000, packed=len(body) + 6)
    yield Case("B-data-behind-the-stream", rawzip.write([*good_files(), unused]), (MALFORMED,))
    one_body = [File(f"clockwork/z{n:05d}".encode(), b"", only_listed=n > 0, body=body) for n in range(1000)]
    for entry in one_body:
        entry.both(method=8, size=2_000_000, packed=len(body)).central["offset"] = 0
    yield Case("B-thousand-names-one-body", rawzip.write(one_body), (LIMIT, MALFORMED))
    yield Case("B-count-without-entries", rawzip.write([], end={"count": 50_000, "here": 50_000}), (MALFORMED,))
    listed = {"path": "clockwork/x", "sha256": "0" * 64}
    many_listed = [{**listed, "path": f"clockwork/x{n:06d}"} for n in range(100_000)]
    document = {**parse_json(good()[MANIFEST]), "files": many_listed}
    yield Case(
        "B-manifest-of-many", zipped({**good(), MANIFEST: tamper.manifest_bytes(document)}), (MISSING, UNDECLARED)
    )
    for label, long in {
        "log-of-many-records": b"\n" * 200_001,
        "log-of-many-bytes": b"x" * (65 << 20),
    }.items():
        files = tamper.resign({**good(), NATIVE_EVENTS: long}, samples.small_job())
        yield Case(f"B-{label}", zipped(files), (LIMIT,))


def _zeros_deflated(megabytes: int) -> bytes:
    """Return a deflate stream of that many MiB of zeros, without compressing them all."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes + packer.flush()


def others() -> Iterator[Case]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(MANIFEST)
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))
    for label, data in {
        "empty": b"", "one-byte": b"P", "text": b"hello\n" * 100, "tar": buffer.getvalue(),
        "gzip": gzip.compress(b"x" * 1000, mtime=0), "7z": b"7z\xbc\xaf\x27\x1c" + bytes(64), "zeros": bytes(1 << 20),
        "end-record-only": rawzip.write([])[:4] * 6,
    }.items():  # fmt: skip
        yield Case(f"O-{label}", data, (MALFORMED,))
    yield Case("O-empty-archive", rawzip.write([]), (MANIFEST_BAD,))
    yield Case("O-our-files-without-evidence", zipped({k: v for k, v in good().items() if "/" not in k}), (MALFORMED,))
