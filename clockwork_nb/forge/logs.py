"""What a step prints: redacted, capped, written to a file people can follow, and kept for the evidence."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from pathlib import Path
from typing import Literal

from msgspec import Struct

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import StoreIOError
from clockwork_nb.fs import raise_storage_error
from clockwork_nb.ids import slug
from clockwork_nb.patterns import pattern
from clockwork_nb.secrets import MASK, Redactor

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "LogFolder", "StepLog", "Stream", "StreamLog"]

Stream = Literal["out", "err"]

HEAD_BYTES = 4 << 20
TAIL_BYTES = 4 << 20
"""How much of a stream is kept: its first and its last bytes."""

_HELD_AT_MOST = 64 << 10
_ACTION = pattern(r"[^A-Za-z0-9_.-]+")


class LogFolder(Struct, frozen=True):
    """Where a job's step logs go: ``<workspace>/logs/<job>/``. Made when the first step prints something."""

    path: Path

    def step(
        self,
        address: str,
        action: str,
        redactor: Redactor,
        *,
        attempt: int = 1,
        head: int = HEAD_BYTES,
        tail: int = TAIL_BYTES,
    ) -> StepLog:
        """Return the log of one attempt at one step."""
        name = f"{slug(address)}-{_ACTION.sub('-', action)[:60]}" + (f".{attempt}" if attempt > 1 else "")
        return StepLog(self.path, name, redactor, head, tail)


class StreamLog:
    """One stream of one step. Not thread-safe: one reader feeds it.

    The first *head* bytes go to the file as they come; of the rest the last *tail* bytes are kept and written when the
    stream ends, after a line that says how many bytes are missing. No file is made for a stream that says nothing.
    """

    def __init__(self, folder: Path, name: str, redactor: Redactor, head: int, tail: int) -> None:
        self.folder = folder
        self.name = name
        self.total = 0
        """Bytes after redaction, the dropped ones included."""
        self._whole = hashlib.sha256()
        self._redactor = redactor
        self._head_room, self._tail_room = head, tail
        self._held = b""
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._handle = -1
        self._closed = False

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name

    def write(self, data: bytes) -> None:
        """Take in the next bytes of the stream."""
        if self._redactor.active or self._held:
            data = self._held + data
            cut = self._redactor.safe_cut(data)
            if not cut and len(data) > _HELD_AT_MOST + self._redactor.overlap:
                # One value overlapping the next from end to end: held back for ever, if it were not masked as one.
                data, self._held = MASK.encode(), data[len(data) - self._redactor.overlap :]
            else:
                data, self._held = self._redactor.redact_bytes(data[:cut]), data[cut:]
        self._keep(data)

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self.total += len(data)
        self._whole.update(data)
        room = self._head_room - len(self._head)
        if room > 0:
            self._head += data[:room]
            self._to_file(data[:room])
            data = data[room:]
        if data:
            self._tail.append(data[-self._tail_room :] if self._tail_room else b"")
            self._tail_size += len(self._tail[-1])
            while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_room:
                self._tail_size -= len(self._tail.popleft())

    def close(self) -> None:
        """End the stream and complete the file."""
        if self._closed:
            return
        self._closed = True
        if self._held:
            rest, self._held = self._redactor.redact_bytes(self._held), b""
            self._keep(rest)
        try:
            if self._tail or self.truncated:
                self._to_file(self._after_head())
        finally:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1

    @property
    def truncated(self) -> bool:
        """Whether bytes are missing between head and tail."""
        return self.total > len(self._head) + min(self._tail_size, self._tail_room)

    def _after_head(self) -> bytes:
        tail = b"".join(self._tail)
        tail = tail[-self._tail_room :] if self._tail_room else b""
        dropped = self.total - len(self._head) - len(tail)
        marker = f"\n[… {dropped} bytes left out …]\n".encode() if dropped else b""
        return marker + tail

    def content(self) -> bytes:
        """Return what was kept: the same bytes as in the file, once closed."""
        return bytes(self._head) + self._after_head() if self._tail or self.truncated else bytes(self._head)

    def whole_sha256(self) -> str:
        """Return the digest of all that was said, after redaction, the dropped bytes included; 64 hex."""
        return self._whole.hexdigest()

    def sha256(self) -> str:
        """Return the digest of what was kept, 64 hex."""
        return sha256_hex(self.content())

    def tail(self, limit: int = 4096) -> str:
        """Return the last lines of what was kept, at most *limit* bytes of UTF-8; a cut first line is left out."""
        data = (
            self.content()[-limit - 4 :] if self._tail or len(self._head) <= limit else bytes(self._head[-limit - 4 :])
        )
        text = data.decode("utf-8", "replace").replace("\0", "\ufffd")
        while len(text.encode()) > limit:
            text = text[max(1, (len(text.encode()) - limit) // 4) :]
        if self.total > len(data) and "\n" in text[:-1]:
            text = text.split("\n", 1)[1]
        return text

    def last_line(self) -> str:
        """Return the last line that is not blank, without its white space; ``""`` when there is none."""
        lines = self.tail().splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _to_file(self, data: bytes) -> None:
        try:
            if self._handle < 0:
                self._handle = self._open()
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError as error:
            raise_storage_error(error, self.path, "writing the log")

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o600)


class StepLog:
    """Both streams of one attempt at one step."""

    def __init__(self, folder: Path, name: str, redactor: Redactor, head: int, tail: int) -> None:
        self.out = StreamLog(folder, f"{name}.out", redactor, head, tail)
        self.err = StreamLog(folder, f"{name}.err", redactor, head, tail)
        self.failure: StoreIOError | None = None
        """The first time a log file could not be written; the step itself is not disturbed by it."""

    def write(self, stream: Stream, data: bytes) -> None:
        """Take in the next bytes of *stream*; made to be a launcher's ``on_output``. Never raises."""
        try:
            (self.out if stream == "out" else self.err).write(data)
        except StoreIOError as error:
            self.failure = self.failure or error

    def close(self) -> None:
        """Complete both files."""
        for stream in (self.out, self.err):
            with contextlib.suppress(StoreIOError):
                stream.close()

    def tail(self, limit: int = 4096) -> str:
        """Return the end of what a person wants to see of a failure: stderr, or stdout when that is empty."""
        return self.err.tail(limit) if self.err.total else self.out.tail(limit)

    def path(self) -> Path:
        """Return the file that `tail` comes from."""
        return self.err.path if self.err.total or not self.out.total else self.out.path
