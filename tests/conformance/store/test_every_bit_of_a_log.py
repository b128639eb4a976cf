"""Three bits of every byte of a log, and every line deleted, doubled, exchanged or spliced: all noticed (P5, P6)."""

from __future__ import annotations

import itertools
from pathlib import Path

from clockwork_nb.store.check import check_store
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.log import Watermark, scan
from clockwork_nb.testing import ManualClock
from tests.conformance.store.folders import Log, folder_of, log_of

LOG = log_of(8)


def verdicts(data: bytes, log: Log = LOG) -> tuple[str, str]:
    """Return the verdict of *data* with the last record confirmed, and without knowing of any."""
    return scan(data, log.genesis, watermark=log.mark).verdict, scan(data, log.genesis).verdict


def test_three_bit_flips_of_every_byte_are_all_noticed() -> None:
    torn = flips = 0
    for position, bit in itertools.product(range(len(LOG.data)), (0x01, 0x08, 0x80)):
        flipped = bytearray(LOG.data)
        flipped[position] ^= bit
        known, unknown = verdicts(bytes(flipped))
        assert known == "corrupt", position
        assert unknown != "clean", position
        torn += unknown == "torn"
        flips += 1
    assert flips == 3 * len(LOG.data) > 6_000
    # Only what happens to the very last newline can look like an unfinished write to somebody who knows nothing.
    assert torn == 3


def test_the_check_finds_a_flip_in_every_record(tmp_path: Path) -> None:
    whole = folder_of(LOG, tmp_path)
    start = 0
    for number, line in enumerate(LOG.lines, 1):
        flipped = bytearray(LOG.data)
        flipped[start + len(line) // 2] ^= 0x08
        home = tmp_path / str(number)
        whole.having(events_jsonl=bytes(flipped)).write(home)
        report = check_store(JobStore(home, tool_version="0.1.0", clock=ManualClock()), "job_a")
        first = report.findings[0]
        assert (first.severity, first.where, first.seq, first.offset) == ("error", "events.jsonl", number, start)
        assert first.action.startswith("clockwork store repair job_a --to-last-valid")
        start += len(line)


def test_every_flip_of_the_header_is_noticed(tmp_path: Path) -> None:
    from clockwork_nb.errors import StoreCorruptError

    header = folder_of(LOG, tmp_path).files["job.json"]
    folder = folder_of(LOG, tmp_path).write(tmp_path / "home")
    store = JobStore(tmp_path / "home", tool_version="0.1.0")
    for position in range(len(header)):
        flipped = bytearray(header)
        flipped[position] ^= 0x08
        (folder / "job.json").write_bytes(flipped)
        try:
            store.read("job_a")
        except StoreCorruptError as error:
            assert error.details["reason"] == "header"
        else:
            raise AssertionError(position)


def test_every_line_deleted_doubled_exchanged_or_spliced_is_noticed() -> None:
    lines = LOG.lines
    cases: list[list[bytes]] = []
    for at in range(len(lines)):
        cases.append([*lines[:at], *lines[at + 1 :]])
        cases += [[*lines[:to], lines[at], *lines[to:]] for to in range(len(lines) + 1)]
    for first, second in itertools.combinations(range(len(lines)), 2):
        swapped = list(lines)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        cases.append(swapped)
    # Of another job, and of another history under the same id, where only the chain tells them apart.
    for other in (log_of(8, job_id="job_b", name="another").lines, log_of(8, name="another").lines):
        for at in range(len(lines)):
            cases += [[*lines[:to], other[at], *lines[to:]] for to in range(len(lines) + 1)]
            cases.append([*lines[:at], other[at], *lines[at + 1 :]])
    assert len(cases) > 250
    for case in cases:
        known, unknown = verdicts(b"".join(case))
        assert known == "corrupt"
        assert unknown == ("clean" if case == lines[:-1] else "corrupt")  # a lost tail shows only to who knew of it


def test_a_cut_at_every_line_shows_when_the_last_record_was_confirmed() -> None:
    for count in range(len(LOG.lines)):
        found = scan(b"".join(LOG.lines[:count]), LOG.genesis, watermark=LOG.mark)
        assert (found.verdict, found.reason) == ("corrupt", "acked_lost")
        if count:
            exact = Watermark(count, LOG.events[count - 1].hash)
            assert scan(b"".join(LOG.lines[:count]), LOG.genesis, watermark=exact).verdict == "clean"
