"""What a step prints: all of it counted, its two ends kept, no secret in it however it is cut."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.forge.logs import LogFolder, StepLog
from clockwork_nb.secrets import MASK, Redactor


def log_in(folder: Path, *secrets: str, head: int = 4096, tail: int = 4096) -> StepLog:
    redactor = Redactor()
    for secret in secrets:
        redactor.register(secret)
    return LogFolder(folder).step("file.a", "write_file", redactor, head=head, tail=tail)


def test_files_are_named_by_slug_and_action_and_made_only_when_something_is_said(tmp_path: Path) -> None:
    log = log_in(tmp_path / "logs" / "job_x")
    log.close()
    assert not (tmp_path / "logs").exists()
    log = log_in(tmp_path / "logs" / "job_x")
    log.write("err", b"oh\n")
    assert (tmp_path / "logs/job_x/file.a-write_file.err").read_bytes() == b"oh\n"  # while it runs
    log.close()
    assert [p.name for p in (tmp_path / "logs/job_x").iterdir()] == ["file.a-write_file.err"]
    again = LogFolder(tmp_path).step('file.page["a/b"]', "run it", Redactor(), attempt=2)
    assert again.out.path.parent == tmp_path
    assert again.out.path.name.endswith("-run-it.2.out")
    assert "/" not in again.out.path.name


@pytest.mark.parametrize(("size", "truncated"), [(0, False), (19, False), (20, False), (21, True), (1000, True)])
def test_head_and_tail_are_kept_and_what_is_missing_is_counted(tmp_path: Path, size: int, truncated: bool) -> None:
    data = bytes(97 + i % 26 for i in range(size))
    log = log_in(tmp_path, head=12, tail=8)
    for i in range(0, size, 7):
        log.write("out", data[i : i + 7])
    log.close()
    assert (log.out.total, log.out.truncated) == (size, truncated)
    kept = log.out.content()
    if truncated:
        assert kept == data[:12] + f"\n[… {size - 20} bytes left out …]\n".encode() + data[-8:]
    else:
        assert kept == data
    assert log.out.sha256() == hashlib.sha256(kept).hexdigest()
    if size:
        assert log.out.path.read_bytes() == kept


def test_a_flood_costs_no_more_memory_than_what_is_kept(tmp_path: Path) -> None:
    log = log_in(tmp_path, head=1 << 16, tail=1 << 16)
    chunk = b"y\n" * (1 << 15)
    for _ in range(500):
        log.write("out", chunk)
    assert sum(len(c) for c in log.out._tail) <= (1 << 16) + len(chunk)
    log.close()
    assert log.out.total == 500 << 16
    assert log.out.path.stat().st_size < (1 << 17) + 64


def test_no_tail_at_all(tmp_path: Path) -> None:
    log = log_in(tmp_path, head=4, tail=0)
    log.write("out", b"0123456789")
    log.close()
    assert log.out.content() == "0123\n[… 6 bytes left out …]\n".encode()


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_secret_never_gets_through_however_the_stream_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    secrets = ["opensesame", "open", "sesame-street", "äöü€", "opensesameopen"]
    pieces = data.draw(st.lists(st.sampled_from([*secrets, " ", "ope", "sesame", "\n", "xopen", "é"]), max_size=30))
    raw = "".join(pieces).encode()
    log = log_in(tmp_path_factory.mktemp("log"), *secrets)
    while raw:
        cut = data.draw(st.integers(1, min(len(raw), 12)))
        log.write("out", raw[:cut])
        raw = raw[cut:]
    log.close()
    assert not any(s.encode() in log.out.content() for s in secrets)


def test_what_is_not_secret_passes_unchanged_in_any_pieces(tmp_path: Path) -> None:
    text = ("nothing to hide here, opense same\n" * 50).encode()
    log = log_in(tmp_path, "opensesame")
    for i in range(len(text)):
        log.write("out", text[i : i + 1])
    log.close()
    assert log.out.content() == text


def test_a_stream_of_nothing_but_secrets_is_not_held_back_for_ever(tmp_path: Path) -> None:
    log = log_in(tmp_path, "aaaa", head=1 << 20)
    for _ in range(20):
        log.write("out", b"a" * 20_000)
    assert len(log.out._held) < 100_000
    log.close()
    assert b"aaaa" not in log.out.content()
    assert MASK.encode() in log.out.content()


def test_the_tail_is_whole_lines_and_characters_within_its_limit(tmp_path: Path) -> None:
    log = log_in(tmp_path, head=1 << 20)
    log.write("err", "".join(f"line {i} äöü\n" for i in range(2000)).encode())
    log.close()
    tail = log.tail(4096)
    assert len(tail.encode()) <= 4096
    assert tail.endswith("line 1999 äöü\n")
    assert tail.startswith("line ")
    log.out.write(b"\xff\x00")
    assert log.out.tail(100) == "\ufffd\ufffd"


def test_the_tail_of_a_failure_is_stderr_or_else_stdout(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.write("out", b"only this\n\n  \n")
    assert (log.tail(), log.path().suffix) == ("only this\n\n  \n", ".out")
    assert log.out.last_line() == "only this"
    log.write("err", b"and that")
    assert (log.tail(), log.path().suffix) == ("and that", ".err")
    log.close()


def test_a_planted_link_is_not_written_through_and_the_step_is_not_disturbed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "file.a-write_file.out").symlink_to(victim)
    log = log_in(folder)
    log.write("out", b"overwritten?")
    log.close()
    assert victim.read_text() == "precious"
    assert log.failure is not None
    assert log.out.content() == b"overwritten?"
