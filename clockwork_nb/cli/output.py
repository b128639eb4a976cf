"""What the command prints: data on stdout, words for people on stderr, JSON when asked."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from clockwork_nb import __version__

if TYPE_CHECKING:
    from clockwork_nb.errors import ClockworkError

__all__ = ["Output"]


class Output:
    """One command's output. With ``json`` stdout carries JSON alone and errors are envelopes on stderr."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self.color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not json

    def text(self, text: str) -> None:
        """Print *text* for people on stdout; nothing with ``--json``."""
        if not self.json:
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print *text* for people on stderr; nothing with ``--json``."""
        if not self.json:
            sys.stderr.write(text if text.endswith("\n") else text + "\n")
            sys.stderr.flush()

    def document(self, value: Any) -> None:
        """Print one JSON document on stdout; nothing without ``--json``."""
        if self.json:
            sys.stdout.write(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")

    def error(self, error: ClockworkError) -> None:
        """Print *error* on stderr: its text, or the envelope of contracts.md."""
        sys.stdout.flush()
        if not self.json:
            sys.stderr.write("\n".join(error.text_lines()) + "\n")
            return
        from clockwork_nb.clock import SystemClock, rfc3339

        envelope = {
            "schema_id": "clockwork.error_envelope",
            "schema_version": "v1",
            "created_at": rfc3339(SystemClock().now()),
            "producer_version": f"clockwork_nb {__version__}",
            **error.to_dict(),
        }
        sys.stderr.write(json.dumps(envelope, sort_keys=True, ensure_ascii=False) + "\n")
