"""What the command prints: data on stdout, words for people on stderr, JSON when asked."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, TextIO

from clockwork_nb import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from clockwork_nb.errors import ClockworkError

__all__ = ["Output"]

_LOOK_S: Final = 0.1
_NARROWEST: Final = 72
_USUAL: Final = 120
_WIDEST: Final = 140


class Output:
    """One command's output. With ``json`` stdout carries JSON alone and errors are envelopes on stderr.

    A reader that goes away (``clockwork show | head``) or a full disk behind stdout never stops the work: the rest of
    the text is dropped, and ``lost`` says why when it was not the reader's choice.
    """

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self.color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not json
        self.live = sys.stderr.isatty() and not json
        """Whether somebody watches stderr, so that a line there may change while they wait."""
        self.lost = ""
        self.gone = False
        """Whether a reader went away."""
        self._open_line = False
        self._lock = threading.Lock()

    @property
    def columns(self) -> int:
        """How many columns what is printed on stdout should take: the terminal's, or 120 where there is none."""
        return _columns(sys.stdout)

    def text(self, text: str) -> None:
        """Print *text* for people on stdout; nothing with ``--json``."""
        if not self.json:
            self._write(sys.stdout, text if text.endswith("\n") else text + "\n")

    def line(self, text: str) -> None:
        """Print one line of data on stdout, whatever the form of the output."""
        self._write(sys.stdout, text + "\n")

    def raw(self, data: bytes, *, error: bool, give_up: Callable[[], bool] = lambda: False) -> None:
        """Pass *data* on to stdout or stderr, byte for byte. A reader that stalls is waited for until *give_up* says no."""
        with self._lock:
            stream = sys.stderr if error else sys.stdout
            self._open_line = not data.endswith(b"\n")
            try:
                stream.flush()
                self._pass_on(stream.fileno(), data, give_up)
            except BrokenPipeError:
                self.gone = True
                _silence(stream)
            except OSError as problem:
                self.lost = self.lost or f"cannot write to {stream.name}: {problem.strerror}"
                _silence(stream)

    def _pass_on(self, handle: int, data: bytes, give_up: Callable[[], bool]) -> None:
        import select

        left = memoryview(data)
        while left:
            # What select(2) calls writable takes PIPE_BUF bytes without making anybody wait.
            if select.select([], [handle], [], _LOOK_S)[1]:
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(handle, left[: select.PIPE_BUF]) :]
            elif give_up():
                self.lost = self.lost or "the reader of the output stalled; what it did not take is in the job's log"
                return

    def end_raw(self) -> None:
        """Begin a new line on stderr of a terminal when what was passed on last did not end its own."""
        if self._open_line and self.live:
            self.note("")
        self._open_line = False

    def note(self, text: str) -> None:
        """Print *text* for people on stderr; nothing with ``--json``."""
        if not self.json:
            self._write(sys.stderr, text if text.endswith("\n") else text + "\n")

    def document(self, value: Any) -> None:
        """Print one JSON document on stdout; nothing without ``--json``."""
        if self.json:
            from clockwork_nb.render.json_text import indented

            plain = sys.stdout.encoding.lower() not in {"utf-8", "utf8"}
            self._write(sys.stdout, indented(value, ascii_only=plain) + "\n")

    def binary(self, data: bytes) -> None:
        """Write *data* to stdout as it is; nothing with ``--json``."""
        if self.json:
            return
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            _silence(sys.stdout)
        except OSError as error:
            self.lost = self.lost or f"cannot write to {sys.stdout.name}: {error.strerror}"
            _silence(sys.stdout)

    def error(self, error: ClockworkError) -> None:
        """Print *error* on stderr: its text, or the envelope of contracts.md."""
        if not self.json:
            self._write(sys.stderr, "\n".join(error.text_lines(_columns(sys.stderr))) + "\n")
            return
        import json

        from clockwork_nb.clock import SystemClock, rfc3339

        envelope = {
            "schema_id": "clockwork.error_envelope",
            "schema_version": "v1",
            "created_at": rfc3339(SystemClock().now()),
            "producer_version": f"clockwork_nb {__version__}",
            **error.to_dict(),
        }
        self._write(sys.stderr, json.dumps(envelope, sort_keys=True, ensure_ascii=True) + "\n")

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            self.gone = True
            _silence(stream)
        except OSError as error:
            self.lost = self.lost or f"cannot write to {stream.name}: {error.strerror}"
            _silence(stream)


def _columns(stream: TextIO) -> int:
    """Return how many columns what goes to *stream* should take: the terminal's within reason, if it is one."""
    try:
        found = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # no terminal, or not even a file
        return _USUAL
    return min(_WIDEST, max(_NARROWEST, found)) if found else _USUAL  # some terminals do not know their width


def _silence(stream: TextIO) -> None:
    # What is still in the stream's buffer goes the same way, also when the interpreter ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
