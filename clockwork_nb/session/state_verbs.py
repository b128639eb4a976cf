"""The recorded state as users handle it: looking, pulling, and the edits that a person answers for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError, PlanStaleError
from clockwork_nb.session.job_store import open_store
from clockwork_nb.session.recovery import recovered_state

if TYPE_CHECKING:
    from clockwork_nb.forge.state_edit import StateEdit
    from clockwork_nb.session.session import Session

__all__ = ["StateVerbs", "wait_for_state"]


class StateVerbs:
    """What can be done with the state of *session*'s workspace.

    An edit is made in two steps: a method named like the verb returns it, to be shown and asked about, with nothing
    locked; `commit` takes the lock, checks that the state is still the one that was shown, and writes.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._folder = session.workspace.folder

    # --- looking ------------------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """Return the state's document with what the last job's log knows beyond the file; an empty one before the first
        apply.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT. InvalidInputError: a newer version wrote it.
        """
        return self._session.prior().to_document()

    def pull(self) -> dict[str, Any]:
        """Return the document that `push` takes back.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, nothing is recorded.
        """
        return self._present()

    def entries(self, patterns: Sequence[str] = ()) -> list[Mapping[str, Any]]:
        """Return the recorded resources that *patterns* mean (all without), sorted by address.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, a pattern without wildcards means nothing.
        """
        from clockwork_nb.forge.state_edit import matching

        resources: list[Mapping[str, Any]] = self.document()["resources"]
        if not patterns:
            return resources
        addresses = [entry["address"] for entry in resources]
        chosen: set[str] = set()
        for pattern in patterns:
            found = matching(addresses, pattern, self._session.types)
            if not found and not set(pattern) & set("*?"):
                raise self._unknown(pattern, addresses)
            chosen.update(found)
        return [entry for entry in resources if entry["address"] in chosen]

    def entry(self, address: str) -> tuple[Mapping[str, Any], list[str]]:
        """Return the recorded resource *address* and the addresses of those that needed it when they were applied.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, nothing or more than one thing is recorded under that address.
        """
        found = self.entries([address])
        if len(found) != 1:
            names = ", ".join(str(e["address"]) for e in found[:3])
            raise InvalidInputError(
                f"{address} means {len(found)} resources here{f': {names}' if names else ''}", hint="Name one of them."
            )
        needed_by = [
            str(other["address"])
            for other in self.document()["resources"]
            if found[0]["address"] in other["dependencies"]
        ]
        return found[0], needed_by

    def history(self) -> list[dict[str, Any]]:
        """Return the edits of this state, oldest first (see `clockwork_nb.forge.state_history.StateHistory.entries`)."""
        from clockwork_nb.forge.state_history import StateHistory

        return StateHistory(self._folder).entries()

    def _unknown(self, pattern: str, addresses: Sequence[str]) -> InvalidInputError:
        from clockwork_nb.intake.names import nearest

        near = nearest(pattern, addresses)
        hint = f"Did you mean {near}?" if near else "clockwork state list shows what is recorded."
        return InvalidInputError(f"nothing is recorded as {pattern}", hint=hint, details={"address": pattern})

    # --- edits, to be asked about -------------------------------------------------------------------------------------

    def remove(self, patterns: Sequence[str], *, reason: str = "") -> StateEdit:
        """Return the edit that forgets what *patterns* mean; see `clockwork_nb.forge.state_edit.remove`."""
        from clockwork_nb.forge.state_edit import remove

        return remove(self._present(), patterns, self._session.types, reason=reason)

    def move(self, source: str, target: str, *, reason: str = "") -> StateEdit:
        """Return the edit that gives an entry another address; see `clockwork_nb.forge.state_edit.move`."""
        from clockwork_nb.forge.state_edit import move

        return move(self._present(), source, target, self._session.types, reason=reason)

    def taint(self, address: str, *, reason: str = "") -> StateEdit:
        """Return the edit that marks an entry as not to be relied on."""
        from clockwork_nb.forge.state_edit import taint

        return taint(self._present(), address, self._session.types, reason=reason)

    def untaint(self, address: str, *, reason: str = "") -> StateEdit:
        """Return the edit that takes such a mark away."""
        from clockwork_nb.forge.state_edit import untaint

        return untaint(self._present(), address, self._session.types, reason=reason)

    def push(self, data: bytes, *, name: str = "", force: bool = False, reason: str = "") -> StateEdit:
        """Return the edit that puts the state in *data* in the place of the recorded one.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, it is no state. UnsafeOperationError: another lineage.
            PlanStaleError: E_PLAN_STALE, its serial is lower.
        """
        from clockwork_nb.forge.state_edit import push
        from clockwork_nb.forge.state_migration import migrate

        if force and not reason.strip():
            raise InvalidInputError("a forced push needs a reason", hint='Add: --reason "…"; it is recorded.')
        pushed, _ = migrate(parse_json(data, what=name or "the document"))
        document = self._recorded()
        return push(document, pushed, name=name, force=force, reason=reason)

    def _recorded(self) -> dict[str, Any] | None:
        from clockwork_nb.forge.state import StateFile

        return recovered_state(StateFile(self._session.workspace.folder), self._session.settings)[0]

    def _present(self) -> dict[str, Any]:
        document = self._recorded()
        if document is None:
            raise InvalidInputError(
                "nothing is recorded here: nothing was applied yet", hint="clockwork apply makes the first state."
            )
        return document

    def unfinished_job(self, edit: StateEdit) -> str:
        """Return the job that wrote the state last when it could still go on; its plan will be stale after *edit*."""
        last = edit.before["last"] if edit.before is not None else None
        if not last:
            return ""
        job = str(last["job"])
        try:
            return "" if open_store(self._session.settings).summary(job).finished else job
        except InvalidInputError:
            return ""  # it was pruned, or belongs to another store

    # --- writing ------------------------------------------------------------------------------------------------------

    def commit(
        self,
        edit: StateEdit,
        *,
        via: str,
        wait_s: float = 0.0,
        on_wait: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Make *edit* the recorded state, durably, with a backup and a line in the history; return what was done.

        Args:
            via: how it was agreed to: ``terminal``, or ``auto`` when nobody was asked.
            wait_s, on_wait: see `clockwork_nb.forge.lock.WorkspaceLock`.

        Raises:
            StateLockedError: E_STATE_LOCKED. UnsupportedFileSystemError: E_UNSUPPORTED_FS.
            PlanStaleError: E_PLAN_STALE, the state is not the one that *edit* was made from any more.
            StoreFullError, StoreIOError: not done; the state is what it was.
        """
        from clockwork_nb.forge.lock import LOCK_NAME, WorkspaceLock
        from clockwork_nb.forge.state import StateFile
        from clockwork_nb.forge.state_history import Editor, StateHistory, commit_edit

        session = self._session
        editor = Editor(session.settings.user, os.uname().nodename, os.getpid(), via)
        lock = WorkspaceLock(
            self._folder / LOCK_NAME, verb=f"state {edit.verb}", wait_s=wait_s, on_wait=on_wait,
            single_host=session.settings.single_host, clock=session.clock,
        )  # fmt: skip
        with lock:
            document, _ = recovered_state(StateFile(session.workspace.folder), session.settings)
            _check_same(edit, document)
            file, history = StateFile(self._folder), StateHistory(self._folder)
            now = session.clock.now()
            history.settle(file.data(), now=now)
            if document is not None and file.data() != canonical_json(document):
                file.save(canonical_json(document))  # what only the log knew, before the edit goes on top
            name = commit_edit(file, history, edit, editor, now=now)
        return {
            "edit": name,
            "verb": edit.verb,
            "entries": [{"address": e.address, "what": e.what, "to": e.to} for e in edit.entries],
            "serial_before": edit.serial_before,
            "serial": edit.after["serial"],
            "backup": session.workspace.shown(file.backup_path) if edit.before is not None else "",
            "left_behind": dict(lock.left_behind),
        }


def wait_for_state(
    session: Session, wait_s: float, *, on_wait: Callable[[Mapping[str, Any]], None] | None = None
) -> None:
    """Return once nobody holds the state of *session*'s workspace; at once where there is none yet.

    Raises:
        StateLockedError: E_STATE_LOCKED, it is held for longer than *wait_s* seconds.
    """
    from clockwork_nb.forge.lock import LOCK_NAME, WorkspaceLock

    path = session.workspace.folder / LOCK_NAME
    if path.exists():
        lock = WorkspaceLock(
            path, verb="wait", wait_s=wait_s, on_wait=on_wait, single_host=session.settings.single_host
        )
        lock.acquire()
        lock.release()


def _check_same(edit: StateEdit, document: Mapping[str, Any] | None) -> None:
    before = canonical_json(dict(edit.before)) if edit.before is not None else b""
    now = canonical_json(dict(document)) if document is not None else b""
    if before != now:
        serial = document["serial"] if document is not None else 0
        raise PlanStaleError(
            f"the state changed meanwhile: it had the serial {edit.serial_before} and has {serial} now",
            hint="Nothing was changed. Give the command again and look at what it would do.",
            details={"shown": edit.serial_before, "now": serial},
        )
