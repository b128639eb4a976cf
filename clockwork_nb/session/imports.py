"""Foreign job folders: read as they are, shown like our own jobs, exported as packs. Nothing in them is ever written.

A Wrkr job that is imported stays Wrkr's: it never enters the job store, and nothing here can resume it.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session.packs import ExportedPack, Packs

if TYPE_CHECKING:
    from clockwork_nb.jobpack.wrkr_job import WrkrJob
    from clockwork_nb.signing import Signer

__all__ = ["ForeignFolder", "export_folder", "import_document", "is_folder_name", "read_folder"]

_LOCK: Final = "append.lock"
_SHOWN_NAMES: Final = 8
_CHUNK: Final = 1 << 20
_HINT: Final = "A Wrkr job is a folder below ~/.wrkr/jobs, with an events.jsonl in it."


class ForeignFolder(Struct, frozen=True):
    """What was read of a folder. ``remarks`` are about the folder itself and are in no pack."""

    path: Path
    files: Mapping[str, bytes]
    remarks: tuple[str, ...]


def is_folder_name(text: str) -> bool:
    """Return whether a word of the command line names a folder, not a job: no job id has a slash in it or is a dot."""
    return "/" in text or text in {".", ".."}


def read_folder(path: Path) -> ForeignFolder:
    """Return the files of the Wrkr job folder at *path*. No lock is taken: Wrkr may be writing.

    Links, pipes and devices in the place of a file are refused, and nothing is opened for writing.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: it is no such folder, or a file of it cannot be read.
    """
    from clockwork_nb.jobpack.layout import MAX_EVENT_BYTES
    from clockwork_nb.jobpack.wrkr_job import CONFIG, FILES, MAX_FILE, SNAPSHOT
    from clockwork_nb.jobpack.wrkr_log import LOG

    path = path.expanduser().absolute()
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}", hint=_HINT) from error
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found)
        if LOG not in names and SNAPSHOT not in names:
            raise InvalidInputError(f"{path} is not a Wrkr job: it has no {LOG}", hint=_HINT)
        # Wrkr appends to the log before it writes what follows from it: read in the other order, so that a job that
        # goes on meanwhile never looks as if its log had lost events.
        order = sorted(FILES, key=lambda name: (name == LOG, name not in {SNAPSHOT, CONFIG}))
        most = dict.fromkeys(FILES, MAX_FILE) | {LOG: MAX_EVENT_BYTES}
        files = {name: _read(folder, name, path, most[name]) for name in order if name in names}
    finally:
        os.close(folder)
    return ForeignFolder(path, files, tuple(_remarks(names, {*FILES, _LOCK})))


def _remarks(names: list[str], known: set[str]) -> list[str]:
    out = []
    if _LOCK in names:
        out.append("append.lock is there: Wrkr is writing now, or was killed while it did")
    if others := [name for name in names if name not in known]:
        more = f" and {len(others) - _SHOWN_NAMES} more" if len(others) > _SHOWN_NAMES else ""
        out.append(f"not Wrkr's, and not read: {', '.join(others[:_SHOWN_NAMES])}{more}")
    return out


def _read(folder: int, name: str, path: Path, most: int) -> bytes:
    """Return at most *most* bytes of one regular file of the open *folder*."""
    where = path / name
    try:
        # O_NONBLOCK: opening a planted FIFO must not wait for a writer.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:  # open(2): O_NOFOLLOW, and the name is a symbolic link
            raise InvalidInputError(f"{where} is a link; only files are read", hint=_HINT) from None
        raise InvalidInputError(f"cannot read {where}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InvalidInputError(f"{where} is not a file", hint=_HINT)
        chunks, size = [], 0
        while size <= most and (chunk := os.read(handle, _CHUNK)):
            chunks.append(chunk)
            size += len(chunk)
    except OSError as error:
        raise InvalidInputError(f"cannot read {where}: {error.strerror}") from error
    finally:
        os.close(handle)
    if size > most:
        raise InvalidInputError(f"{where} has more than {most:,} bytes; that is more than is read")
    return b"".join(chunks)


def _job(folder: ForeignFolder) -> WrkrJob:
    from clockwork_nb.jobpack.wrkr_job import read_job

    return read_job(folder.path.name, folder.files)


def import_document(folder: ForeignFolder) -> dict[str, Any]:
    """Return the JSON form of what is known about the job: its state, findings, remarks, and what to do next.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: nothing says which job it is, or the log is too long.
    """
    from clockwork_nb.jobpack.wrkr_export import IMPORT_SCHEMA

    job = _job(folder)
    export = f"clockwork jobpack export {shlex.quote(f'{folder.path}/')}"
    return {
        "schema": IMPORT_SCHEMA,
        "source": "wrkr",
        "read_only": True,
        "folder": str(folder.path),
        **job.to_document(),
        "events": len(job.log.events),
        "log": {"bytes": job.log.size, "readable_bytes": job.log.readable},
        "findings": [finding.to_document() for finding in job.findings],
        "remarks": list(folder.remarks),
        "next": [*_decide(job), *([export] if job.log.events else [])],
    }


def _decide(job: WrkrJob) -> list[str]:
    """Return how the decision that a job waits for is settled: in Wrkr, nothing here can do it."""
    if job.state.status != "blocked_decision" or not job.wrkr_status:
        return []
    name = shlex.quote(job.job_id)
    asked = [record.document["checkpoint_id"] for record in job.state.open_decisions]
    return [f'wrkr approve {name} --checkpoint {checkpoint} --reason "…"' for checkpoint in asked] + [
        f"wrkr resume {name}"
    ]


def export_folder(
    folder: ForeignFolder, packs: Packs, *, signed: bool = True, signer: Signer | None = None
) -> ExportedPack:
    """Write the folder's pack and return where it is. A differing older pack is renamed, not lost.

    *signer* signs it when *signed*; by default the key that signs this user's packs.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: the log holds no event. StoreIOError: disk.
    """
    from clockwork_nb.ids import JOB_ID
    from clockwork_nb.jobpack.manifest import footer
    from clockwork_nb.jobpack.wrkr_export import export_import
    from clockwork_nb.session.keys import signing_key

    job = _job(folder)
    key = (signer or signing_key(packs.settings)) if signed else None
    pack = export_import(job, folder.files, key=key)
    path = packs.place(pack)
    # A footer names one of our jobs; the few ids that Wrkr allows and we do not cannot be in one.
    line = footer(pack.job_id, pack.manifest_sha256, path.name) if JOB_ID.match(pack.job_id) else ""
    return ExportedPack(path, pack.manifest_sha256, pack.final, line, key.public.fingerprint if key else "")
