"""A whole configuration is looked at in one call: all of it, in order, in parallel, and nobody waits for ever."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError, StoreIOError
from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.session.observing import Look, observe


class Seen:
    """A type whose ``observe`` is a function of the address."""

    def __init__(self, look: Callable[[str], Observation]) -> None:
        self._look = look

    def observe(self, config: Any, recorded: Any, context: ObserveContext) -> Observation:
        return self._look(context.address)


def looks(look: Callable[[str], Observation], *names: str, timeout_s: float = 30) -> dict[str, Look]:
    kind: Any = Seen(look)
    here = Path(".")
    return {n: Look(kind, {}, None, ObserveContext(here, here, n, timeout_s=timeout_s)) for n in names}


@pytest.fixture
def released() -> Any:
    """An event that is set in the end, so that no thread hangs longer than its test."""
    event = threading.Event()
    yield event
    event.set()


def test_nothing_to_look_at_is_an_empty_answer() -> None:
    assert observe({}) == {}


def test_answers_are_sorted_and_belong_to_their_address() -> None:
    names = [f"a{i:04}" for i in range(3000)]
    found = observe(looks(lambda name: Observation(True, {"name": name}), *reversed(names)))
    assert list(found) == names
    assert all(found[n].attributes["name"] == n for n in names)


def test_several_are_looked_at_at_once_and_never_more_than_asked_for() -> None:
    together = threading.Barrier(3, timeout=20)
    running: list[str] = []
    most: list[int] = []
    lock = threading.Lock()

    def look(name: str) -> Observation:
        with lock:
            running.append(name)
            most.append(len(running))
        together.wait()  # passes only when three are here at the same moment
        with lock:
            running.remove(name)
        return Observation(True)

    assert len(observe(looks(look, *"abcdef"), workers=3)) == 6
    assert max(most) == 3


def test_what_hangs_is_given_up_and_the_others_are_all_seen(released: threading.Event) -> None:
    def look(name: str) -> Observation:
        if name.startswith("hang"):
            released.wait(60)
        return Observation(True)

    names = ["hang1", "hang2", *(f"z{i}" for i in range(20))]
    found = observe(looks(look, *names, timeout_s=0.1), workers=2, grace_s=0.1)
    assert sorted(found) == sorted(names)
    assert all(found[n].exists is True for n in names if n.startswith("z"))
    for name in ("hang1", "hang2"):
        assert found[name].exists is None and found[name].detail.startswith("looking took longer than")


def test_each_type_has_its_own_time(released: threading.Event) -> None:
    def look(name: str) -> Observation:
        if name == "quick":
            released.wait(60)
        else:
            gone.wait(60)
        return Observation(True)

    gone = threading.Event()
    slow = looks(look, "slow", timeout_s=60)
    quick = looks(look, "quick", timeout_s=0.05)
    threading.Timer(1.5, gone.set).start()
    found = observe({**slow, **quick}, workers=2, grace_s=0.05)
    assert found["quick"].exists is None and found["slow"].exists is True


@pytest.mark.parametrize("error", [OSError("no way in"), StoreIOError("no way in"), InvalidInputError("no way in")])
def test_what_cannot_be_looked_at_is_unclear_and_the_others_are_seen(error: Exception) -> None:
    def look(name: str) -> Observation:
        if name == "b":
            raise error
        return Observation(True)

    found = observe(looks(look, "a", "b", "c"))
    assert found["b"].exists is None and "no way in" in found["b"].detail
    assert found["a"].exists is True and found["c"].exists is True


@pytest.mark.parametrize("round_", range(20))
def test_a_defect_is_raised_where_somebody_waits_whatever_the_others_do(round_: int) -> None:
    """All fail at the same moment: none of them may make the others be waited for."""
    together = threading.Barrier(4, timeout=20)

    def look(name: str) -> Observation:
        together.wait()
        if name in {"a", "b"}:
            raise ZeroDivisionError(name)
        return Observation(True)

    with pytest.raises(ZeroDivisionError):
        observe(looks(look, *"abcd"), workers=4)


def test_after_a_defect_nothing_more_is_looked_at() -> None:
    seen: list[str] = []

    def look(name: str) -> Observation:
        seen.append(name)
        raise KeyError(name)

    with pytest.raises(KeyError):
        observe(looks(look, *(f"n{i:03}" for i in range(200))), workers=1)
    assert seen == ["n000"]


def test_a_defect_of_one_that_was_given_up_is_nobodys_business(released: threading.Event) -> None:
    failed = threading.Event()

    def look(name: str) -> Observation:
        if name == "late":
            released.wait(60)
            failed.set()
            raise ZeroDivisionError
        released.set()  # the first one was given up, otherwise nobody would look at this
        assert failed.wait(20)
        return Observation(True)

    both = {**looks(look, "late", timeout_s=0.1), **looks(look, "next", timeout_s=60)}
    found = observe(both, workers=1, grace_s=0.1)
    assert found["late"].exists is None and found["next"].exists is True


def test_what_was_given_up_does_not_change_the_answer_later(released: threading.Event) -> None:
    done = threading.Event()

    def look(name: str) -> Observation:
        released.wait(60)
        done.set()
        return Observation(True)

    found = observe(looks(look, "a", timeout_s=0.05), grace_s=0.05)
    released.set()
    assert done.wait(20) and found["a"].exists is None


def test_a_thread_that_hangs_does_not_keep_the_process_alive() -> None:
    text = (
        "import threading\n"
        "from pathlib import Path\n"
        "from clockwork_nb.ports import ObserveContext\n"
        "from clockwork_nb.session.observing import Look, observe\n"
        "class Hangs:\n"
        "    def observe(self, config, recorded, context): threading.Event().wait()\n"
        "here = Path('.')\n"
        "found = observe({'a': Look(Hangs(), {}, None, ObserveContext(here, here, 'a', timeout_s=0.1))}, grace_s=0.1)\n"
        "print(found['a'].exists, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
