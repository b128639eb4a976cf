"""Go on with a job in a process of its own, which outlives the shell it was started from."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clockwork_nb.errors import AdapterFailedError, InvalidInputError, UnsafeOperationError
from clockwork_nb.fs import make_dirs
from clockwork_nb.ids import check_job_id

if TYPE_CHECKING:
    from clockwork_nb.settings import Settings
    from clockwork_nb.store.files import JobStore

__all__ = ["start_command_detached", "start_detached"]

_START_S: Final = 20.0
_LOOK_S: Final = 0.05


def start_detached(
    store: JobStore, settings: Settings, job_id: str, flags: Sequence[str] = (), *, auto_approve: bool = False
) -> Path:
    """Resume *job_id* in a new session of the system and return the file that its output goes to, once it runs.

    Nobody may own the job. The process has no terminal: it stops at decisions as every headless run does.

    Raises:
        AdapterFailedError: it ended, or did not begin, before it took the job over; the output says why.
    """
    before = store.state(job_id).epoch
    words = ["job", "resume", job_id, *flags]
    env = {"CW_AUTO_APPROVE": "1"} if auto_approve else {}
    return _start(settings, job_id, words, lambda: store.state(job_id).epoch > before, env)


def start_command_detached(store: JobStore, settings: Settings, job_id: str, words: Sequence[str]) -> Path:
    """Start ``clockwork WORDS``, which makes the new job *job_id*, like `start_detached`.

    Raises:
        InvalidInputError: the id is taken. AdapterFailedError: it ended before there was a job; the output says why.
    """
    if store.exists(check_job_id(job_id)):
        raise InvalidInputError(f"the job id {job_id!r} is taken", hint="Choose another, or leave it out.")
    return _start(settings, job_id, words, lambda: store.exists(job_id))


def _start(
    settings: Settings,
    job_id: str,
    words: Sequence[str],
    begun: Callable[[], bool],
    env: Mapping[str, str] | None = None,
) -> Path:
    folder = settings.work_folder(job_id)
    make_dirs(folder)
    if folder.resolve() != settings.home.resolve() / "work" / job_id:
        raise UnsafeOperationError(f"{folder} is a link", hint="Remove it; it would lead the job's output elsewhere.")
    output = folder / "background.log"
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "clockwork_nb.cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            env={**os.environ, "CW_HEADLESS": "1", **(env or {})},
            start_new_session=True,
        )
    finally:
        os.close(handle)
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if begun():
            process.returncode = 0  # it is not waited for: this process ends first
            return output
        if process.poll() is not None:
            break
        time.sleep(_LOOK_S)
    said = output.read_bytes()[-2000:].decode("utf-8", "replace").strip()
    raise AdapterFailedError(
        f"job {job_id} did not start in the background", hint=said or "It said nothing; start it without --detach."
    )
