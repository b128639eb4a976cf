"""Who changed the recorded state by hand: ``state.history.jsonl``, one line for the intent and one for the end.

The intent is durable before the state is written, so no edit takes effect that nobody can find; the state file is the
one thing that says whether it did. After a crash between the two lines, the next who holds the lock compares the file
with the digests of the intent and writes the end that is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.clock import rfc3339
from clockwork_nb.errors import InvalidInputError, StoreIOError
from clockwork_nb.forge.state import StateFile
from clockwork_nb.forge.state_edit import StateEdit
from clockwork_nb.fs import REAL, FileSystem, make_dirs, raise_storage_error, read_bytes, write_all
from clockwork_nb.ids import new_ulid

__all__ = ["HISTORY_NAME", "Editor", "StateHistory", "commit_edit"]

HISTORY_NAME: Final = "state.history.jsonl"
_SCHEMA: Final = "clockwork.state_edit.v1"


class Editor(Struct, frozen=True):
    """Who answers for an edit, and how they were asked: ``terminal``, or ``auto`` when no person was."""

    by: str
    host: str
    pid: int
    via: str


class StateHistory:
    """The history of a workspace's state edits. Whoever writes holds the workspace's lock."""

    def __init__(self, workspace: Path, *, fs: FileSystem = REAL) -> None:
        self.path = workspace / HISTORY_NAME
        self._fs = fs

    def entries(self) -> list[dict[str, Any]]:
        """Return every edit, oldest first: the fields of its intent and ``outcome``.

        ``outcome`` is ``done``, ``not done``, ``open`` (its end was never recorded; see `settle`) or ``unknown`` (it was
        left open, and the state had moved on when that was looked into). A line that a crash tore is left out: its edit
        had not begun.

        Raises:
            StoreIOError: the file cannot be read.
        """
        edits: dict[str, dict[str, Any]] = {}
        for record in self._records():
            if record["phase"] == "begun":
                edits[record["edit"]] = {k: v for k, v in record.items() if k not in {"phase", "schema"}}
                edits[record["edit"]]["outcome"] = "open"
            elif record["edit"] in edits:
                edits[record["edit"]]["outcome"] = record["outcome"]
        return list(edits.values())

    def begin(self, edit: StateEdit, editor: Editor, *, before: str, after: str, now: datetime) -> str:
        """Record durably that *edit* is about to be written and return its id.

        Args:
            before, after: SHA-256 of the state file before and after it; *before* is empty where there is none.

        Raises:
            StoreFullError, StoreIOError: not recorded; nothing may be written then.
        """
        name = f"se_{new_ulid()}"
        record = {
            "schema": _SCHEMA,
            "edit": name,
            "phase": "begun",
            "at": rfc3339(now),
            "by": editor.by,
            "host": editor.host,
            "pid": editor.pid,
            "via": editor.via,
            "verb": edit.verb,
            "arguments": list(edit.arguments),
            "entries": [_entry(e.address, e.what, e.to) for e in edit.entries],
            "reason": edit.reason,
            "forced": edit.forced,
            "lineage": edit.after["lineage"],
            "serial_before": edit.serial_before,
            "serial_after": edit.after["serial"],
            "before": before,
            "after": after,
        }
        self._append(record)
        return name

    def end(self, name: str, outcome: str, *, now: datetime) -> None:
        """Record how the edit *name* ended.

        Raises:
            StoreFullError, StoreIOError: not recorded.
        """
        self._append({"schema": _SCHEMA, "edit": name, "phase": "ended", "at": rfc3339(now), "outcome": outcome})

    def settle(self, present: bytes | None, *, now: datetime) -> None:
        """Write the end of edits that a crash left open, as the state file's bytes *present* tell it.

        Raises:
            StoreFullError, StoreIOError: not recorded.
        """
        found = sha256_hex(present) if present is not None else ""
        for edit in self.entries():
            if edit["outcome"] == "open":
                outcome = {edit["after"]: "done", edit["before"]: "not done"}.get(found, "unknown")
                self.end(edit["edit"], outcome, now=now)

    def _records(self) -> list[dict[str, Any]]:
        try:
            data = read_bytes(self.path, fs=self._fs)
        except FileNotFoundError:
            return []
        return [record for line in data.split(b"\n") if (record := _record(line)) is not None]

    def _append(self, record: Mapping[str, Any]) -> None:
        make_dirs(self.path.parent, fs=self._fs)
        line = canonical_json(dict(record)) + b"\n"
        try:
            made = self._fs.stat(self.path) is None
            handle = self._fs.create(self.path, 0o600) if made else self._fs.open_append(self.path)
            try:
                if not made and self._fs.read(self.path)[-1:] != b"\n":
                    line = b"\n" + line  # what a crash tore stays a line of its own
                write_all(self._fs, handle, line)
                self._fs.sync(handle)
            finally:
                self._fs.close(handle)
            if made:
                self._fs.sync_dir(self.path.parent)
        except OSError as error:
            raise_storage_error(error, self.path, "writing")


def _entry(address: str, what: str, to: str) -> dict[str, str]:
    return {"address": address, "what": what, **({"to": to} if to else {})}


def _record(line: bytes) -> dict[str, Any] | None:
    if not line.strip(b"\0 "):
        return None
    try:
        record = parse_json(line, what="a line of the history")
    except InvalidInputError:
        return None
    if not isinstance(record, dict) or record.get("schema") != _SCHEMA:
        return None
    whole = {"begun": {"before", "after", "verb", "serial_before", "serial_after"}, "ended": {"outcome"}}
    wanted = whole.get(str(record.get("phase")))
    return record if wanted is not None and wanted | {"edit", "at"} <= record.keys() else None


def commit_edit(file: StateFile, history: StateHistory, edit: StateEdit, editor: Editor, *, now: datetime) -> str:
    """Make *edit* the recorded state, with a backup of the one before, and return the edit's id.

    The caller holds the lock, has settled the history, and the file holds ``edit.before``. A crash leaves the state
    before the edit or the one after it, and in the second case the history tells of it.

    Raises:
        StoreFullError, StoreIOError: not done; the state is what it was.
    """
    data = canonical_json(dict(edit.after))
    before = sha256_hex(canonical_json(dict(edit.before))) if edit.before is not None else ""
    name = history.begin(edit, editor, before=before, after=sha256_hex(data), now=now)
    file.save(data, backup=True)
    with contextlib.suppress(StoreIOError):  # it is done; whoever edits next writes this line
        history.end(name, "done", now=now)
    return name
