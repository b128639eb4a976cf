"""Look at every resource of a configuration at once: one call, read-only, in parallel, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.errors import ClockworkError
from clockwork_nb.ports import Observation, ObserveContext, ResourceType
from clockwork_nb.session.path_makers import PathMakers

if TYPE_CHECKING:
    from clockwork_nb.assembly.prior import PriorState
    from clockwork_nb.intake.desired import Desired
    from clockwork_nb.ports import Registry
    from clockwork_nb.workspace import Workspace

__all__ = ["OBSERVE_TIMEOUT_S", "Look", "looks_at", "observe"]

OBSERVE_TIMEOUT_S: Final = 10.0
"""How long one resource may be looked at."""

_GRACE_S: Final = 5.0
"""How much longer than it was told to a type may take, before it is given up."""

_OBSERVERS: Final = 8
_POLL_S: Final = 0.25
_SLOW_S: Final = 0.02
"""After so long in one look the others go on without that thread: more of them are started. Most looks take a thousandth of
that, and threads that all have something to do only keep each other waiting for the interpreter."""


class Look(Struct, frozen=True):
    """One thing to look at: its type, the config to look with, and what was found out when it was applied."""

    kind: ResourceType
    config: Mapping[str, Any]
    identity: Mapping[str, Any] | None
    context: ObserveContext


def observe(
    looks: Mapping[str, Look], *, workers: int = _OBSERVERS, grace_s: float = _GRACE_S
) -> dict[str, Observation]:
    """Return what is there for each address of *looks*, sorted by address.

    What cannot be told, because looking failed or took longer than its context allows, has ``exists`` None and says why.

    Args:
        workers: how many are looked at at once, at most.
        grace_s: seconds beyond the context's own time after which a look is given up.
    """
    todo = sorted(looks.items())
    if len(todo) <= 1:
        workers = 1
    round_ = _Round(iter(todo), len(todo), grace_s, min(workers, len(todo)))
    round_.start(1)
    found = round_.wait()
    return {address: found[address] for address, _ in todo}


class _Round:
    """Threads that each take the next look; one that hangs is left behind and another takes its place."""

    def __init__(self, todo: Iterator[tuple[str, Look]], count: int, grace_s: float, workers: int) -> None:
        self._todo = todo
        self._left = count
        self._grace_s = grace_s
        self._workers = workers
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._found: dict[str, Observation] = {}
        self._failed: BaseException | None = None
        self._busy: dict[threading.Thread, tuple[str, Look, float]] = {}

    def start(self, count: int) -> None:
        for _ in range(count):
            # A thread that hangs in the kernel must not keep the process from ending.
            threading.Thread(target=self._work, name="observe", daemon=True).start()

    def wait(self) -> dict[str, Observation]:
        while self._left and self._failed is None:
            self._changed.wait(_SLOW_S if len(self._busy) < self._workers else _POLL_S)
            self._changed.clear()
            self._give_up_late_ones()
            self._start_more()
        if self._failed is not None:
            raise self._failed
        return self._found

    def _give_up_late_ones(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [
                t for t, (_, look, since) in self._busy.items() if now - since > look.context.timeout_s + self._grace_s
            ]
            for thread in late:
                address, _, since = self._busy.pop(thread)
                self._found[address] = Observation(None, detail=f"looking took longer than {now - since:.0f} s")
                self._left -= 1
        self.start(len(late))

    def _start_more(self) -> None:
        """Start as many threads again as there are, up to the most, when all of them are in a look that takes long."""
        slow = time.monotonic() - _SLOW_S
        with self._lock:
            count = len(self._busy)
            moving = any(since > slow for _, _, since in self._busy.values())
        if count and not moving:
            self.start(min(count, self._workers - count))

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._lock:
                item = next(self._todo, None) if self._failed is None else None
                if item is None:
                    return
                self._busy[me] = (*item, time.monotonic())
            try:
                seen = _looked(item[1])
            except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
                with self._lock:
                    if self._busy.pop(me, None) is not None:  # nobody waits for one that was given up
                        self._failed = self._failed or error
                        self._changed.set()
                return
            with self._lock:
                if self._busy.pop(me, None) is None:
                    return  # given up: another thread has taken over
                self._found[item[0]] = seen
                self._left -= 1
                if not self._left:
                    self._changed.set()


def _looked(look: Look) -> Observation:
    try:
        return look.kind.observe(look.config, look.identity, look.context)
    except (OSError, ClockworkError) as error:
        return Observation(None, detail=f"it cannot be looked at: {error}")


def looks_at(
    desired: Desired | None,
    prior: PriorState,
    types: Registry,
    workspace: Workspace,
    *,
    allow: Collection[str] = (),
    destroy: bool = False,
    anew: Collection[str] = (),
) -> dict[str, Look]:
    """Return what to look at: every recorded resource where it was recorded, and every other wanted one where it would be.

    A resource whose type is not installed is left out.

    Args:
        desired: what is wanted; None when only what is recorded is of interest.
        allow: what may run for it, see `clockwork_nb.ports.ObserveContext`.
        destroy: whether everything is about to be removed.
        anew: addresses that are asked to be made anew.
    """
    wanted = desired.resources if desired is not None else {}
    allowed = frozenset(allow)
    makers = PathMakers(wanted, types)
    looks = {}
    for address in {*wanted, *prior.resources}:
        recorded, instance = prior.resources.get(address), wanted.get(address)
        kind = types.get(recorded.type if recorded is not None else address.partition(".")[0])
        if kind is None:
            continue
        context = ObserveContext(
            workspace.root,
            workspace.folder,
            address,
            allowed,
            getattr(kind, "observe_timeout_s", OBSERVE_TIMEOUT_S),
            wanted=instance.config if instance is not None else None,
            asked="removed" if destroy or instance is None else "anew" if address in anew else "",
            made_later=partial(makers.makes, besides=address),
        )
        if recorded is not None:
            looks[address] = Look(kind, recorded.config, recorded.identity, context)
        elif instance is not None:
            looks[address] = Look(kind, instance.config, None, context)
    return looks
