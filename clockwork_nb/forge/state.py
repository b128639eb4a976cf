"""The state file of a workspace: read, written atomically, and rolled forward from the event log.

``step.completed`` carries a resource's new entry, so the log knows everything the file knows; the file is a checkpoint
of it. ``last`` says which job wrote last and up to which event its results are in the file. After an edit by hand it is
null (`clockwork_nb.forge.state_edit`): then the file alone counts, until the next section begins.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from clockwork_nb.assembly.prior import SCHEMA, PriorState
from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError, StoreCorruptError, UnsafeOperationError
from clockwork_nb.forge.fold import SectionFold, StateImage
from clockwork_nb.forge.state_migration import MIGRATIONS, Migration, migrate, version_of
from clockwork_nb.fs import (
    REAL,
    FileSystem,
    create_atomic,
    make_dirs,
    raise_storage_error,
    read_bytes,
    write_atomic,
)
from clockwork_nb.ports import EventView

__all__ = ["StateFile", "StateWriter", "load_state", "roll_forward", "secret_key"]


class StateFile:
    """``<workspace>/state.json`` and its backup, which is the state before the last section or edit that changed it.

    A file in an older form is read through *migrations*; the first write keeps the original beside it for good, as
    ``state.json.v<number>.backup``.
    """

    def __init__(
        self, workspace: Path, *, fs: FileSystem = REAL, migrations: Mapping[int, Migration] = MIGRATIONS
    ) -> None:
        self.path = workspace / "state.json"
        self.backup_path = workspace / "state.json.backup"
        self._fs = fs
        self._migrations = migrations
        self._present_form = False
        self._loaded: tuple[bytes, dict[str, Any]] | None = None

    def load(self) -> dict[str, Any] | None:
        """Return the document, in the present form; None before the first apply. Nobody may change it: while the file has
        the same bytes, the same document comes out.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT, the file is not a state; it is left as it is.
            InvalidInputError: E_INVALID_INPUT_SCHEMA, a newer version wrote it.
            StoreIOError: it cannot be read.
        """
        data = self.data()
        if data is None:
            return None
        if self._loaded is not None and self._loaded[0] == data:
            return self._loaded[1]
        try:
            found = parse_json(data, what=str(self.path))
        except InvalidInputError as error:
            raise self._corrupt(error.message) from error
        doc, _ = migrate(found, migrations=self._migrations)
        try:
            PriorState.from_document(doc)
        except InvalidInputError as error:
            raise self._corrupt(error.message) from error
        checked: dict[str, Any] = doc
        self._loaded = data, checked
        return checked

    def data(self) -> bytes | None:
        """Return the file's bytes, whatever they are; None when there is no file.

        Raises:
            StoreIOError: it cannot be read.
        """
        try:
            return read_bytes(self.path, fs=self._fs)
        except FileNotFoundError:
            return None

    def _corrupt(self, why: str) -> StoreCorruptError:
        return StoreCorruptError(
            f"the state {self.path} is damaged: {why}",
            hint=f"Nothing was run. The state before the last run is in {self.backup_path.name}, if there is one: "
            "look at it, and copy it over.",
            details={"path": str(self.path)},
        )

    def save(self, data: bytes, *, backup: bool = False) -> None:
        """Make *data* the durable state; with *backup* the present one becomes the backup first.

        Raises:
            StoreFullError, StoreIOError: not saved; the file is what it was.
        """
        make_dirs(self.path.parent, fs=self._fs)
        if backup or not self._present_form:
            self._keep(backup=backup)
        write_atomic(self.path, data, fs=self._fs)
        self._present_form = True

    def _keep(self, *, backup: bool) -> None:
        present = self.data()
        if present is None:
            return
        if backup:
            write_atomic(self.backup_path, present, fs=self._fs)
        if self._present_form:
            return
        try:
            form = version_of(parse_json(present)["schema"])
        except (InvalidInputError, KeyError, TypeError):
            return  # what is no state is nothing to keep apart
        if 0 <= form < version_of(SCHEMA):
            with contextlib.suppress(FileExistsError):
                create_atomic(self.path.with_name(f"state.json.v{form}.backup"), present, fs=self._fs)


def load_state(workspace: Path) -> PriorState:
    """Return the recorded state of the workspace folder; an empty one before the first apply.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT, the file is damaged.
    """
    doc = StateFile(workspace).load()
    return PriorState() if doc is None else PriorState.from_document(doc)


def secret_key(workspace: Path) -> bytes:
    """Return the workspace's 32 secret bytes, made on first use (``secret.key``, 0600). Never leaves the machine.

    Raises:
        StoreCorruptError: the file does not hold 32 bytes. UnsafeOperationError: others can read it.
    """
    path = workspace / "secret.key"
    try:
        return _read_key(path)
    except FileNotFoundError:
        make_dirs(workspace)
    temporary = workspace / f".secret.key.{os.urandom(6).hex()}"
    write_atomic(temporary, os.urandom(32))
    try:
        os.link(temporary, path)  # unlike a rename, this cannot replace a key that another process made just now
    except FileExistsError:
        pass
    except OSError as error:
        raise_storage_error(error, path, "making")
    finally:
        os.unlink(temporary)
    REAL.sync_dir(workspace)
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    key = read_bytes(path)
    if len(key) != 32:
        raise StoreCorruptError(
            f"{path} is damaged: it has {len(key)} bytes instead of 32",
            hint="Restore it from a copy. Without it, recorded sensitive values look changed; to accept that, remove it.",
        )
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnsafeOperationError(f"other users can read {path}", hint=f"chmod 600 {path}")
    return key


class StateWriter:
    """Writes an image to the file now and then. Thread-safe.

    At most every *interval_s* seconds, more seldom when a write takes long (a write never costs more than a twentieth
    of the time); what is not in the file yet is in the log. `flush` writes at once.

    *ours* is asked before each write: the file belongs to whoever owns the job, and is left alone once that is another.
    """

    def __init__(
        self,
        file: StateFile,
        image: StateImage,
        *,
        interval_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        ours: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ours = ours
        self._file, self._image, self._clock = file, image, clock
        self._least_s = interval_s
        self._interval_s = interval_s
        self._due = clock() + interval_s
        self._writing = threading.Lock()
        self.writes = 0

    def changed(self) -> None:
        """Tell that the image has changed; writes it when it is time, unless another thread is at it."""
        if self._clock() < self._due or not self._writing.acquire(blocking=False):
            return
        try:
            self._write()
        finally:
            self._writing.release()

    def flush(self, *, backup: bool = False) -> None:
        """Write the image now."""
        with self._writing:
            self._write(backup=backup)

    def _write(self, *, backup: bool = False) -> None:
        if not self._ours():
            return
        started = self._clock()
        self._file.save(self._image.document_bytes(), backup=backup)
        self.writes += 1
        ended = self._clock()
        self._interval_s = max(self._least_s, 20 * (ended - started))
        self._due = ended + self._interval_s


def roll_forward(
    state: Mapping[str, Any] | None, events: Iterable[EventView], *, job: str, get_blob: Callable[[str], bytes]
) -> tuple[dict[str, Any] | None, bool]:
    """Return *state* with everything folded in that the log of *job* knows and the file does not, and whether that was
    anything.

    Idempotent: what ``last`` says is in the file already is not folded again. When another job wrote last, its log is
    the one to roll forward from, and this one changes nothing.

    Args:
        state: the document of the file; None before the first apply.
        events: every event of the job, in order.
        get_blob: returns the bytes of a digest; plans and large entries are read from there.

    Raises:
        StoreCorruptError: a blob is missing, or an event carries something that is no entry.
    """
    if state is None:
        return None, False
    last = state["last"]
    if not last or last["job"] != job:
        return dict(state), False
    image = StateImage(state)
    looks: set[Any] = set()
    plans: dict[int, str] = {}
    folds: dict[int, SectionFold] = {}
    before = canonical_json(dict(state))
    for event in events:
        section = event.payload.get("section")
        if event.type == "section.opened" and event.payload["verb"] == "plan":
            looks.add(section)  # a plan that was only shown in a notebook run changes nothing
        if event.type == "plan.bound" and section not in looks:
            plans[event.payload["section"]] = event.payload["plan"]
        if event.seq <= last["seq"] or section not in plans:
            continue
        if not (event.type.startswith("step.") or event.type == "section.closed"):
            continue
        if section not in folds:
            plan = parse_json(get_blob(plans[section]), what="the recorded plan")
            folds[section] = SectionFold(plan, job=job, section=section)
        fold = folds[section]
        if fold.touches:
            fold.begin(image, event.seq)
            fold.fold(image, event.type, event.payload, get_blob)
            fold.mark(image, event.seq)
    rolled = image.document()
    return rolled, canonical_json(rolled) != before
