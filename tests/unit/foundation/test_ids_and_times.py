"""Addresses, slugs, job ids and time stamps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.clock import rfc3339, rfc3339_short
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import check_job_id, new_job_id, slug, valid_address


@given(st.text(min_size=1, max_size=200))
def test_slug_is_a_plain_file_name(address: str) -> None:
    name = slug(address)
    assert name.isascii()
    assert 0 < len(name) <= 100
    assert not set(name) & set('/\\:*?"<>| \0')
    assert name not in {".", ".."}


@given(st.text(max_size=40), st.text(max_size=40))
def test_different_addresses_have_different_slugs(a: str, b: str) -> None:
    if a != b and a and b:
        assert slug(a) != slug(b)


def test_job_ids_sort_by_time_and_are_valid() -> None:
    early = new_job_id(now_ms=1_000, randomness=b"\xff" * 10)
    late = new_job_id(now_ms=2_000, randomness=b"\x00" * 10)
    assert early < late
    assert check_job_id(early) == early
    assert len(early) == 30


@pytest.mark.parametrize("bad", ["", "A", "../x", "a/b", "x" * 65, "nul", "con.txt", "a.", "é", "-a"])
def test_bad_job_ids_are_refused(bad: str) -> None:
    with pytest.raises(InvalidInputError):
        check_job_id(bad)


def test_addresses() -> None:
    assert valid_address("service.web")
    assert valid_address('file.page["a/b"]')
    assert valid_address("file.page[0]")
    assert not valid_address("service")
    assert not valid_address("service.web.url")


def test_stamps() -> None:
    stamp = rfc3339(datetime(2026, 11, 22, 1, 2, 3, 870_000, tzinfo=UTC))
    assert stamp == "2026-11-22T01:02:03.870000Z"
    assert rfc3339_short(stamp) == "2026-11-22T01:02:03.87Z"
