"""The service's log and the restart rules, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.forge.supervisor import Log, restart_delay, restart_wanted, start_time


def test_the_log_turns_over_and_keeps_one_older_file(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "out.log"), [], limit=100)
    for n in range(30):
        log.add(b"%09d\n" % n)
    assert (tmp_path / "out.log").stat().st_size == 100
    assert (tmp_path / "out.log.1").stat().st_size == 100
    kept = (tmp_path / "out.log.1").read_text() + (tmp_path / "out.log").read_text()
    assert [int(line) for line in kept.split()] == list(range(10, 30))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.log", "out.log.1"]


def test_one_large_chunk_does_not_pass_the_limit(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "out.log"), [], limit=100)
    log.add(bytes(range(256)) * 2)
    assert (tmp_path / "out.log").stat().st_size <= 100
    assert (tmp_path / "out.log.1").stat().st_size == 100


def test_an_existing_log_is_continued(tmp_path: Path) -> None:
    (tmp_path / "out.log").write_text("before\n")
    Log(str(tmp_path / "out.log"), []).add(b"after\n")
    assert (tmp_path / "out.log").read_text() == "before\nafter\n"


@pytest.mark.parametrize("cut", range(1, 10))
def test_a_secret_is_masked_wherever_the_chunk_ends(tmp_path: Path, cut: int) -> None:
    log = Log(str(tmp_path / "out.log"), [b"secretword", b"secr", b"abcd"])
    text = b"a secretword b"
    log.add(text[:cut])
    log.add(text[cut:])
    log.flush()
    assert (tmp_path / "out.log").read_bytes() == b"a (sensitive) b"


def test_secrets_that_overlap_across_the_border_are_masked(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "out.log"), [b"xsec", b"secretword"])
    log.add(b"a xsec")  # ends like the beginning of the second one
    log.add(b"ond b")
    log.flush()
    assert (tmp_path / "out.log").read_bytes() == b"a (sensitive)ond b"


def test_only_what_may_begin_a_secret_is_held_back(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "out.log"), [b"secretword"])
    log.add(b"plain text se")
    assert (tmp_path / "out.log").read_bytes() == b"plain text "
    log.add(b"lf")
    assert (tmp_path / "out.log").read_bytes() == b"plain text self"


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out.log").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"out\.log"):
        Log(str(tmp_path / "out.log"), [])
    assert not (tmp_path / "victim").exists()


def test_restarts_come_later_and_later_up_to_a_minute() -> None:
    delays = [restart_delay(n) for n in range(20)]
    assert delays == sorted(delays)
    assert delays[0] == 0.1
    assert delays[-1] == restart_delay(10**6) == 60.0


@pytest.mark.parametrize(
    ("policy", "failed", "failures", "wanted"),
    [
        ("no", True, 0, False),
        ("always", False, 99, True),
        ("unless-stopped", True, 99, True),
        ("on-failure", False, 0, False),
        ("on-failure", True, 99, True),
        ("on-failure:2", True, 1, True),
        ("on-failure:2", True, 2, False),
    ],
)
def test_restart_policies(policy: str, failed: bool, failures: int, wanted: bool) -> None:
    assert restart_wanted(policy, failed, failures) is wanted


def test_a_process_that_is_not_there_has_no_start_time() -> None:
    assert start_time(2**22 + 1) == 0
