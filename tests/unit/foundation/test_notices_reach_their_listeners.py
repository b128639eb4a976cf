"""Warnings of the house: to a listener, to a program's own logging, and otherwise to nobody."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from clockwork_nb.notices import log, told_to


def test_a_listener_gets_the_text_while_it_listens() -> None:
    told: list[str] = []
    with told_to(told.append):
        log("clockwork_nb.room").warning("the disk %s is slow", "sda")
        log("clockwork_nb.room").info("nothing to see")
    log("clockwork_nb.room").warning("too late")
    assert told == ["the disk sda is slow"]


def test_every_listener_is_told_once() -> None:
    first: list[str] = []
    second: list[str] = []
    with told_to(first.append):
        with told_to(second.append):
            log("clockwork_nb.a").warning("both")
        log("clockwork_nb.b").warning("one")
    assert (first, second) == (["both", "one"], ["both"])


def test_a_listener_that_fails_in_its_block_is_taken_away() -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match="stop"), told_to(told.append):
        raise ValueError("stop")
    log("clockwork_nb.room").warning("nobody")
    assert told == []


def test_a_program_sees_them_in_its_own_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        log("clockwork_nb.room").warning("seen")
    assert [(r.name, r.getMessage()) for r in caplog.records] == [("clockwork_nb.room", "seen")]


def test_nothing_is_printed_where_nobody_set_up_logging() -> None:
    code = "from clockwork_nb.notices import log; log('clockwork_nb.room').warning('unasked')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
