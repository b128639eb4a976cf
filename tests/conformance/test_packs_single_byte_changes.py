"""No byte of a pack is free: one changed byte anywhere, and it does not verify."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

import pytest

from tests.conformance.packs import samples
from tests.conformance.packs.samples import Job
from tests.conformance.packs.tamper import pack, unpack, verify

SAMPLED: Final = 800


def published() -> Job:
    """Return a job that published files, one of which is too large for its pack."""
    job = samples.open_job(job_id="job_published", name="published")
    for size in (3, 300):
        job.add("artifact.published", path=f"data/{size}", op="added", blob=job.blob(b"z" * size))
    samples.close_job(job)
    return job


def running() -> Job:
    job = samples.open_job(job_id="job_running", name="running")
    samples.apply_section(job, 1, samples.STEPS[:2], serial=0)
    return job


def failed() -> Job:
    job = samples.open_job(job_id="job_failed", name="failed")
    samples.apply_section(job, 1, (samples.Step("file.a", "write_file", b"half", fails=3),), serial=0)
    samples.close_job(job, "canceled")
    return job


PACKS: Final[dict[str, Callable[[], bytes]]] = {
    "small": lambda: pack(samples.small_job()).data,
    "whole": lambda: pack(samples.sample_job()).data,
    "unsigned": lambda: pack(samples.sample_job(), key=None).data,
    "running": lambda: pack(running()).data,
    "failed": lambda: pack(failed()).data,
    "published": lambda: pack(published(), most=100).data,
}


def survivors(data: bytes, places: Iterable[int]) -> list[int]:
    """Return the places at which a changed bit goes unnoticed."""
    out = []
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        if verify(bytes(changed), require="integrity").exit_code == 0:
            out.append(place)
    return out


@pytest.mark.parametrize("name", sorted(PACKS))
def test_a_flip_at_hundreds_of_places_is_detected(name: str) -> None:
    data = PACKS[name]()
    assert verify(data, require="integrity").exit_code == 0
    assert survivors(data, random.Random(20261122).sample(range(len(data)), SAMPLED)) == []


def headers_of(data: bytes) -> list[int]:
    """Return every place of *data* that is not content of an entry."""
    covered = bytearray(len(data))
    for content in unpack(data).values():
        start = data.find(content) if content else -1
        if start >= 0:
            covered[start : start + len(content)] = b"x" * len(content)
    return [place for place, mark in enumerate(covered) if not mark]


def test_a_flip_at_every_place_between_the_contents_is_detected() -> None:
    data = pack(samples.small_job()).data
    places = headers_of(data)
    assert len(places) > 2_000
    assert survivors(data, places) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(PACKS))
def test_a_flip_at_every_place_is_detected(name: str) -> None:
    data = PACKS[name]()
    assert survivors(data, range(len(data))) == []


def test_a_cut_or_a_repetition_at_any_place_is_detected() -> None:
    data = pack(samples.small_job()).data
    chosen = random.Random(7)
    for _ in range(200):
        length = chosen.randrange(1, 80)
        place = chosen.randrange(length, len(data) - length)
        assert verify(data[:place] + data[place + length :], require="integrity").exit_code == 2
        assert verify(data[:place] + data[place - length :], require="integrity").exit_code == 2
