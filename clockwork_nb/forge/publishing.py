"""Record the files a step left: their content by digest, as it was when the step had ended."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.ports import Draft, JobWriter

__all__ = ["MAX_PUBLISHED_BYTES", "Publisher", "read_below"]

MAX_PUBLISHED_BYTES: Final = 64 << 20
"""A larger file is not kept as evidence; that it is there is recorded without its content."""


class Publisher:
    """Turns files below *root* into ``artifact.published`` events. Thread-safe."""

    def __init__(self, root: Path, writer: JobWriter) -> None:
        self._root = root
        self._writer = writer
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None

    def drafts(self, paths: Sequence[str], step_id: str) -> list[Draft]:
        """Return the events for *paths* (relative to the root) that are new, differ from what was recorded, or are gone.

        *step_id* is who left them, empty when no step did.
        """
        if not paths:
            return []
        with self._lock:
            known = self._recorded()
            out = []
            for path in paths:
                draft = self._draft(path, step_id, known)
                if draft is not None:
                    out.append(draft)
            return out

    def _draft(self, path: str, step_id: str, known: dict[str, str]) -> Draft | None:
        content = read_below(self._root, path)
        payload: dict[str, Any] = {"path": path, **({"step_id": step_id} if step_id else {})}
        if content is None:
            if path not in known:
                return None
            del known[path]
            return Draft("artifact.published", {**payload, "op": "removed"})
        blob = self._writer.put_blob(content) if len(content) <= MAX_PUBLISHED_BYTES else ""
        if known.get(path) == sha256_hex(content):
            return None
        payload["op"] = "changed" if path in known else "added"
        known[path] = blob
        return Draft("artifact.published", {**payload, **({"blob": blob} if blob else {})})

    def _recorded(self) -> dict[str, str]:
        if self._known is None:
            self._known = {}
            for event in self._writer.events():
                if event.type == "artifact.published":
                    if event.payload["op"] == "removed":
                        self._known.pop(event.payload["path"], None)
                    else:
                        self._known[event.payload["path"]] = event.payload.get("blob", "")
        return self._known


def read_below(root: Path, path: str) -> bytes | None:
    """Return the content of the regular file *path* below *root*, at most one byte more than `MAX_PUBLISHED_BYTES`.

    None when there is none, or when the way there leads over a link or out of *root*: what a step made is not trusted.
    """
    parts = path.split("/")
    if path.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        return None
    handle = -1
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for number, part in enumerate(parts, 1):
            kind = os.O_DIRECTORY if number < len(parts) else os.O_NONBLOCK
            inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=handle)
            os.close(handle)
            handle = inner
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read(MAX_PUBLISHED_BYTES + 1)
    except OSError:
        return None
    finally:
        if handle >= 0:
            os.close(handle)
