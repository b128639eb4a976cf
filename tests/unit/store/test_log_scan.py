"""Every way a log can be damaged, and the verdict: only what a crash leaves behind counts as torn."""

from __future__ import annotations

import pytest

from clockwork_nb.jobs.events import encode_record
from clockwork_nb.ports import Draft
from clockwork_nb.store.log import MAX_TAIL, Watermark, check_limits, extend, scan
from clockwork_nb.testing import MemoryJob


def job_with(records: int, job_id: str = "job_memory") -> MemoryJob:
    job = MemoryJob(job_id)
    job.append([Draft("cell.started", {"cell": f"c{i} \u2028\u0085é", "index": i}) for i in range(records - 2)])
    return job


RECORDS = 12
JOB = job_with(RECORDS)
RAW = JOB.raw
ENDS = [0]
for _line in JOB.lines:
    ENDS.append(ENDS[-1] + len(_line))
MARK = Watermark(RECORDS, JOB.state.hash)


def test_a_whole_log_is_clean() -> None:
    found = scan(RAW, JOB.genesis, watermark=MARK)
    assert (found.verdict, found.offset, found.tail) == ("clean", len(RAW), b"")
    assert found.state == JOB.state
    assert found.events == JOB.events()


def test_an_empty_log_is_clean() -> None:
    assert scan(b"", JOB.genesis).verdict == "clean"


def test_a_cut_at_any_byte_leaves_the_records_before_it() -> None:
    for size in range(len(RAW)):
        found = scan(RAW[:size], JOB.genesis)
        whole = sum(1 for end in ENDS[1:] if end <= size)
        assert found.verdict == ("clean" if size in ENDS else "torn"), size
        assert len(found.events) == whole
        assert found.offset == ENDS[whole]
        assert found.tail == RAW[ENDS[whole] : size]


def test_a_cut_below_what_was_confirmed_is_noticed_at_any_byte() -> None:
    for size in range(len(RAW)):
        found = scan(RAW[:size], JOB.genesis, watermark=MARK)
        assert (found.verdict, found.reason) == ("corrupt", "acked_lost")


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_flipped_bit_is_never_silent(bit: int) -> None:
    torn = 0
    for position in range(len(RAW)):
        damaged = bytearray(RAW)
        damaged[position] ^= 1 << bit
        found = scan(bytes(damaged), JOB.genesis)
        assert found.verdict != "clean", position
        assert found.state.seq < RECORDS
        assert found.offset == max(end for end in ENDS if end <= position)
        if found.verdict == "torn":  # damage of the very last newline looks like an unfinished write
            torn += 1
            assert position == len(RAW) - 1
            assert scan(bytes(damaged), JOB.genesis, watermark=MARK).reason == "acked_lost"
    assert torn == 1


@pytest.mark.parametrize("index", [0, 1, 6, RECORDS - 2])
def test_a_deleted_line_is_corruption(index: int) -> None:
    lines = JOB.lines[:index] + JOB.lines[index + 1 :]
    found = scan(b"".join(lines), JOB.genesis)
    assert (found.verdict, found.reason, found.offset) == ("corrupt", "midfile", ENDS[index])


def test_the_last_line_can_be_deleted_unseen_only_without_a_watermark() -> None:
    assert scan(RAW[: ENDS[-2]], JOB.genesis).verdict == "clean"
    assert scan(RAW[: ENDS[-2]], JOB.genesis, watermark=MARK).reason == "acked_lost"


@pytest.mark.parametrize("index", [0, 5, RECORDS - 1])
def test_a_repeated_line_is_corruption(index: int) -> None:
    lines = JOB.lines[: index + 1] + JOB.lines[index:]
    found = scan(b"".join(lines), JOB.genesis)
    assert (found.verdict, found.reason) == ("corrupt", "midfile")


def test_swapped_lines_are_corruption() -> None:
    lines = [*JOB.lines]
    lines[4], lines[5] = lines[5], lines[4]
    assert scan(b"".join(lines), JOB.genesis).reason == "midfile"


