"""No byte of a pack is free: one changed byte anywhere, and it does not verify."""

from __future__ import annotations

import random

import pytest

from tests.conformance.packs import samples
from tests.conformance.packs.tamper import pack, verify

SAMPLED = 3_200


def survivors(data: bytes, places: list[int]) -> list[int]:
    out = []
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        if verify(bytes(changed), require="integrity").exit_code == 0:
            out.append(place)
    return out


def test_a_flip_at_thousands_of_places_is_detected() -> None:
    data = pack(samples.small_job()).data
    places = random.Random(20261122).sample(range(len(data)), SAMPLED)
    assert survivors(data, places) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_flip_at_every_place_is_detected() -> None:
    data = pack(samples.small_job()).data
    assert survivors(data, list(range(len(data)))) == []


def test_a_cut_or_a_repetition_at_any_place_is_detected() -> None:
    data = pack(samples.small_job()).data
    chosen = random.Random(7)
    for _ in range(200):
        length = chosen.randrange(1, 80)
        place = chosen.randrange(length, len(data) - length)
        assert verify(data[:place] + data[place + length :], require="integrity").exit_code == 2
        assert verify(data[:place] + data[place - length :], require="integrity").exit_code == 2
