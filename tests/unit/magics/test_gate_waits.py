"""The gate: who answers first counts, a thread is never left behind, and Stop is clean."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from clockwork_nb.errors import ApprovalDeniedError, ApprovalRequiredError, InterruptedByUserError
from clockwork_nb.magics._gate import Answer, decide, off_loop


class Record:
    """The decision part of a section, kept in memory."""

    def __init__(self) -> None:
        self.found: dict[str, str] | None = None
        self.canceled = ""
        self.asked = 0

    def decision(self) -> dict[str, str] | None:
        return self.found

    def decide(self, decision: str, *, via: str, reason: str = "") -> None:
        if self.found is None:
            self.found = {"decision": decision, "by": "ops", "via": via, "reason": reason}

    def cancel(self, reason: str) -> None:
        self.canceled = reason

    def reject(self) -> NoReturn:
        raise ApprovalDeniedError("refused")

    def suspend(self) -> NoReturn:
        raise ApprovalRequiredError("nobody is here")


class Clicks:
    """Answers from another thread after the question was put."""

    def __init__(self, *answers: Answer, before: Callable[[], None] = lambda: None) -> None:
        self.answers = answers
        self.before = before

    def ask(self, answer: Callable[[Answer], None]) -> None:
        def click() -> None:
            self.before()
            for item in self.answers:
                answer(item)

        threading.Thread(target=click).start()


def run(record: Record, asker: Any) -> Any:
    return asyncio.run(decide(record, asker))  # type: ignore[arg-type]


def test_a_click_is_recorded_and_returned() -> None:
    record = Record()
    assert run(record, Clicks(("granted", "button", "ok"))) == record.found
    assert record.found == {"decision": "granted", "by": "ops", "via": "button", "reason": "ok"}


def test_the_first_of_two_clicks_counts() -> None:
    record = Record()
    run(record, Clicks(("granted", "button", "first"), ("denied", "button", "second")))
    assert record.found is not None
    assert record.found["reason"] == "first"


def test_a_record_from_elsewhere_beats_a_click_that_comes_later() -> None:
    record = Record()
    asker = Clicks(("denied", "button", "late"), before=lambda: record.decide("granted", via="cli", reason="early"))
    assert run(record, asker)["reason"] == "early"


def test_a_record_alone_is_enough() -> None:
    record = Record()

    async def both() -> Any:
        asyncio.get_running_loop().call_later(0.05, lambda: record.decide("granted", via="cli"))
        return await decide(record, Clicks())  # type: ignore[arg-type]

    assert asyncio.run(both())["via"] == "cli"


def test_a_no_is_an_error() -> None:
    with pytest.raises(ApprovalDeniedError):
        run(Record(), Clicks(("denied", "button", "")))


def test_nobody_to_ask_suspends_unless_it_is_decided() -> None:
    with pytest.raises(ApprovalRequiredError, match="nobody is here"):
        run(Record(), None)
    record = Record()
    record.decide("granted", via="auto")
    assert run(record, None)["via"] == "auto"


def test_stop_while_waiting_cancels_the_section() -> None:
    record = Record()

    async def stopped() -> None:
        task = asyncio.ensure_future(decide(record, Clicks()))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    with pytest.raises(InterruptedByUserError, match="nothing was run"):
        asyncio.run(stopped())
    assert record.canceled == "stopped while waiting for approval"


def test_ctrl_c_at_a_prompt_cancels_the_section() -> None:
    class Prompt:
        def ask(self, answer: Callable[[Answer], None]) -> None:
            raise KeyboardInterrupt

    record = Record()
    with pytest.raises(InterruptedByUserError):
        run(record, Prompt())
    assert record.canceled


def test_stop_waits_for_the_thread_and_tells_it() -> None:
    stop, ended = threading.Event(), threading.Event()

    def work() -> str:
        stop.wait(10)
        ended.set()
        return "done"

    async def stopped() -> None:
        task = asyncio.ensure_future(off_loop(work, on_stop=stop.set))
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    assert ended.is_set()


def test_what_the_thread_raises_comes_out() -> None:
    def work() -> None:
        raise ApprovalRequiredError("from the thread")

    with pytest.raises(ApprovalRequiredError, match="from the thread"):
        asyncio.run(off_loop(work))
