"""Calendar events are judged as systemd judges them: what it takes is never refused, what we take is a time for it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from clockwork_nb.resources.schedule.calendar_events import calendar_problem

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")

ZONES = ["UTC", "utc", "Europe/Berlin", "Japan", " UTC"]


def takes(text: str) -> bool:
    command = ["systemd-analyze", "calendar", "--", text]
    done = subprocess.run(command, capture_output=True, check=False, timeout=20, text=True)
    note(f"{done.returncode}: {done.stdout}{done.stderr}")
    return done.returncode == 0


def numbers(high: int, *, fractions: bool = False) -> st.SearchStrategy[str]:
    plain = st.one_of(st.integers(0, high + 2).map(str), st.sampled_from(["0", "00", "07", str(high)]))
    if not fractions:
        return plain
    return st.tuples(plain, st.sampled_from(["", "", ".5", ".999999", ".9999999"])).map("".join)


def chains(high: int, *, fractions: bool = False) -> st.SearchStrategy[str]:
    number = numbers(high, fractions=fractions)
    item = st.one_of(
        number,
        st.tuples(number, number).map("..".join),
        st.tuples(number, number).map("/".join),
        st.tuples(number, number, number).map(lambda t: f"{t[0]}..{t[1]}/{t[2]}"),
    )
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=2).map(",".join))


# No words that are nothing: they could be names of time zones, which only the machine knows.
DAY = st.sampled_from(["Mon", "tue", "Wednesday", "FRI", "Sunday"])
DAYS = st.lists(
    st.one_of(DAY, st.tuples(DAY, DAY).map("..".join), st.tuples(DAY, DAY).map("-".join)), min_size=1, max_size=2
)
YEARS = st.one_of(st.just("*"), st.integers(0, 110).map(str), st.integers(1965, 2205).map(str), chains(2100))
DATES = st.one_of(
    st.tuples(YEARS, st.just("-"), chains(12), st.sampled_from("-~"), chains(31)).map("".join),
    st.tuples(chains(12), st.sampled_from("-~"), chains(31)).map("".join),
    chains(12),
    st.sampled_from(["@1", "@ 1", "@+1", "@ +1", "@+ 1", "@-1", "@-0", "@7258118399", "@7258118400", "@", "@ ", "@x"]),
)
TIMES = st.one_of(
    st.tuples(chains(23), chains(59)).map(":".join),
    st.tuples(chains(23), chains(59), chains(59, fractions=True)).map(":".join),
    st.sampled_from(["daily", "Weekly", "bi-annually", "3"]),
)
EVENTS = st.lists(st.one_of(DAYS.map(",".join), DATES, TIMES, st.sampled_from(ZONES)), min_size=1, max_size=4).map(
    " ".join
)
ORDERED = st.tuples(
    st.one_of(st.just(""), DAYS.map(",".join)), st.one_of(st.just(""), DATES), st.one_of(st.just(""), TIMES),
    st.one_of(st.just(""), st.sampled_from(ZONES)),
).map(lambda parts: " ".join(part for part in parts if part))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(ORDERED, EVENTS))
def test_nothing_that_systemd_takes_is_refused(text: str) -> None:
    assume(text)
    if calendar_problem(text):
        assert not takes(text)


@settings(max_examples=150, deadline=None)
@given(st.one_of(ORDERED, EVENTS))
def test_nothing_that_systemd_refuses_is_taken(text: str) -> None:
    assume(text)
    if not calendar_problem(text):
        assert takes(text)
