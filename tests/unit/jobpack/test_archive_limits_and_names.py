"""Limits hold at their value and break one above; names mean the same file everywhere."""

from __future__ import annotations

import pytest

from clockwork_nb.errors import PackLimitError, PackMissingError, PackUnsafePathError
from clockwork_nb.jobpack import archive, layout, manifest, writer
from clockwork_nb.jobpack.archive import read_archive
from clockwork_nb.jobpack.checks import entry_of
from clockwork_nb.jobpack.layout import check_entry_name, is_entry_name, log_name, pack_name
from tests.conformance.packs import rawzip, samples
from tests.conformance.packs.rawzip import File
from tests.conformance.packs.tamper import code, pack, verify


def test_the_limits_are_the_published_ones() -> None:
    assert (layout.MAX_ENTRIES, layout.MAX_PACK_BYTES) == (50_000, 512 << 20)
    assert (layout.MAX_NAME_BYTES, layout.MAX_PART_BYTES) == (240, 100)
    assert (layout.MAX_EVENT_BYTES, layout.MAX_EVENT_RECORDS) == (64 << 20, 200_000)


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_entries_up_to_the_limit_are_read(over: int) -> None:
    files = [File(f"clockwork/{n:05d}".encode(), b"") for n in range(layout.MAX_ENTRIES + over)]
    data = rawzip.write(files)
    if over > 0:
        with pytest.raises(PackLimitError):
            read_archive(data)
    else:
        assert len(read_archive(data).entries) == layout.MAX_ENTRIES + over


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_bytes_up_to_the_limit_are_read_and_written(over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = rawzip.write([File(b"clockwork/x", b"y" * 1000)])
    monkeypatch.setattr(archive, "MAX_PACK_BYTES", len(data) - over)
    if over > 0:
        with pytest.raises(PackLimitError):
            read_archive(data)
    else:
        read_archive(data)
    monkeypatch.setattr(writer, "MAX_PACK_BYTES", 500)
    with pytest.raises(PackLimitError, match="too large"):
        writer.write_archive({"clockwork/x": b"y" * 1000})


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_a_manifest_up_to_the_limit_is_read(over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pack(samples.small_job())
    size = read_archive(made.data).entries["manifest.json"].size
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", size - over)
    assert code(verify(made.data)) == ("E_MANIFEST_INVALID" if over > 0 else "")


@pytest.mark.parametrize("limit", ["MAX_EVENT_BYTES", "MAX_EVENT_RECORDS"])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_a_log_up_to_the_limit_is_read(limit: str, over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    job = samples.small_job()
    made = pack(job)
    size = len(job.log) if limit == "MAX_EVENT_BYTES" else job.seq
    monkeypatch.setattr(f"clockwork_nb.jobpack.log.{limit}", size - over)
    assert code(verify(made.data)) == ("E_PACK_LIMIT" if over > 0 else "")


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a" * 100, True),
        ("a" * 101, False),
        ("/".join(["a" * 29] * 8), True),
        ("/".join(["a" * 29] * 8) + "a", True),
        ("/".join(["a" * 30] * 7 + ["a" * 23]), True),
        ("/".join(["a" * 30] * 7 + ["a" * 24]), False),
        ("/".join("abcdefgh"), True),
        ("/".join("abcdefghi"), False),
        ("_x/A-1.b+c@d=e,f", True),
        ("con", False),
        ("CON.txt", False),
        ("a/com7.log", False),
        ("console", True),
        ("a/.hidden", False),
        ("a.", False),
        ("a b", False),
        ("", False),
    ],
)
def test_entry_names(name: str, good: bool) -> None:
    assert is_entry_name(name) is good
    if not good:
        with pytest.raises(PackUnsafePathError):
            check_entry_name(name)


def test_names_of_logs_and_packs() -> None:
    assert log_name(3, 12345, 1, "out") == "clockwork/logs/3-12345.1.out"
    assert pack_name("job_1", count=7, final=True) == "jobpack_job_1.zip"
    assert pack_name("job_1", count=7, final=False) == "jobpack_job_1.at7.zip"


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_an_entry_that_is_too_long_is_refused_before_it_is_copied(over: int) -> None:
    found = read_archive(rawzip.write([File(b"clockwork/x", b"y" * 1000)]))
    if over > 0:
        with pytest.raises(PackLimitError, match="more than 999"):
            entry_of(found, "clockwork/x", 999)
    else:
        assert len(entry_of(found, "clockwork/x", 1000 - over)) == 1000
    with pytest.raises(PackMissingError):
        entry_of(found, "clockwork/y", 1000)
