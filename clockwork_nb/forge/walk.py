"""Walk a graph of steps with a few threads: what is ready starts, what failed takes its dependents with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct, field

from clockwork_nb.errors import InvalidInputError

__all__ = ["Skip", "WalkResult", "walk"]


class Skip(Struct, frozen=True):
    """A node that will not run, and the failed node that is the cause."""

    node: str
    cause: str


class WalkResult(Struct):
    """How the nodes ended, each list in the order it happened.

    ``waiting`` are those that were not started because the walk was stopped. ``interrupted`` says that the person
    stopped it (SIGINT). A node whose *run* was stopped is in none of them.
    """

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    interrupted: bool = False


def walk(
    nodes: Sequence[str],
    needs: Mapping[str, Collection[str]],
    run: Callable[[str], bool | None],
    *,
    parallelism: int,
    stop: Callable[[], bool],
    done: Collection[str] = (),
    on_skip: Callable[[Sequence[Skip]], None] = lambda skips: None,
    on_interrupt: Callable[[], None] = lambda: None,
) -> WalkResult:
    """Run every node once, after what it needs; return how each ended. Blocking; linear in nodes and needs.

    Among ready nodes the one that is first in *nodes* starts first. When *run* returns False, all that needs the node,
    directly or not, is skipped; the rest goes on. Ctrl-C ends the walk like *stop*: running nodes are waited for.

    Args:
        needs: node → nodes it needs; those in *done* count as finished, names outside *nodes* and *done* are refused.
        run: carries a node out, in one of *parallelism* threads; True when it succeeded, None when it was stopped:
            then what needs it is left waiting instead of skipped.
        stop: asked before each start; once True, nothing more starts.
        on_skip: told which nodes were skipped, in one call a failure, from the thread that saw it.
        on_interrupt: called once, from the main thread, at the first Ctrl-C; it should make *run* return soon.

    Raises:
        InvalidInputError: the needs have a cycle or name an unknown node.
        Exception: whatever *run* or *on_skip* raised first; running nodes have ended by then.
    """
    state = _Walk(nodes, needs, run, stop, set(done), on_skip)
    threads = [
        threading.Thread(target=state.work, name=f"step-{i + 1}", daemon=True)
        for i in range(min(max(1, parallelism), len(state.remaining) or 1))
    ]
    over = False
    while not over:
        try:
            for thread in threads:
                if thread.ident is None:
                    thread.start()
            state.finished.wait()
            for thread in threads:
                thread.join()
            over = True
        except KeyboardInterrupt:
            first, state.result.interrupted = not state.result.interrupted, True
            if first:
                on_interrupt()
    if state.error is not None:
        raise state.error
    state.result.waiting = [n for n in state.order if n in state.remaining]
    return state.result


class _Walk:
    """The shared state of a walk. Everything below ``lock``; ``remaining`` are nodes not started and not skipped."""

    def __init__(
        self,
        nodes: Sequence[str],
        needs: Mapping[str, Collection[str]],
        run: Callable[[str], bool | None],
        stop: Callable[[], bool],
        done: set[str],
        on_skip: Callable[[Sequence[Skip]], None],
    ) -> None:
        self.run, self.stop, self.on_skip = run, stop, on_skip
        self.result = WalkResult()
        self.error: BaseException | None = None
        self.finished = threading.Event()
        self.lock = threading.Condition()
        self.order = [n for n in nodes if n not in done]
        self.index = {n: i for i, n in enumerate(self.order)}
        self.remaining = set(self.order)
        self.dependents: dict[str, list[str]] = {}
        self.open_needs: dict[str, int] = {}
        for node in self.order:
            wanted = {n for n in needs.get(node, ()) if n not in done}
            for need in wanted:
                if need not in self.index:
                    raise InvalidInputError(f"{node} needs {need}, which is no step of this plan")
                self.dependents.setdefault(need, []).append(node)
            self.open_needs[node] = len(wanted)
        self._check_acyclic()
        self.ready = [self.index[n] for n in self.order if not self.open_needs[n]]
        heapify(self.ready)
        self.running = 0
        if not self.order:
            self.finished.set()

    def _check_acyclic(self) -> None:
        open_needs = dict(self.open_needs)
        free = [n for n in self.order if not open_needs[n]]
        seen = 0
        while free:
            node = free.pop()
            seen += 1
            for dependent in self.dependents.get(node, ()):
                open_needs[dependent] -= 1
                if not open_needs[dependent]:
                    free.append(dependent)
        if seen != len(self.order):
            stuck = [n for n in self.order if open_needs[n]]
            raise InvalidInputError(f"{len(stuck)} steps need each other in a circle, among them {stuck[0]}")

    def work(self) -> None:
        while True:
            with self.lock:
                node = self._next()
            if node is None:
                return
            ok: bool | None = None
            try:
                ok = self.run(node)
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                self._abort(error)
            with self.lock:
                skips = self._settle(node, ok)
            if skips:
                try:
                    self.on_skip(skips)
                except BaseException as error:  # noqa: BLE001 - as above
                    self._abort(error)
            with self.lock:
                self.running -= 1
                self._finish_if_over()
                self.lock.notify_all()

    def _next(self) -> str | None:
        while True:
            over = self.error is not None or self.result.interrupted or not self.remaining
            if over or (self.ready and self.stop()):
                self.ready.clear()
                self._finish_if_over()
                self.lock.notify_all()
                return None
            if self.ready:
                node = self.order[heappop(self.ready)]
                self.remaining.discard(node)
                self.running += 1
                return node
            if not self.running:  # stopped by another thread: what remains will not become ready
                self._finish_if_over()
                return None
            self.lock.wait()

    def _settle(self, node: str, ok: bool | None) -> list[Skip]:
        if self.error is not None or ok is None:
            return []
        if ok:
            self.result.done.append(node)
            for dependent in self.dependents.get(node, ()):
                self.open_needs[dependent] -= 1
                if not self.open_needs[dependent] and dependent in self.remaining:
                    heappush(self.ready, self.index[dependent])
            return []
        self.result.failed.append(node)
        hit = []
        stack = [node]
        while stack:
            for dependent in self.dependents.get(stack.pop(), ()):
                if dependent in self.remaining:
                    self.remaining.discard(dependent)
                    hit.append(dependent)
                    stack.append(dependent)
        skips = [Skip(n, node) for n in sorted(hit, key=self.index.__getitem__)]
        self.result.skipped += skips
        return skips

    def _abort(self, error: BaseException) -> None:
        with self.lock:
            if self.error is None:
                self.error = error

    def _finish_if_over(self) -> None:
        if not self.running and not self.ready:
            self.finished.set()
