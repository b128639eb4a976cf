"""A crash anywhere in an edit of the state: the state before or the one after it, and the history tells which."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import StoreIOError
from clockwork_nb.forge.fold import new_state
from clockwork_nb.forge.state import StateFile
from clockwork_nb.forge.state_edit import StateEdit, remove, taint
from clockwork_nb.forge.state_history import Editor, StateHistory, commit_edit
from clockwork_nb.fs import FileSystem
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.testing import CrashFs, Fault, FaultFs, FaultPlan

HOME = Path("/ws")
NOW = datetime(2030, 1, 1, tzinfo=UTC)
EDITOR = Editor("somebody", "here", 4711, "terminal")
TYPES = builtin_types()


class PowerLoss(BaseException):
    """The power went."""


def entry(address: str) -> dict[str, Any]:
    return {
        "address": address, "type": "file", "config": {"path": address, "content": "x" * 700}, "identity": {},
        "declared_in": "main.cw", "dependencies": [], "status": "ok",
    }  # fmt: skip


BEFORE = {
    **new_state("l"), "serial": 3, "resources": [entry("file.a"), entry("file.b")],
    "last": {"job": "job_a", "section": 1, "seq": 9},
}  # fmt: skip


def edited(fs: FileSystem, edit: StateEdit | None = None) -> str:
    """Make the edit as a holder of the lock does."""
    file, history = StateFile(HOME, fs=fs), StateHistory(HOME, fs=fs)
    history.settle(file.data(), now=NOW)
    return commit_edit(file, history, edit or remove(BEFORE, ["file.a"], TYPES), EDITOR, now=NOW)


def disk_before(*, with_history: bool) -> CrashFs:
    disk = CrashFs()
    disk.make_dir(HOME, 0o700)
    disk.sync_dir(Path("/"))
    StateFile(HOME, fs=disk).save(canonical_json(BEFORE))
    if with_history:  # an earlier edit, so that the file is appended to and a backup is there already
        StateHistory(HOME, fs=disk).begin(taint(BEFORE, "file.a", TYPES), EDITOR, before="x", after="y", now=NOW)
        StateFile(HOME, fs=disk).save(canonical_json(BEFORE), backup=True)
    return next(iter(disk.crash_states(limit=1)))


def operations(disk: CrashFs) -> int:
    start = disk.operations
    edited(disk)
    return disk.operations - start


def cut(disk: CrashFs, at: int) -> CrashFs:
    """Run the edit on *disk* until the power goes before its operation number *at*."""
    left = at

    def on_op(_: str) -> None:
        nonlocal left
        if left == 0:
            raise PowerLoss
        left -= 1

    disk.on_op = on_op
    with pytest.raises(PowerLoss):
        edited(disk)
    disk.on_op = None
    return disk


@pytest.mark.parametrize("with_history", [False, True])
def test_a_power_loss_leaves_one_of_the_two_states_and_the_history_finds_out_which(with_history: bool) -> None:
    after = remove(BEFORE, ["file.a"], TYPES).after
    count = operations(disk_before(with_history=with_history))
    seen = {"before": 0, "after": 0}
    assert count > 15
    for at in range(count):
        for found in cut(disk_before(with_history=with_history), at).crash_states(
            limit=400, seed=at, every_byte_of="history"
        ):
            state = StateFile(HOME, fs=found).load()
            assert state in (BEFORE, after)
            held = "after" if state == after else "before"
            seen[held] += 1
            edits = [e for e in StateHistory(HOME, fs=found).entries() if e["verb"] == "rm"]
            if held == "after":
                assert [e["serial_after"] for e in edits] == [4], "an edit took effect that the history does not know"
                assert StateFile(HOME, fs=found).backup_path.name == "state.json.backup"
                assert found.read(HOME / "state.json.backup") == canonical_json(BEFORE)
            # The next one who edits finds out, and can edit.
            edited(found, remove(state or {}, ["file.b"], TYPES))
            outcomes = [e["outcome"] for e in StateHistory(HOME, fs=found).entries() if e["verb"] == "rm"]
            assert outcomes[-1] == "done"
            assert outcomes[:-1] == (["done"] if held == "after" else ["not done"] * len(edits))
            addresses = [e["address"] for e in (StateFile(HOME, fs=found).load() or {})["resources"]]
            assert addresses == ([] if held == "after" else ["file.a"])
    assert min(seen.values()) > 20


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_once_at_any_call_leaves_one_of_the_two_states_and_the_next_edit_works(error: int) -> None:
    after = remove(BEFORE, ["file.a"], TYPES).after
    outcomes = set()
    for nth in range(1, operations(disk_before(with_history=False)) + 1):
        disk = disk_before(with_history=False)
        try:
            edited(FaultFs(disk, FaultPlan((Fault("*", nth, error, times=1),))))
            told = "done"
        except StoreIOError as problem:
            told = problem.code
        state = StateFile(HOME, fs=disk).load()
        assert state in (BEFORE, after)
        assert state is not None
        assert told != "done" or state == after
        edited(disk, remove(state, ["file.b"], TYPES))
        found = [e["outcome"] for e in StateHistory(HOME, fs=disk).entries()]
        assert found[:-1] in ([], ["done" if state == after else "not done"])
        outcomes.add((told, state == after))
    assert outcomes >= {("done", True), ("E_STORE_FULL" if error == errno.ENOSPC else "E_STORE_IO", False)}


def test_an_edit_whose_end_was_lost_and_whose_state_moved_on_is_told_as_unknown() -> None:
    disk = disk_before(with_history=True)
    StateHistory(HOME, fs=disk).settle(canonical_json({**BEFORE, "serial": 9}), now=NOW)
    (edit,) = StateHistory(HOME, fs=disk).entries()
    assert (edit["verb"], edit["outcome"], edit["by"], edit["via"]) == ("taint", "unknown", "somebody", "terminal")


def test_a_torn_line_of_the_history_is_left_out_and_what_follows_is_read() -> None:
    disk = disk_before(with_history=True)
    whole = disk.read(HOME / "state.history.jsonl")
    for torn in (b'{"schema":"clockwork.state_edit.v1","edit":"se_', b"\0" * 40, b"{}\n[]\nnull\n", b"\xff\xfe"):
        found = next(iter(disk.crash_states(limit=1)))
        handle = found.open_append(HOME / "state.history.jsonl")
        found.write(handle, torn)
        found.close(handle)
        name = edited(found)
        edits = StateHistory(HOME, fs=found).entries()
        assert [e["verb"] for e in edits] == ["taint", "rm"]
        assert edits[-1]["edit"] == name
        assert found.read(HOME / "state.history.jsonl").startswith(whole + torn)
