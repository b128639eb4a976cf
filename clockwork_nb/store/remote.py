"""A job owned by one process and written to by another, over a private unix socket.

The engine of a notebook run owns the log; the kernel is the other end. A message is two lengths, a JSON header and a
binary body. An append is answered when it is durable. Losing the connection means losing the job: the kernel must stop
what it runs, because the owner may be gone and another may have begun.

Both ends belong to one user, and check that of each other; what comes over the socket is checked like any draft.

An engine that is stopped (SIGSTOP) or hangs says nothing, and need not be gone. So the kernel asks whether to go on with
little patience for one answer, and takes the job for lost after half of the lease's ttl without any: the engine, when it
wakes, has given it up by then too, and nobody else can have taken it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from clockwork_nb import errors
from clockwork_nb.canonical import parse_json
from clockwork_nb.clock import Clock, SystemClock
from clockwork_nb.errors import ClockworkError, InvalidInputError, LeaseLostError, StoreIOError
from clockwork_nb.jobs.events import Event, encode_plain, parse_genesis
from clockwork_nb.jobs.state import evolve, initial_state
from clockwork_nb.ports import Draft
from clockwork_nb.store.handle import JobHandle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from clockwork_nb.jobs.model import JobState

__all__ = ["JobServer", "RemoteJob"]

_LENGTHS: Final = struct.Struct("!II")
_MAX_HEADER: Final = 8 << 20
_MAX_BODY: Final = 256 << 20
_PAGE: Final = 2_000  # events in one answer
_TOGETHER: Final = 256  # blobs in one question
_TOGETHER_BYTES: Final = 32 << 20
_LOOK_S: Final = 0.2
_ANSWER_S: Final = 60.0
_PATIENCE_S: Final = 1.0  # for the answer whether to stop, which is asked again
_BACKLOG: Final = 128
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)


class _GoneError(Exception):
    """The other end is not there any more, or does not speak our language."""


class _SilentError(Exception):
    """The other end is there, and did not answer in time."""


class JobServer:
    """The owner's end: answers `RemoteJob` on *path* until it is closed. Usable as a context manager.

    Making one binds the socket (0600; the folder must be the user's own) and starts a thread.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: the path is too long for a socket.
        StoreIOError: E_STORE_IO: the socket cannot be made.
    """

    def __init__(self, handle: JobHandle, path: Path) -> None:
        self._handle = handle
        self.path = path
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listener = _listen(path)
        self._thread = threading.Thread(target=self._accept, name=f"clockwork-serve-{handle.job_id}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering; the other ends see the job as lost. The handle stays open."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            connections = list(self._open)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        with contextlib.suppress(OSError):
            self.path.unlink()

    def __enter__(self) -> Self:
        """Return the server itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed or not _same_user(connection):
                    connection.close()
                    continue
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                while True:
                    question, body = _receive(connection)
                    try:
                        answer, data = self._answer(question, body)
                    except ClockworkError as error:
                        answer, data = {"error": error.to_dict(), "kind": type(error).__name__}, b""
                    _send(connection, answer, data)
        except (_GoneError, OSError):
            return
        finally:
            with self._lock:
                self._open.discard(connection)

    def _answer(self, question: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        handle = self._handle
        match question.get("ask"):
            case "hello":
                return {
                    "job_id": handle.job_id,
                    "epoch": handle.epoch,
                    "genesis": dict(handle.genesis),
                    "ttl_ms": int(handle.ttl_s * 1000),
                }, b""
            case "append":
                drafts = [Draft(item["type"], item["payload"]) for item in _drafts(question)]
                return {}, _rows(handle.append(drafts))
            case "events":
                after = question.get("after")
                if type(after) is not int or after < 0:
                    raise InvalidInputError("events are asked for after a number")
                found = handle.events_after(after)
                return {"more": len(found) > _PAGE}, _rows(found[:_PAGE])
            case "stop":
                return {"stop": handle.stop_requested(), "limits": handle.limits()}, b""
            case "put":
                return {"sha256": handle.put_blob(body)}, b""
            case "put_all":
                return {"sha256": handle.put_blobs(_pieces(question, body))}, b""
            case "get":
                return {}, handle.get_blob(str(question.get("sha256")))
            case other:
                raise InvalidInputError(f"{other!r} is not something this socket answers")


class RemoteJob:
    """The other end: a `clockwork_nb.ports.JobWriter` for the process that does not own the log. Thread-safe.

    Making one connects.

    Raises:
        LeaseLostError: E_LEASE_LOST: nobody answers at *path*.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._busy: set[socket.socket] = set()
        self._lost = False
        self._stop = ""
        self._limits: dict[str, str] = {}
        self._looking = threading.Lock()
        self._looked = 0.0
        self._pid = os.getpid()
        self._fetch = threading.Lock()
        self._events: list[Event] = []
        hello, _ = self._ask({"ask": "hello"})
        self.job_id: str = hello["job_id"]
        self.epoch: int = hello["epoch"]
        self._ttl_s: float = hello["ttl_ms"] / 1000
        self._heard = self._clock.boottime()
        self.genesis = parse_genesis(encode_plain(hello["genesis"]))
        self._state = initial_state(self.genesis)

    @property
    def state(self) -> JobState:
        """What the durable events add up to; a copy of your own.

        Raises:
            LeaseLostError: E_LEASE_LOST.
        """
        self.events()
        with self._fetch:
            return self._state.copy()

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Make *drafts* durable as one unit and return them as written. Thread-safe.

        Raises:
            LeaseLostError: E_LEASE_LOST: the owner is gone; whether the drafts were written is not known.
            InvalidInputError, InvalidTransitionError, JobLimitError, StoreFullError, StoreIOError: as the owner's handle.
        """
        if not drafts:
            return []
        question = {"ask": "append", "drafts": [{"type": d.type, "payload": dict(d.payload)} for d in drafts]}
        _, body = self._ask(question)
        return self._read_rows(body)

    def put_blob(self, data: bytes) -> str:
        """Make *data* durable under its SHA-256 and return that (64 hex).

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: more than 256 MiB.
            LeaseLostError, StoreFullError, StoreIOError.
        """
        answer, _ = self._ask({"ask": "put"}, data)
        return str(answer["sha256"])

    def put_blobs(self, contents: Sequence[bytes]) -> list[str]:
        """Make each of *contents* durable and return the digests in order; some hundred travel together.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: one has more than 256 MiB.
            LeaseLostError, StoreFullError, StoreIOError.
        """
        digests: list[str] = []
        for group in _groups(contents):
            answer, _ = self._ask({"ask": "put_all", "sizes": [len(data) for data in group]}, b"".join(group))
            digests += answer["sha256"]
        return digests

    def get_blob(self, sha256: str) -> bytes:
        """Return the bytes named *sha256*.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT: missing, or the content does not have that digest.
            LeaseLostError.
        """
        return self._ask({"ask": "get", "sha256": sha256})[1]

    def events(self) -> list[Event]:
        """Return every event so far; only new ones travel.

        Raises:
            LeaseLostError: E_LEASE_LOST.
        """
        with self._fetch:
            more = True
            while more:
                answer, body = self._ask({"ask": "events", "after": len(self._events)})
                for event in self._read_rows(body):
                    self._state = evolve(self._state, event)
                    self._events.append(event)
                more = bool(answer["more"])
            return list(self._events)

    def events_after(self, seq: int) -> list[Event]:
        """Return the durable events with a larger seq than *seq*.

        Raises:
            LeaseLostError: E_LEASE_LOST.
        """
        return self.events()[seq:]

    def limits(self) -> dict[str, str]:
        """Return budget dimension → limit as of the last `stop_requested`."""
        return dict(self._limits)

    def stop_requested(self) -> str:
        """Return ``"cancel"``, ``"pause"``, ``"drain"``, ``"lost"`` when the run must stop, else ``""``.

        Asks every 200 ms at most, and blocks for about a second at most. An owner that says nothing is asked again, until
        half of the lease's ttl has passed: then the job is lost.
        """
        due = not self._lost and self._clock.boottime() - self._looked >= _LOOK_S
        if due and self._looking.acquire(blocking=False):  # one thread asks, the others go by the last answer
            try:
                self._look()
            finally:
                self._looked = self._clock.boottime()
                self._looking.release()
        return "lost" if self._lost else self._stop

    def _look(self) -> None:
        try:
            answer, _ = self._ask({"ask": "stop"}, patience_s=_PATIENCE_S)
        except _SilentError:
            if self._clock.boottime() - self._heard > self._ttl_s / 2:
                self._lose()
        except LeaseLostError:
            self._lost = True
        else:
            self._heard = self._clock.boottime()
            self._stop, self._limits = str(answer["stop"]), dict(answer["limits"])

    def _lose(self) -> None:
        # Whoever waits for an answer is let go with an error.
        self._lost = True
        with self._lock:
            busy = list(self._busy)
        for connection in busy:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connections; the owner keeps the job."""
        self._lost = True
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __enter__(self) -> Self:
        """Return the remote job itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def _ask(
        self, question: Mapping[str, Any], body: bytes = b"", *, patience_s: float | None = None
    ) -> tuple[dict[str, Any], bytes]:
        # One connection for each question under way, so that appends of many threads reach the owner together.
        connection: socket.socket | None = None
        try:
            connection = self._connection(patience_s or _ANSWER_S)
            _send(connection, question, body)
            answer, data = _receive(connection)
        except BaseException as error:
            # Interrupted half way: the answer would be taken for that of the next question.
            if connection is not None:
                with self._lock:
                    self._busy.discard(connection)
                connection.close()
            if patience_s is not None and isinstance(error, (TimeoutError, BlockingIOError)):
                raise _SilentError from error
            if not isinstance(error, (OSError, _GoneError)):
                raise
            self._lost = True
            raise LeaseLostError(
                f"the process that owns the job does not answer at {self.path}",
                hint="What was confirmed is saved. Look with `clockwork job list`, go on with `clockwork job resume`.",
                details={"path": str(self.path)},
            ) from error
        with self._lock:
            self._busy.discard(connection)
            self._idle.append(connection)
        if "error" in answer:
            raise _error_from(answer)
        return answer, data

    def _connection(self, wait_s: float) -> socket.socket:
        if self._lost or os.getpid() != self._pid:
            raise _GoneError
        with self._lock:
            if self._idle:
                connection = self._idle.pop()
                connection.settimeout(wait_s)
                self._busy.add(connection)
                return connection
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(wait_s)
            connection.connect(str(self.path))
            if not _same_user(connection):
                raise _GoneError
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._busy.add(connection)
        return connection

    def _read_rows(self, body: bytes) -> list[Event]:
        rows = parse_json(body, what="the events")
        return [
            Event(seq, created_at, event_type, payload, epoch, digest, prev, self.job_id)
            for seq, created_at, event_type, payload, epoch, digest, prev in rows
        ]


def _rows(events: Sequence[Event]) -> bytes:
    return encode_plain([[e.seq, e.created_at, e.type, e.payload, e.epoch, e.hash, e.prev] for e in events])


def _drafts(question: Mapping[str, Any]) -> list[dict[str, Any]]:
    drafts = question.get("drafts")
    if not isinstance(drafts, list) or not all(
        isinstance(item, dict) and isinstance(item.get("type"), str) and isinstance(item.get("payload"), dict)
        for item in drafts
    ):
        raise InvalidInputError("drafts are a list of objects with type and payload")
    return drafts


def _groups(contents: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield *contents* in groups that travel together: an answer must come in time also from a slow disk."""
    group: list[bytes] = []
    size = 0
    for data in contents:
        if group and (len(group) == _TOGETHER or size + len(data) > _TOGETHER_BYTES):
            yield group
            group, size = [], 0
        group.append(data)
        size += len(data)
    if group:
        yield group


def _pieces(question: Mapping[str, Any], body: bytes) -> list[bytes]:
    sizes = question.get("sizes")
    if not isinstance(sizes, list) or not all(type(n) is int and n >= 0 for n in sizes) or sum(sizes) != len(body):
        raise InvalidInputError("the sizes are not those of the contents")
    ends = list(accumulate(sizes))
    return [body[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _error_from(answer: Mapping[str, Any]) -> ClockworkError:
    told = answer["error"]
    kind = getattr(errors, str(answer.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, ClockworkError)):
        # A class of another module: the nearest one of the tree with that code.
        kind = next(
            (k for n in errors.__all__ if vars(k := getattr(errors, n)).get("code") == told["code"]), ClockworkError
        )
    return kind(told["message"], hint=told.get("hint", ""), details=told.get("details", {}))


def _listen(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > 100:
        raise InvalidInputError(
            f"{path} is too long for a socket",
            hint="A unix socket's path has at most 107 bytes; choose a shorter folder.",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)  # before listen: until then nobody can connect
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StoreIOError(
            f"the socket {path} cannot be made: {error.strerror}", details={"path": str(path)}
        ) from error
    return listener


def _same_user(connection: socket.socket) -> bool:
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # elsewhere than on Linux the file's mode is the guard
        return True
    try:
        _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    except OSError:
        return False
    return bool(uid == os.geteuid())


def _send(connection: socket.socket, header: Mapping[str, Any], body: bytes) -> None:
    try:
        text = encode_plain(dict(header))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"that cannot be sent as JSON: {error}") from error
    if len(text) > _MAX_HEADER or len(body) > _MAX_BODY:
        raise InvalidInputError(
            f"a message of {len(text)} + {len(body)} bytes is too large", hint="Append fewer events, or a smaller blob."
        )
    connection.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    if body:
        connection.sendall(body)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    header_size, body_size = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    if header_size > _MAX_HEADER or body_size > _MAX_BODY:
        raise _GoneError
    try:
        header = parse_json(_exactly(connection, header_size), what="a message")
    except InvalidInputError as error:
        raise _GoneError from error
    if not isinstance(header, dict):
        raise _GoneError
    return header, _exactly(connection, body_size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size:
        count = connection.recv_into(view[filled:])
        if not count:
            raise _GoneError
        filled += count
    return bytes(buffer)
