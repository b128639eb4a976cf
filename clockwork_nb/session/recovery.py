"""The state as the file and the log of its last job together tell it: a crash between the two loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session.job_store import list_store, read_store

if TYPE_CHECKING:
    from clockwork_nb.forge.state import StateFile
    from clockwork_nb.session.runs import JobRun
    from clockwork_nb.settings import Settings

__all__ = ["recovered_state"]


def recovered_state(
    file: StateFile, settings: Settings, run: JobRun | None = None
) -> tuple[dict[str, Any] | None, bool]:
    """Return the state's document (None before the first apply) and whether the log knew more than the file.

    Args:
        file: the state of the workspace.
        run: the job at hand, when there is one; its log is then read from it and not from the store.

    Raises:
        StoreCorruptError: the file, or the log it leans on, is damaged.
    """
    from clockwork_nb.forge.state import roll_forward

    document = file.load()
    last: Mapping[str, Any] | None = document["last"] if document else None
    if document is None or not last:
        return document, False
    job = str(last["job"])
    if run is not None and run.job_id == job:
        return roll_forward(document, run.writer.events(), job=job, get_blob=run.writer.get_blob)
    try:
        if list_store(settings).summary(job).finished:
            return document, False  # a job writes the state before it ends
    except InvalidInputError:
        return document, False  # pruned, or made in another store: the file is all there is
    store = read_store(settings)
    view = store.read(job)
    return roll_forward(document, view.events, job=job, get_blob=store.blobs(job).get)
