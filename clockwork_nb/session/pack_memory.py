"""What was seen of packs before: exports beside each job's log, and what ``jobpack verify --remember`` was told to keep.

No single pack can show that it is the newest, or that there is no second story of the same job. These lists can.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError, StoreCorruptError, UnsafeOperationError
from clockwork_nb.fs import make_dirs, read_bytes, write_atomic

if TYPE_CHECKING:
    from clockwork_nb.jobpack.relation import KnownHead
    from clockwork_nb.jobpack.verify import Examination
    from clockwork_nb.jobs.model import JobState

__all__ = ["latest_exports", "remember", "remember_export", "remembered", "remembered_file"]

_FIELDS: Final[Mapping[str, type]] = {"job_id": str, "genesis": str, "count": int, "head": str, "manifest": str}


def remembered_file(config_dir: Path) -> Path:
    """Return where a configuration folder keeps what was verified with ``--remember``."""
    return config_dir / "remembered.jsonl"


def remembered(config_dir: Path) -> list[KnownHead]:
    """Return everything that was remembered, oldest first; nothing when the file is not there.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT: a line that is none, with its number.
        UnsafeOperationError: E_UNSAFE_OPERATION: others may write the file, and so make packs look old or forked.
    """
    from clockwork_nb.jobpack.relation import KnownHead

    path = remembered_file(config_dir)
    try:
        mode = path.stat().st_mode
        lines = read_bytes(path.resolve()).splitlines()
    except FileNotFoundError:
        return []
    if stat.S_IMODE(mode) & 0o022:
        raise UnsafeOperationError(f"others may write {path}", hint=f"chmod 600 {path}")
    found = []
    for number, line in enumerate(lines, 1):
        try:
            document = parse_json(line, what=f"{path.name}, line {number}")
        except InvalidInputError as error:
            raise _damaged(path, number) from error
        if not isinstance(document, dict) or any(
            type(document.get(name)) is not kind for name, kind in _FIELDS.items()
        ):
            raise _damaged(path, number)
        found.append(KnownHead(**{name: document[name] for name in _FIELDS}))
    return found


def _damaged(path: Path, number: int) -> StoreCorruptError:
    return StoreCorruptError(
        f"{path}, line {number}, is damaged", hint="Take that line out; what it remembered is not checked any more."
    )


def remember(config_dir: Path, examination: Examination) -> bool:
    """Keep what was verified; return False when there is nothing to keep or it is known already.

    Raises:
        StoreIOError: E_STORE_IO. StoreCorruptError, UnsafeOperationError: see `remembered`.
    """
    history, manifest = examination.history, examination.manifest
    if history is None or manifest is None or not examination.report.ok:
        return False
    line: dict[str, Any] = {
        "job_id": history.job_id,
        "genesis": str(history.genesis["genesis"]),
        "count": history.count,
        "head": history.head,
        "manifest": manifest.sha256,
    }
    known = remembered(config_dir)
    if any(all(getattr(head, name) == value for name, value in line.items()) for head in known):
        return False
    path = remembered_file(config_dir)
    make_dirs(path.parent, mode=0o700)
    before = read_bytes(path.resolve()) if known else b""
    write_atomic(path, before + (b"" if before.endswith(b"\n") or not before else b"\n") + canonical_json(line) + b"\n")
    return True


def latest_exports(path: Path) -> list[str]:
    """Return the manifests of a job's latest exports from its ``exports.jsonl``; none when that is not there.

    There is one for each way to export the same log: signed, unsigned, with other limits.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT.
    """
    try:
        lines = [parse_json(line, what=str(path)) for line in read_bytes(path).splitlines()]
        # The last line, not the longest log: a repair makes a log shorter.
        latest = (int(lines[-1]["count"]), str(lines[-1]["head"])) if lines else (0, "")
        return [str(line["manifest"]) for line in lines if (line["count"], line["head"]) == latest]
    except FileNotFoundError:
        return []
    except (InvalidInputError, KeyError, TypeError, ValueError) as error:
        raise StoreCorruptError(
            f"{path} is damaged", hint="Verify the file itself: clockwork jobpack verify FILE"
        ) from error


def remember_export(path: Path, state: JobState, manifest: str) -> None:
    """Note in the ``exports.jsonl`` beside a log what was exported; never an event, or each export would change the next.

    Raises:
        StoreIOError: E_STORE_IO.
    """
    line = canonical_json({"count": state.seq, "head": state.hash, "manifest": manifest}) + b"\n"
    try:
        known = read_bytes(path)
    except FileNotFoundError:
        known = b""
    if line not in known.splitlines(keepends=True):
        write_atomic(path, known + line)