def test_lines_of_another_job_do_not_fit() -> None:
    other = job_with(RECORDS, "job_other")
    for lines in ([*JOB.lines[:6], *other.lines[6:]], [*JOB.lines, other.lines[-1]], other.lines):
        assert scan(b"".join(lines), JOB.genesis).verdict == "corrupt"


def test_another_record_under_a_confirmed_number_is_a_fork() -> None:
    found = scan(RAW, JOB.genesis, watermark=Watermark(10, "0" * 64))
    assert (found.verdict, found.reason) == ("corrupt", "fork")


@pytest.mark.parametrize("zeros", [1, 10, 511, 512, 513, 4096])
def test_zeros_after_the_last_record_are_torn(zeros: int) -> None:
    found = scan(RAW + bytes(zeros), JOB.genesis, watermark=MARK)
    assert (found.verdict, found.offset) == ("torn", len(RAW))


def test_a_last_line_with_a_lost_sector_is_torn() -> None:
    job = job_with(RECORDS)
    while True:  # until the last line lies across the edge of a sector
        job.append([Draft("cell.started", {"cell": "more", "index": 0})])
        last = bytearray(job.lines[-1])
        start = len(job.raw) - len(last)
        edge = 512 - start % 512
        if 20 < edge < len(last) - 20:
            break
    for low, high, verdict in (
        (0, edge, "torn"),
        (edge, len(last), "torn"),
        (0, edge - 1, "corrupt"),  # less than the whole piece in its sector: no disk loses that
        (edge, len(last) - 1, "corrupt"),
    ):
        damaged = bytearray(last)
        damaged[low:high] = bytes(high - low)
        found = scan(job.raw[:start] + bytes(damaged), job.genesis)
        assert (found.verdict, found.offset) == (verdict, start), (low, high)


def test_a_complete_last_line_with_a_wrong_hash_is_never_cut() -> None:
    damaged = RAW[:-10] + b"x" + RAW[-9:]
    assert scan(damaged, JOB.genesis).reason == "bad_tail"
    assert scan(damaged + b'{"half', JOB.genesis).reason == "bad_tail"


@pytest.mark.parametrize(("size", "verdict"), [(MAX_TAIL - 1, "torn"), (MAX_TAIL, "torn"), (MAX_TAIL + 1, "corrupt")])
def test_a_tail_longer_than_an_append_is_corruption(size: int, verdict: str) -> None:
    found = scan(RAW + b"x" * size, JOB.genesis)
    assert found.verdict == verdict
    assert found.reason in {"no_newline", "tail_too_long"}


def test_a_record_that_contradicts_the_ones_before_is_corruption() -> None:
    state = JOB.state
    _, line = encode_record(
        seq=state.seq + 1,
        created_at="2026-11-22T01:02:03.000004Z",
        event_type="job.status",
        payload={"from": "paused", "to": "running"},
        epoch=1,
        prev=state.hash,
        job_id=JOB.job_id,
    )
    found = scan(RAW + line, JOB.genesis)
    assert (found.verdict, found.reason) == ("corrupt", "fold")
    assert "not paused" in found.problem


def test_separators_of_text_are_not_separators_of_records() -> None:
    assert "\u2028" in RAW.decode() and len(RAW.decode().splitlines()) > RECORDS
    assert len(scan(RAW, JOB.genesis).events) == RECORDS


def test_a_log_can_be_read_on_from_a_known_state() -> None:
    first = scan(RAW[: ENDS[7]], JOB.genesis)
    rest = extend(RAW[ENDS[7] :], first.state, base=ENDS[7], watermark=MARK)
    assert (rest.verdict, rest.offset) == ("clean", len(RAW))
    assert rest.state == JOB.state


@pytest.mark.parametrize(
    ("records", "size", "fits"),
    [
        (199_999, 1, True),
        (200_000, 1, True),
        (200_001, 1, False),
        (1, (64 << 20) - 1, True),
        (1, 64 << 20, True),
        (1, (64 << 20) + 1, False),
    ],
)
def test_the_limits_of_a_log(records: int, size: int, fits: bool) -> None:
    from clockwork_nb.errors import JobLimitError

    if fits:
        check_limits(records, size)
    else:
        with pytest.raises(JobLimitError) as caught:
            check_limits(records, size)
        assert caught.value.exit_code == 10
